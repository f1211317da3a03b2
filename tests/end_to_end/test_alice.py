"""The study that is real from end to end: a story, a sentence model's judgments, six regions of 17 people."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from affectlake.tables import TABLES
from dagster_project.cli import app
from dagster_project.runner import Outcome

from .conftest import Finished

DATA = Path(__file__).parents[3] / "shared" / "data"
DEAD = "s33"

pytestmark = pytest.mark.skipif(not (DATA / "alice").is_dir(), reason=f"the recordings of alice are not in {DATA}")


def written(folder: Path) -> Finished:
    done = CliRunner().invoke(app, ["study", "new", str(folder), "--kind", "alice", "--data", str(DATA)])
    assert done.exit_code == 0, done.output
    assert "59 passages" in done.output
    assert "28 x absent_interval" in done.output, "the words' file was cut off"
    return Finished(folder, Outcome())


def check(study: Finished) -> pl.DataFrame:
    """What the real data show, for any of their subjects; returns the scores."""
    scores = study.lake.read("encoding_scores")
    dead, alive = scores.filter(subject=DEAD), scores.filter(pl.col("subject") != DEAD)
    assert set(dead["n_dropped"]) == {1}
    assert set(dead["n_scored"]) == {0}
    assert dead["mean_r"].null_count() == dead.height == 12, "six regions and two models are reported, not scored"
    assert set(alive["n_scored"]) == {1}
    assert alive["mean_r"].null_count() == alive["mean_r2"].null_count() == 0
    assert set(alive["n_stimuli"]) == {59}
    left_out = study.lake.read("exclusions").filter(stage="responses", partition=DEAD)
    assert left_out.select("reason", "what").sort("what")["reason"].to_list() == ["constant_region"] * 6
    for table in TABLES:
        frame = study.lake.read(table)
        floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
        assert not any(frame[name].is_nan().any() for name in floats), f"NaN in {table}"
    return alive


def test_a_subject_of_zeros_is_reported_and_the_others_are_scored(tmp_path: Path) -> None:
    study = written(tmp_path / "alice")
    everyone = study.study.subjects
    study.edit(f"[{', '.join(everyone)}]", f"[s39, {DEAD}]")
    study.edit("train: 20000, test: 2000", "train: 3000, test: 300")
    study.edit("keep: 20, seeds: 5", "keep: 10, seeds: 2")
    study.edit("null: 200", "null: 20")
    assert study.run().failed == {}
    assert check(study)["subject"].unique().to_list() == ["s39"]


@pytest.mark.long
def test_the_shipped_study_scores_sixteen_people(tmp_path: Path) -> None:
    study = written(tmp_path / "alice")
    outcome = study.run()
    assert outcome.failed == {}
    alive = check(study)
    assert alive["subject"].n_unique() == 16
    rate = alive.filter(model="word-rate").group_by("roi").agg(pl.col("mean_r").mean())
    assert rate.filter(pl.col("roi") == "LIPL")["mean_r"].item() > 0.05, "parietal cortex follows the rate of words"
