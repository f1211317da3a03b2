"""A study whose lake is in an object store: every command works as it does on a folder, and nothing stays behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from dagster_project.planning import Selection
from dagster_project.runner import bring_up_to_date
from resources.lake import Lake
from resources.opened import open_lake
from resources.study import lake_root, load_study
from tests.servers.s3 import BUCKET, ObjectStore, serving_s3

from .conftest import SMALL

ROOT = Path(__file__).parents[2]
FIRST_ANSWERS = 2
"""Version of the judgments after one model: a table is made, gets its constraints, and then its rows."""
ANSWERS = Selection(frozenset({"judgments"}))
JUDGED = """
name: judged
synthetic: true
stimuli: {manifest: stimuli/videos.csv, media_root: stimuli/media, frames: 1, frame_side_px: 32}
ratings: {file: stimuli/ratings.csv}
triplets: {train: 400, test: 100, seed: 0}
models:
  - {name: human-category, agent: ratings, scale: category}
  - {name: human-appraisal, agent: ratings, scale: dimension}
"""


@dataclass(frozen=True)
class Remote:
    """A study beside whose file there is no lake."""

    folder: Path
    environment: dict[str, str]

    def bring_up_to_date(self, selection: Selection) -> int:
        """Runs that it took."""
        with pytest.MonkeyPatch.context() as environment:
            for variable, value in self.environment.items():
                environment.setenv(variable, value)
            study = load_study()
            lake = Lake(lake_root(study), study.name)
            outcome = bring_up_to_date(study, lake, selection, Console(quiet=True))
        assert not outcome.failed
        assert not outcome.blocked
        return len(outcome.computed)

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dagster_project", *words],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with serving_s3() as running:
        yield running


def remote(folder: Path, settings: str, store: ObjectStore, name: str) -> Remote:
    (folder / "study.yaml").write_text(settings)
    places = {"AFFECTLAKE_STUDY": str(folder / "study.yaml"), "AFFECTLAKE_LAKE": f"s3://{BUCKET}/{name}"}
    return Remote(folder, {**store.environment, **places})


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, store: ObjectStore) -> Remote:
    from affectlake.demo import write_demo

    folder = tmp_path_factory.mktemp("remote")
    write_demo(folder, n_videos=24, n_subjects=1, n_runs=2)
    study = remote(folder, JUDGED, store, "judged")
    assert study.bring_up_to_date(ANSWERS)
    return study


def test_a_second_run_computes_nothing(judged: Remote) -> None:
    assert judged.bring_up_to_date(ANSWERS) == 0


def test_tables_are_asked_now_and_as_of_then(judged: Remote) -> None:
    count = ("query", "SELECT count(DISTINCT model) AS n FROM judgments", "--format", "csv")
    assert judged.command(*count) == "n\n2\n"
    assert judged.command(*count, "--as-of", f"judgments={FIRST_ANSWERS}") == "n\n1\n"


def test_a_notebook_opens_it(judged: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in judged.environment.items():
        monkeypatch.setenv(variable, value)
    lake = open_lake(judged.folder)
    assert str(lake).startswith("<lake of judged at s3://")
    answered, refused = (lake[table].select(pl.len()).collect().item() for table in ("judgments", "attempts"))
    assert answered + refused == 2 * 500
    assert lake.sql("SELECT count(*) FROM judgments").fetchall() == [(answered,)]
    then = lake.as_of(judgments=FIRST_ANSWERS).judgments.select(pl.col("model").unique()).collect()
    assert then["model"].to_list() == ["human-category"]


def test_no_table_and_no_key_is_left_on_this_machine(judged: Remote) -> None:
    assert not (judged.folder / "lake").exists()
    secret = judged.environment["AWS_SECRET_ACCESS_KEY"].encode()
    holding = [p for p in judged.folder.rglob("*") if p.is_file() and secret in p.read_bytes()]
    assert holding == []


@pytest.mark.long
def test_a_whole_study_with_scans_report_and_exports(written: Path, tmp_path: Path, store: ObjectStore) -> None:
    shutil.copytree(written, tmp_path / "study")
    study = remote(tmp_path / "study", SMALL, store, "whole")
    assert re.search(r"\b(\d+) of \1 partitions are current", study.command("run"))
    assert "\n0 runs" in study.command("run")
    assert "sub-01" in study.command("query", "--name", "leaderboard", "--format", "csv")
    explained = study.command(
        "explain", "encoding_scores", "subject=sub-01", "model=planted", "roi=amygdala", "--recompute"
    )
    assert "same" in explained
    study.command("export", str(tmp_path / "exported"))
    assert any((tmp_path / "exported").rglob("*.csv"))
    assert "SYNTHETIC" in (study.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert not (study.folder / "lake").exists()
