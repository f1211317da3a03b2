"""A judge that changes under the study's feet is noticed, one that does not is left in peace."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from affectlake import drift
from tests.affectlake._judges import DAY, asked, design, judge


@pytest.fixture(scope="module")
def planned():
    return design(panel=200, train=50)


def due(planned, answers, days):
    return drift.due(planned, answers, n=200, seed=0, now=DAY + timedelta(days=days))


def with_repeats(answers, planned):
    return answers.join(planned.select("triplet_id", "repeats"), on="triplet_id")


def test_sentinels_are_due_a_day_after_the_last_round_and_an_unfinished_round_goes_on(planned):
    first = judge(asked(planned, "panel"))
    assert due(planned, first.clear(), 5).is_empty()
    assert due(planned, first, 0.9).is_empty()
    one = due(planned, first, 1)
    assert one.height == 200
    assert set(one["repeat"]) == {2}
    assert one.join(first, on=["triplet_id", "presented"]).height == 400, "the first day asked it twice in this order"
    half = pl.concat([first, judge(one.head(100), day=1)])
    assert set(due(planned, half, 1.5)["repeat"]) == {2}
    assert set(due(planned, half, 2)["repeat"]) == {3}
    few = drift.due(planned, first, n=5, seed=0, now=DAY + timedelta(days=1))
    assert few["triplet_id"].to_list() == one["triplet_id"].to_list()[:5]


@pytest.mark.parametrize("taste", [1.0, 1e4])
def test_a_judge_that_stays_the_same_raises_no_alarm(planned, taste):
    first = judge(asked(planned, "panel"), taste=taste)
    later = [judge(due(planned, first, 1).with_columns(repeat=pl.lit(r, pl.Int32)), taste=taste, day=r) for r in (2, 3)]
    found = drift.rounds(with_repeats(pl.concat([first, *later]), planned))
    assert [(r.number, r.n, r.alarm) for r in found] == [(1, 200, False), (2, 200, False)]
    assert found[0].begun == DAY + timedelta(days=2)
    for r in found:
        assert r.agreement.low <= r.first_day.value <= r.agreement.high


def test_alarms_of_an_unchanged_judge_are_rare(planned):
    z = []
    for seed in range(60):
        first = judge(asked(planned, "panel"), taste=1.0, seed=seed)
        later = judge(due(planned, first, 1), taste=1.0, seed=seed, day=1)
        z += [r.z for r in drift.rounds(with_repeats(pl.concat([first, later]), planned))]
    assert np.mean(np.array(z) < drift.ALARM) < 0.05
    assert abs(np.mean(z)) < 0.5
    assert 0.7 < np.std(z) < 1.3


def test_another_model_behind_the_same_name_raises_one_and_is_named(planned):
    first = judge(asked(planned, "panel"), taste=1.5, model_returned="m-1")
    later = judge(due(planned, first, 1), taste=-1.5, day=1, model_returned="m-2")
    (found,) = drift.rounds(with_repeats(pl.concat([first, later]), planned))
    assert found.alarm
    assert found.models == ("m-2",)
    assert found.agreement.high < found.first_day.low


def test_a_judge_that_never_varied_and_now_always_differs_raises_one(planned):
    first = judge(asked(planned, "panel"), taste=1e4)
    later = judge(due(planned, first, 1), taste=-1e4, day=1)
    (found,) = drift.rounds(with_repeats(pl.concat([first, later]), planned))
    assert found.first_day.value == 1
    assert found.alarm
