"""Ranks, random sets, designs in waves, presented orders."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from affectlake import triplets
from affectlake.errors import StudyError
from affectlake.tables import ORDERS, TRIPLETS

DESIGN: dict[str, Any] = {
    "train": 5000,
    "test": 500,
    "validation_items": 8,
    "ceiling_triplets": 40,
    "ceiling_repeats": 10,
    "panel": 30,
    "seed": 3,
}


def test_rank_counts_the_sets_in_colexicographic_order() -> None:
    sets = sorted(combinations(range(9), 3), key=lambda s: s[::-1])
    assert triplets.rank(np.array(sets)).tolist() == list(range(84))
    assert triplets.unrank(np.arange(84)).tolist() == [list(s) for s in sets]


@settings(max_examples=300, deadline=None)
@given(st.sets(st.integers(0, 10**5 - 1), min_size=3, max_size=3), st.randoms())
def test_unrank_inverts_rank_whatever_the_order_of_the_row(items: set[int], random: Any) -> None:
    row = list(items)
    random.shuffle(row)
    assert triplets.unrank(triplets.rank(np.array([row]))).tolist() == [sorted(items)]


def test_unrank_is_exact_next_to_whole_roots() -> None:
    edges = np.array([triplets.n_sets(n) + d for n in (3, 4, 1000, 46341, 99_999, 100_000) for d in (-1, 0, 1)])
    assert triplets.rank(triplets.unrank(edges)).tolist() == edges.tolist()


@pytest.mark.parametrize(("n_items", "n"), [(3, 1), (12, 220), (12, 100), (300, 1000)])
def test_sample_gives_distinct_sorted_sets(n_items: int, n: int) -> None:
    sets = triplets.sample(n_items, n, seed=1)
    assert sets.dtype == np.int32
    assert sets.shape == (n, 3)
    assert (np.diff(sets, axis=1) > 0).all()
    assert sets.min() >= 0
    assert sets.max() < n_items
    assert np.unique(triplets.rank(sets)).size == n


@pytest.mark.parametrize("n", [20, 100])
def test_sample_is_uniform_over_sets_and_over_places(n: int) -> None:
    drawn = np.stack([triplets.rank(triplets.sample(12, n, seed=seed)) for seed in range(600)])
    # 220 sets: each is drawn equally often, and equally often first
    assert chisquare(np.bincount(drawn.ravel(), minlength=220)).pvalue > 1e-3
    assert chisquare(np.bincount(drawn[:, 0] % 20, minlength=20)).pvalue > 1e-3


def test_sample_refuses_more_sets_than_there_are() -> None:
    with pytest.raises(StudyError, match="5 items make only 10"):
        triplets.sample(5, 11, seed=0)


def plan(items: np.ndarray[Any, Any], existing: pl.DataFrame | None = None, **changes: Any) -> pl.DataFrame:
    return triplets.plan(items, TRIPLETS.empty() if existing is None else existing, **{**DESIGN, **changes})


def counts(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame.group_by("purpose").len().iter_rows())


def test_a_design_has_its_numbers_and_no_set_has_two_purposes() -> None:
    items = np.arange(5, 105)
    frame = TRIPLETS.validate(plan(items))
    assert counts(frame) == {"train": 5000, "test": 500, "ceiling": 40, "panel": 30, "validation": 56}
    assert frame["triplet_id"].is_unique().all()
    sets = frame.select("a", "b", "c").to_numpy()
    assert np.isin(sets, items).all()
    assert (triplets.rank(sets) == frame["triplet_id"].to_numpy()).all()
    asked = dict(frame.group_by("purpose").agg(pl.struct("orders", "repeats").unique().first()).iter_rows())
    assert asked["ceiling"] == {"orders": 1, "repeats": 10}
    assert asked["panel"]["orders"] == 6
    for _, part in frame.group_by("purpose"):
        assert part["position"].sort().to_list() == list(range(part.height))


def test_nothing_within_the_validation_items_is_asked_for_another_purpose() -> None:
    frame = plan(np.arange(30), train=3000, test=100)
    validation = frame.filter(pl.col("purpose") == "validation").select("a", "b", "c").to_numpy()
    chosen = np.unique(validation)
    assert chosen.size == 8
    others = frame.filter(pl.col("purpose") != "validation").select("a", "b", "c").to_numpy()
    assert not np.isin(others, chosen).all(axis=1).any()


def test_the_same_design_is_the_same_and_is_not_asked_twice() -> None:
    frame = plan(np.arange(100))
    assert frame.equals(plan(np.arange(100)))
    assert not frame.equals(plan(np.arange(100), seed=4))
    assert plan(np.arange(100), frame).is_empty()


@pytest.mark.parametrize("n_train", [1, 10, 60, 200])
def test_a_design_too_small_for_its_items_does_not_grow_by_itself(n_train: int) -> None:
    small = {"train": n_train, "test": 0, "validation_items": 0, "ceiling_triplets": 0, "panel": 2}
    frame = plan(np.arange(240), **small)
    assert plan(np.arange(240), frame, **small).is_empty()


def test_larger_numbers_keep_the_old_questions_and_add_what_is_missing() -> None:
    first = plan(np.arange(100))
    second = plan(np.arange(100), first, train=6000, validation_items=9)
    assert counts(second)["train"] == 1000
    assert set(counts(second)) == {"train", "validation"}
    assert second["wave"].unique().to_list() == [1]
    both = pl.concat([first, second])
    # of the sets with the ninth item, those that were trained on stay what they were
    chosen = np.unique(both.filter(pl.col("purpose") == "validation").select("a", "b", "c").to_numpy())
    assert chosen.size == 9
    within = np.isin(both.select("a", "b", "c").to_numpy(), chosen).all(axis=1)
    assert within.sum() == 84
    assert 84 - 56 - 5 < counts(second)["validation"] <= 84 - 56
    assert both["triplet_id"].is_unique().all()
    train = both.filter(pl.col("purpose") == "train")
    assert train["position"].sort().to_list() == list(range(6000))


def test_new_items_get_the_share_of_a_design_drawn_at_once() -> None:
    first = plan(np.arange(100))
    both = pl.concat([first, plan(np.arange(110), first)])
    assert both["triplet_id"].is_unique().all()
    added = both.filter(pl.col("wave") == 1, pl.col("purpose") == "train").select("a", "b", "c").to_numpy()
    assert (added >= 100).any(axis=1).all()
    assert len(added) == round(5000 * (1 - triplets.n_sets(100) / triplets.n_sets(110)))
    times = np.bincount(added.ravel(), minlength=110)[100:]
    assert abs(times.mean() - 3 * 5000 / 110) < 6
    assert plan(np.arange(110), both).is_empty()


def test_questions_about_clips_that_left_are_replaced() -> None:
    first = plan(np.arange(100))
    stayed = np.arange(1, 100)
    second = plan(stayed, first)
    lost = first.filter(pl.col("a") == 0)
    for purpose in ("train", "test", "ceiling", "panel"):
        assert counts(second).get(purpose, 0) == counts(lost).get(purpose, 0)
    assert not (second.select("a", "b", "c").to_numpy() == 0).any()
    assert plan(stayed, pl.concat([first, second])).is_empty()


@pytest.mark.parametrize(
    ("n_items", "changes"), [(10, {}), (2, {"validation_items": 0}), (5, {}), (60, {"validation_items": 60})]
)
def test_too_few_items_for_a_design_are_refused(
    n_items: int, changes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("affectlake._plan.BATCH", 1000)
    with pytest.raises(StudyError):
        plan(np.arange(n_items), **changes)


def test_a_study_without_questions_has_none() -> None:
    assert triplets.plan(np.arange(10), TRIPLETS.empty()).equals(TRIPLETS.empty())


def test_a_prefix_of_the_training_questions_is_a_uniform_sample() -> None:
    first = plan(np.arange(40), train=2000, test=0, validation_items=0)
    both = pl.concat([first, plan(np.arange(50), first, train=2000, test=0, validation_items=0)])
    second = both.filter(pl.col("purpose") == "train", pl.col("wave") == 1).sort("position").head(400)
    # new items appear as often early as late: mixing, not appending
    early = (second.select("a", "b", "c").to_numpy() >= 40).sum()
    assert early > 400


def test_presented_orders_are_uniform_and_do_not_depend_on_the_row() -> None:
    ids = np.arange(60_000)
    drawn = triplets.presented_order(ids, 0, seed=0)
    assert chisquare(np.bincount(drawn, minlength=6)).pvalue > 1e-3
    shuffled = np.random.default_rng(0).permutation(ids)
    assert (triplets.presented_order(shuffled, 0, seed=0) == drawn[shuffled]).all()
    # independent over repeats and seeds
    for other in (triplets.presented_order(ids, 1, seed=0), triplets.presented_order(ids, 0, seed=1)):
        assert chisquare(np.bincount(drawn * 6 + other, minlength=36)).pvalue > 1e-3


def test_questions_write_out_orders_and_repeats() -> None:
    frame = plan(np.arange(60), train=2000, test=0, validation_items=0)
    asked = triplets.questions(frame, seed=3)
    assert asked.height == 2000 + 40 * 10 + 30 * 6 * 2
    assert asked.select("triplet_id", "presented", "repeat").is_unique().all()
    per_order = frame.filter(pl.col("purpose") == "panel").select("triplet_id").join(asked, on="triplet_id")
    orders = per_order.group_by("triplet_id", "repeat").agg(pl.col("presented").sort())["presented"].to_list()
    assert all(o == sorted(ORDERS) for o in orders)
    repeated = frame.filter(pl.col("purpose") == "ceiling").select("triplet_id").join(asked, on="triplet_id")
    assert repeated.group_by("triplet_id").agg(pl.col("repeat").sort())["repeat"].to_list() == [list(range(10))] * 40
    assert (
        triplets.questions(frame.reverse(), seed=3)
        .sort("triplet_id", "repeat", "presented")
        .equals(asked.sort("triplet_id", "repeat", "presented"))
    )
    assert triplets.questions(TRIPLETS.empty(), seed=0).is_empty()


def test_recorded_judgments_keep_planned_purposes_and_hold_out_a_tenth() -> None:
    planned = plan(np.arange(30), train=500)
    ids = np.arange(triplets.n_sets(30))
    given_purpose = triplets.purposes(ids, planned)
    joined = pl.DataFrame({"triplet_id": ids, "given": given_purpose}).join(planned, on="triplet_id")
    assert joined.height == planned.height
    assert (joined["given"] == joined["purpose"]).all()
    free = given_purpose.filter(~pl.Series(ids).is_in(planned["triplet_id"].implode()))
    assert 0.08 < (free == "test").mean() < 0.12  # type: ignore[operator]
    assert set(free) == {"train", "test"}
