"""Every command in the pages for users does what they say, in the order in which a reader types them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from affectlake.errors import StudyError
from resources.study import Study, load_study
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, script
from tests.services.server import Service, serving

from .conftest import SMALL, Finished

LANGUAGES = {"bash", "python", "text", "yaml"}
WITH_COMMANDS = [page for page in PAGES if any(b.language == "bash" for b in blocks(page))]
OF_THE_DEMO = [page for page in WITH_COMMANDS if "export AFFECTLAKE_STUDY" not in "".join(commands(page))]
"""Pages that speak of the demo; the others have studies of their own."""
ELSEWHERE = {"automation.md", "running-at-scale.md"}
"""Pages with commands that need daemons, servers or clusters: test_docs_servers.py types them."""
LONG = {"results.md", "your-study.md"}
"""Pages whose commands take minutes."""
BINARIES = Path(sys.executable).parent


@pytest.fixture
def desk(finished: Finished, tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A checkout as it is after ``make demo``, in which the demo is the small study, and its environment."""
    shutil.copytree(finished.folder, tmp_path / "studies" / "demo")
    for shared in ("Makefile", "pyproject.toml", "constraints.txt", "docs", ".venv"):
        if (ROOT / shared).exists():
            (tmp_path / shared).symlink_to(ROOT / shared)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AFFECTLAKE_", "DAGSTER_"))}
    with ExitStack() as stack:
        service = stack.enter_context(serving(Service()))
        write_asked(tmp_path / "asked")
        environment |= {
            "PATH": f"{BINARIES}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "LOCAL_KEY": "any",
            "SERVICE": service.url,
        }
        yield tmp_path, environment


def write_asked(folder: Path) -> None:
    """The clips and captions of the page on agents."""
    folder.mkdir()
    ids = [f"v{i:02d}" for i in range(30)]
    (folder / "videos.csv").write_text("video_id,file\n" + "".join(f"{i},\n" for i in ids))
    texts = "".join(f"{i},clip {n} {'on ' * (7 * n % 30)}\n" for n, i in enumerate(ids))
    (folder / "captions.csv").write_text("video_id,description\n" + texts)


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.long] if p.name in LONG else []) for p in WITH_COMMANDS],
    ids=lambda page: page.name,
)
def test_every_command_of_a_page_runs(page: Path, desk: tuple[Path, dict[str, str]]) -> None:
    """A line that an earlier page on the demo has as well is run there."""
    folder, environment = desk
    earlier = OF_THE_DEMO[: OF_THE_DEMO.index(page)] if page in OF_THE_DEMO else []
    done_before = frozenset().union(*map(commands, earlier))
    text = script(page, done_before).replace("http://127.0.0.1:8000/v1", environment["SERVICE"])
    done = subprocess.run(
        ["bash", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=500
    )
    reached = re.findall(r"^== (.*)$", done.stderr, re.M)
    assert done.returncode == 0, f"{reached[-1] if reached else page}:\n{done.stderr[-3000:]}\n{done.stdout[-1000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is_and_what_looks_like_a_command_is_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page.name}:{block.line}"
        if block.language == "text" and page.name not in ELSEWHERE:
            assert not re.search(r"^(\$ )?affectlake ", block.text, re.M), f"{page.name}:{block.line} is not run"


@pytest.mark.parametrize(
    ("page", "block"),
    [(p, b) for p in PAGES for b in blocks(p) if b.language == "yaml"],
    ids=lambda v: v.name if isinstance(v, Path) else f"line {v.line}",
)
def test_every_study_file_is_valid_and_every_part_of_one_has_keys_that_there_are(
    page: Path, block: Block, tmp_path: Path
) -> None:
    """A part may speak of models and files that only its page knows; a key that is not known is a mistake."""
    part = yaml.safe_load(block.text)
    if isinstance(part, list):
        part = {"models": part}
    whole: dict[str, Any] = yaml.safe_load(SMALL)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(part if "name" in part else whole | part))
    if "name" in part:
        load_study(path)
    elif part.keys() <= Study.model_fields.keys():
        assert "unknown key" not in problem(path)


def problem(path: Path) -> str:
    """What is wrong with a study file, or nothing."""
    try:
        load_study(path)
    except StudyError as error:
        return str(error)
    return ""


def test_the_python_of_the_results_page_gives_what_it_says(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECTLAKE_STUDY", str(finished.folder / "study.yaml"))
    (block,) = [b for b in blocks(ROOT / "docs" / "results.md") if b.language == "python"]
    names: dict[str, Any] = {}
    exec(compile(block.text, "docs/results.md", "exec"), names)  # noqa: S102 - our own page
    assert names["lake"].tables == finished.lake.tables()
