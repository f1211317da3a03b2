"""The built site: no warning, every page readable from disk, no request to anywhere, and it can be searched there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HEAVIEST_PICTURE_BYTES = 150_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it, elsewhere."""
    pytest.importorskip("zensical", reason="the site needs zensical (pip install -e '.[dev]')")
    folder = tmp_path_factory.mktemp("docs")
    shutil.copyfile(ROOT / "mkdocs.yml", folder / "mkdocs.yml")
    shutil.copytree(ROOT / "docs", folder / "docs")
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as program:
        running = program.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


def in_menu() -> set[str]:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    return {file for entry in menu for file in entry.values()}


def test_every_page_is_in_the_menu() -> None:
    assert in_menu() == {page.name for page in PAGES if page.parent == ROOT / "docs"}


def test_pictures_are_small_and_shown(site: Path) -> None:
    text = "".join(page.read_text() for page in PAGES)
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert picture.stat().st_size < HEAVIEST_PICTURE_BYTES
        assert f"pictures/{picture.name}" in text, "no page shows it"


def test_pages_open_from_disk_without_an_error_and_ask_for_nothing(site: Path, browser: Any) -> None:
    page = browser.new_page()
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("request", lambda r: asked.append(r.url))
    for file in sorted(in_menu()):
        page.goto((site / file.replace(".md", ".html")).as_uri())
        assert page.locator("main h1").count() == 1, file
        broken = page.eval_on_selector_all("img", "all => all.filter(i => !i.naturalWidth).map(i => i.src)")
        assert broken == [], file
        unnamed = page.eval_on_selector_all("main img", "all => all.filter(i => !i.alt).map(i => i.src)")
        assert unnamed == [], file
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("ceiling")
    page.locator("a[href*='brain.html']", has_text=re.compile("ceiling", re.I)).first.wait_for(timeout=10_000)
    assert problems == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
    page.close()


def test_a_phone_does_not_scroll_sideways(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    for file in sorted(in_menu()):
        page.goto((site / file.replace(".md", ".html")).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), file
    page.close()
