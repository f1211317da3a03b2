"""The notebook of docs/ runs on a finished study."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Finished

ROOT = Path(__file__).parents[2]


def test_every_cell_of_the_notebook_runs_and_shows_the_tables_numbers(finished: Finished, tmp_path: Path) -> None:
    pytest.importorskip("marimo", reason="the notebook needs marimo (pip install -e '.[dev]')")
    environment = {
        **os.environ,
        "AFFECTLAKE_STUDY": str(finished.folder / "study.yaml"),
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
    }
    notebook, page = tmp_path / "notebook.py", tmp_path / "notebook.html"
    shutil.copyfile(ROOT / "docs" / "notebook.py", notebook)  # marimo writes beside it
    command = [sys.executable, "-m", "marimo", "export", "html", str(notebook), "-o", str(page)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    best = finished.lake.read("encoding_scores")["mean_r"].max()
    assert f"The highest r, {best:.3f}" in page.read_text()
