"""Takes the pictures of these pages from a finished demo: ``python docs/make_pictures.py``, after ``make demo``.

Needs Chromium and the extra ``dev``. The pictures show the report, the Dagster user interface and what the command line
prints; nothing is drawn by hand. PNGs are stored with a palette, which keeps them small.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from PIL import Image

TARGET = Path(__file__).with_name("pictures")
STUDY = Path("studies/demo/study.yaml")
COLOURS = 128
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Take all pictures."""
    from playwright.sync_api import sync_playwright

    TARGET.mkdir(exist_ok=True)
    report = STUDY.resolve().parent / "report"
    _terminal()
    with sync_playwright() as program, _served() as address:
        browser = program.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 820})
        page.goto((report / "index.html").as_uri())
        _save("report", page.screenshot())
        _save("matrix", page.locator("#matrix").screenshot())
        page.goto((report / "dimensions-minilm.html").as_uri())
        dimension = page.locator("#d1")
        dimension.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        _save("dimension", dimension.screenshot())
        _dagster(browser, address)
        browser.close()


def _save(name: str, png: bytes) -> None:
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(TARGET / f"{name}.png", optimize=True)


def _terminal() -> None:
    """What a run of the finished demo prints."""
    from rich.console import Console
    from rich.text import Text

    done = subprocess.run(
        [sys.executable, "-m", "dagster_project", "run"],
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "118"},
        capture_output=True,
        text=True,
        check=True,
    )
    shown = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("report: "))
    console = Console(record=True, width=118, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ make demo\n{shown}\nreport: studies/demo/report/index.html"))
    svg = console.export_svg(title="make demo")
    (TARGET / "terminal.svg").write_text(_FONT.sub("", svg).replace("Fira Code, monospace", "monospace"))


@contextmanager
def _served() -> Iterator[str]:
    """The user interface of the demo on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster_project", "ui", "--port", str(port)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, start_new_session=True, **quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(180):
            with suppress(OSError), urllib.request.urlopen(address, timeout=5):
                break
            time.sleep(1)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _dagster(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{address}/assets/encoding_scores?view=partitions&partition=planted%7Csub-01")
    page.get_by_text("by_region").first.wait_for(timeout=120_000)
    page.wait_for_timeout(3000)
    # below it stand addresses on this machine
    _save("dagster", page.screenshot(clip={"x": 0, "y": 0, "width": 1400, "height": 635}))


if __name__ == "__main__":
    main()
