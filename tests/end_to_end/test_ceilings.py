"""The demo's brains share a grid and two repeated clips: which noise ceilings that gives, and which not."""

from __future__ import annotations

import json

import polars as pl

import sql
from resources.query import query

from .conftest import Finished


def test_planted_regions_have_a_ceiling_from_the_other_subject_and_empty_ones_have_a_reason(finished: Finished) -> None:
    found = finished.lake.read("noise_ceilings").filter(source="subjects")
    planted = set(json.loads((finished.folder / "truth.json").read_text())["planted_rois"])
    there = found.filter(pl.col("roi").is_in(planted)).drop_nulls("ceiling")
    assert there["roi"].n_unique() >= 4, "96 clips and two brains are little: a region or two may miss its interval"
    assert there["ceiling"].is_between(0.15, 0.6).all()
    motor = found.filter(roi="motor")
    assert motor["ceiling"].null_count() == motor["reason"].len() - motor["reason"].null_count() == 2
    assert (found["n_stimuli"] == 96).all()


def test_no_repeats_are_no_ceiling_and_the_score_stands_without(finished: Finished) -> None:
    found = finished.lake.read("noise_ceilings").filter(source="repeats")
    assert found["ceiling"].null_count() == found.height
    assert set(found["reason"]) == {"0 stimuli to compare, 10 are needed"}
    assert (
        finished.lake.read("encoding_scores")["normalised_r"].null_count()
        == finished.lake.read("encoding_scores").height
    )


def test_the_named_query_sets_scores_beside_ceilings(finished: Finished) -> None:
    rows = query(finished.lake, finished.study, sql.read("ceilings"))
    best = rows.filter((pl.col("model") == "planted") & (pl.col("source") == "subjects")).drop_nulls("ceiling")
    planted = best.filter(pl.col("roi") == "amygdala")
    assert planted["normalised_r"].min() > 0.6  # type: ignore[operator]
    assert planted["normalised_r"].max() < 1.3  # type: ignore[operator]
    unknown = rows.filter(pl.col("ceiling").is_null())
    assert unknown["reason"].null_count() == 0
    assert unknown["normalised_r"].null_count() == unknown.height
