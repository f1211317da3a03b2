"""Comparisons of models: paired over subjects, each subject with an interval over its own runs."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import ttest_rel

from affectlake.contrast import compare
from affectlake.tables import COMPARISONS, unstamped

RUNS, SUBJECTS, MODELS, ROIS = 8, ("s1", "s2", "s3"), ("b", "a", "c"), ("TPJ", "V1")


def runs(seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (s, m, roi, run, 30 + run, float(rng.normal(0.3 if m == "a" else 0.1, 0.05)))
        for s in SUBJECTS
        for m in MODELS
        for roi in ROIS
        for run in range(1, RUNS + 1)
    ]
    return pl.DataFrame(rows, schema=["subject", "model", "roi", "run", "n", "mean_r"], orient="row")


def scores(by_run: pl.DataFrame, metric: str = "encoding") -> pl.DataFrame:
    means = by_run.group_by("subject", "model", "roi").agg(score=pl.col("mean_r").mean())
    return means.with_columns(metric=pl.lit(metric))


def test_every_pair_is_tested_over_subjects_and_shown_subject_by_subject():
    by_run = runs()
    found = compare(pl.concat([scores(by_run), scores(by_run, "searchlight")]), by_run)
    assert found.height == 2 * 2 * 3
    assert found.schema == unstamped(COMPARISONS)
    row = found.filter(roi="TPJ", metric="encoding", model_a="a", model_b="b").row(0, named=True)
    wide = scores(by_run).filter(roi="TPJ").pivot("model", index="subject", values="score").sort("subject")
    assert row["t"] == pytest.approx(ttest_rel(wide["a"], wide["b"]).statistic)
    assert row["n_subjects"] == 3
    for subject, a, b in wide.select("subject", "a", "b").iter_rows():
        own = next(d for d in row["by_subject"] if d["subject"] == subject)
        assert own["difference"] == pytest.approx(a - b)
        assert own["ci_low"] < a - b < own["ci_high"]
        assert own["ci_low"] > 0, "the difference of .2 lies far beyond the runs' noise"
        assert own["n_runs"] == RUNS


def test_scores_without_runs_have_no_interval():
    by_run = runs()
    light = compare(scores(by_run, "searchlight"), by_run)["by_subject"].explode().struct.unnest()
    assert light["ci_low"].null_count() == light.height
    single = compare(scores(by_run), by_run.filter(pl.col("run") == 1))["by_subject"].explode().struct.unnest()
    assert single["n_runs"].null_count() == single.height


def test_order_of_rows_does_not_matter():
    by_run = runs()
    one = compare(scores(by_run), by_run)
    other = compare(scores(by_run).sample(fraction=1, shuffle=True, seed=1), by_run.sample(fraction=1, shuffle=True))
    keys = ["roi", "metric", "model_a", "model_b"]
    assert (
        one.sort(keys)
        .drop("mean_difference", "t", "p", "q", "ci_low", "ci_high", "by_subject")
        .equals(other.sort(keys).drop("mean_difference", "t", "p", "q", "ci_low", "ci_high", "by_subject"))
    )
    np.testing.assert_allclose(one.sort(keys)["p"], other.sort(keys)["p"], rtol=1e-9)
