"""Checks tell numbers and thresholds, and each one fails on what it is there for."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from affectlake.checks import CHECKS, Verdict, verdicts
from affectlake.tables import TABLES


def check(table: str, name: str, rows: pl.DataFrame, limits: dict[str, float | None] | None = None) -> Verdict:
    return next(v for v in verdicts(table, rows.lazy(), limits) if v.check.name == name)


@pytest.mark.parametrize("table", sorted({c.table for c in CHECKS}))
def test_an_empty_partition_passes(table: str) -> None:
    assert all(v.passed for v in verdicts(table, TABLES[table].empty().lazy()))


def test_clips_without_an_item_of_their_own_are_found() -> None:
    good = pl.DataFrame({"video_id": ["a", "b", "c"], "item": [0, 1, 2], "duplicate_of": [None, "a", None]})
    assert check("videos", "bijection", good).passed
    for wrong in (
        good.with_columns(item=pl.Series([0, 1, 1])),
        good.with_columns(item=pl.Series([0, 1, 3])),
        good.with_columns(duplicate_of=pl.Series([None, "z", None])),
        good.with_columns(video_id=pl.Series(["a", "a", "c"])),
    ):
        verdict = check("videos", "bijection", wrong)
        assert not verdict.passed
        assert verdict.check.blocking
        assert verdict.numbers["clips"] == 3


def answers(n: int, bias: float) -> pl.DataFrame:
    """Answers of a judge that takes the first shown with probability ``bias`` and else any."""
    rng = np.random.default_rng(0)
    orders = np.array(["abc", "acb", "bac", "bca", "cab", "cba"])[rng.integers(6, size=n)]
    place = np.where(rng.random(n) < bias, 0, rng.integers(3, size=n))
    odd = [{"a": 1, "b": 2, "c": 3}[order[k]] for order, k in zip(orders, place, strict=True)]
    return pl.DataFrame({"presented": orders, "odd": odd, "cost_usd": [0.01] * n}).with_columns(a=1, b=2, c=3)


def test_a_judge_that_likes_the_first_place_is_found_and_one_that_does_not_is_not() -> None:
    fair = check("judgments", "position_balance", answers(6000, 0.0))
    assert fair.passed
    assert fair.numbers["share_1"] == pytest.approx(1 / 3, abs=0.02)
    biased = check("judgments", "position_balance", answers(6000, 0.2))
    assert not biased.passed
    assert biased.numbers["share_1"] == pytest.approx(0.2 + 0.8 / 3, abs=0.02)
    assert biased.thresholds["most_off"] == 0.05


def test_few_answers_are_not_called_biased() -> None:
    assert check("judgments", "position_balance", answers(12, 0.0)).passed


def test_costs_are_held_against_the_models_cap() -> None:
    rows = answers(100, 0.0)
    assert check("judgments", "cost_within_cap", rows).passed
    assert check("judgments", "cost_within_cap", rows, {"max_usd": 1.01}).passed
    over = check("judgments", "cost_within_cap", rows, {"max_usd": 0.5})
    assert not over.passed
    assert over.numbers["spent_usd"] == pytest.approx(1.0)


GOOD = {
    "n_train": 600,
    "n_leaked": 0,
    "accuracy": 0.7,
    "accuracy_low": 0.68,
    "ceiling": 0.75,
    "ceiling_high": 0.8,
    "chance_high": 0.4,
}


def quality(**values: float | None) -> pl.DataFrame:
    """A row of ``embedding_quality`` with nothing amiss but ``values``."""
    return pl.DataFrame([GOOD | values], schema=dict.fromkeys(GOOD, pl.Float64))


def test_a_held_out_judgment_that_was_trained_on_keeps_the_rows_out() -> None:
    assert check("embedding_quality", "held_out", quality()).passed
    leaking = check("embedding_quality", "held_out", quality(n_leaked=1))
    assert not leaking.passed
    assert leaking.check.blocking
    assert check("embedding_quality", "held_out", quality(n_train=None, n_leaked=None)).passed, "features: no training"


def test_an_accuracy_above_the_ceiling_or_at_chance_is_found() -> None:
    assert all(v.passed for v in verdicts("embedding_quality", quality().lazy()))
    assert not check("embedding_quality", "below_ceiling", quality(accuracy_low=0.81)).passed
    assert not check("embedding_quality", "above_chance", quality(accuracy=0.39)).passed
    assert check("embedding_quality", "below_ceiling", quality(ceiling_high=None)).passed


def test_dimensions_that_do_not_come_back_are_found() -> None:
    rows = pl.DataFrame({"reproducibility": [0.9, 0.8, 0.2]})
    assert check("dimensions", "reproducible", rows).passed
    assert not check("dimensions", "reproducible", pl.DataFrame({"reproducibility": [0.9, 0.1, 0.2]})).passed


def test_scores_that_cannot_be_are_kept_out_and_many_dropped_voxels_are_told() -> None:
    good = pl.DataFrame({"r": [0.1, -0.2]})
    assert check("voxel_scores", "possible", good).passed
    for wrong in (float("nan"), 1.2):
        verdict = check("voxel_scores", "possible", pl.DataFrame({"r": [0.1, wrong]}))
        assert not verdict.passed
        assert verdict.check.blocking
    assert check("encoding_scores", "voxels_scored", pl.DataFrame({"n_voxels": [10], "n_dropped": [1]})).passed
    assert not check("encoding_scores", "voxels_scored", pl.DataFrame({"n_voxels": [10], "n_dropped": [4]})).passed
