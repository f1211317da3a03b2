"""SQL over the lake: it answers questions and can do nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import sql
from affectlake.tables import ENCODING_SCORES, FRAMES, MATERIALIZATIONS
from resources.lake import Lake
from resources.query import query as query_study
from resources.study import Study

STUDY = Study.model_validate(
    {
        "name": "mine",
        "stimuli": {"manifest": "videos.csv"},
        "ratings": {"file": "ratings.csv"},
        "models": [{"name": "m", "agent": "ratings", "scale": "category"}],
        "brain": {"format": "bids", "root": "d", "subjects": ["s1", "s2"], "atlas": {"file": "a", "labels": "l"}},
    }
)


def query(lake: Lake, statement: str, parameters: list[str] | None = None, time_limit_s: float = 60) -> pl.DataFrame:
    return query_study(lake, STUDY, statement, parameters, time_limit_s=time_limit_s)


def region(subject: str, model: str, roi: str, r: float | None, q: float | None) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(ENCODING_SCORES.schema)
    counts = {"n_stimuli": 40, "n_voxels": 9, "n_scored": 9, "n_dropped": 0, "n_constant_prediction": 0}
    stamps = {"code_version": "c", "source_versions": "{}", "coverage": 1.0}
    return {**row, **counts, **stamps, "subject": subject, "model": model, "roi": roi, "mean_r": r, "q": q}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), "mine")
    for subject, r in (("s1", 0.2), ("s2", 0.4)):
        rows = [region(subject, "m", "amygdala", r, 0.01), region(subject, "m", "motor", None, None)]
        frame = pl.DataFrame(rows, schema=ENCODING_SCORES.schema)
        lake.overwrite("encoding_scores", frame, {"subject": subject, "model": "m"})
    return lake


def test_a_region_counts_subjects_that_were_scored_and_not_the_others(lake: Lake) -> None:
    found = query(lake, sql.read("regions")).select("roi", "n_subjects", "mean_r", "n_significant").rows()
    assert found[0][:2] == ("amygdala", 2)
    assert found[0][2] == pytest.approx(0.3)
    assert found[0][3] == 2
    assert found[1] == ("motor", 0, None, 0)


def test_models_and_subjects_that_left_the_study_are_not_shown_by_the_named_queries(lake: Lake) -> None:
    for subject, model in (("s1", "gone"), ("gone", "m")):
        frame = pl.DataFrame([region(subject, model, "amygdala", 0.9, 0.01)], schema=ENCODING_SCORES.schema)
        lake.overwrite("encoding_scores", frame, {"subject": subject, "model": model})
    assert query(lake, sql.read("leaderboard")).select("model", "subject").rows() == [("m", "s1"), ("m", "s2")]
    found = query(lake, sql.read("regions"))
    assert found["model"].unique().to_list() == ["m"]
    assert found["highest_r"].max() == 0.4
    assert query(lake, "SELECT count(DISTINCT model) FROM encoding_scores").item() == 2


@pytest.mark.parametrize(
    ("condition", "n"),
    [
        ("roi = 'amygdala'", 2),
        ("roi IN ('amygdala', 'motor')", 4),
        ("roi >= 'b'", 2),
        ("roi <> 'motor' AND subject = 's1'", 1),
        ("subject IN ('s1', 's3')", 2),
        ("roi LIKE 'amy%'", 2),
        ("model = 'm' AND mean_r > 0.3", 1),
        ("mean_r IS NULL", 2),
        ("n_voxels BETWEEN 9 AND 10 AND coverage = 1", 4),
        ("source_versions = '{}'", 4),
    ],
)
def test_conditions_on_any_column_are_answered(lake: Lake, condition: str, n: int) -> None:
    assert query(lake, "SELECT count(*) FROM encoding_scores WHERE " + condition).item() == n


def test_times_and_bytes_can_be_asked_for(lake: Lake) -> None:
    finished = datetime(2026, 1, 2, tzinfo=UTC)
    row = ("videos", "-", "f", "d", "c", "{}", 1, 3, "r", finished)
    lake.append("materializations", pl.DataFrame([row], schema=MATERIALIZATIONS.schema, orient="row"))
    since = "SELECT sum(rows) FROM materializations WHERE finished_at > "
    assert query(lake, since + "'2026-01-01'::TIMESTAMPTZ").item() == 3
    assert query(lake, since + "'2027-01-01'::TIMESTAMPTZ").item() is None
    jpeg = pl.DataFrame([("s", 1, 8, 0, 0.5, "h", 8, 6, b"jpeg")], schema=FRAMES.schema, orient="row")
    lake.append("frames", jpeg)
    assert query(lake, "SELECT jpeg FROM frames WHERE media_sha256 = 's'").item() == b"jpeg"


def test_parameters_are_bound_not_pasted(lake: Lake) -> None:
    statement = "SELECT count(*) FROM encoding_scores WHERE subject = ?"
    assert query(lake, statement, ["s1"]).item() == 2
    assert query(lake, statement, ["s1' OR '1'='1"]).item() == 0
