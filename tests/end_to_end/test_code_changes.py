"""A change of the program: what is computed again is what the changed code decides, and a comment decides nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Finished

ROOT = Path(__file__).parents[2]
DUE = """
import json
from dagster_project.planning import due
from resources.lake import Lake
from resources.study import load_study, lake_root
import affectlake
study = load_study({study!r})
found = due(study, Lake(lake_root(study), study.name))
print(json.dumps([affectlake.__file__, sorted({{d.recipe.name for d in found}}), len(found)]))
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program, to be changed."""
    folder = tmp_path_factory.mktemp("program")
    for package in ("affectlake", "assets", "resources", "dagster_project", "sql"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def due_with(program: Path, study: Finished, file: str = "", added: str = "") -> tuple[set[str], int]:
    """What the program would compute first of a finished study, after a line was added to one of its files."""
    path = program / file
    before = path.read_text() if file else ""
    try:
        if file:
            path.write_text(f"{before}\n{added}\n")
        script = DUE.format(study=str(study.folder / "study.yaml"))
        environment = os.environ | {"PYTHONPATH": str(program)}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=program, capture_output=True, text=True, check=True
        )
    finally:
        if file:
            path.write_text(before)
    where, names, n = json.loads(done.stdout)
    assert Path(where).is_relative_to(program), "the copy is what was asked"
    return set(names), n


@pytest.mark.parametrize(
    ("file", "added", "first"),
    [
        pytest.param("", "", set(), marks=pytest.mark.long),
        ("affectlake/encoding.py", "# a remark\n'''and a text'''", set()),
        ("affectlake/decoding.py", "UNUSED = 1", {"decoding_scores"}),
        pytest.param("affectlake/contrast.py", "UNUSED = 1", {"comparisons"}, marks=pytest.mark.long),
        ("affectlake/prompts.py", "UNUSED = 1", {"judgments"}),
        pytest.param("affectlake/report/numbers.py", "UNUSED = 1", {"report"}, marks=pytest.mark.long),
    ],
)
def test_code_that_changed_makes_stale_what_it_decides(
    program: Path, finished: Finished, file: str, added: str, first: set[str]
) -> None:
    names, n = due_with(program, finished, file, added)
    assert names == first
    partitions = {"decoding_scores": 2, "judgments": 3, "comparisons": 1, "report": 1}
    assert n == sum(partitions[name] for name in first), "in every partition"
