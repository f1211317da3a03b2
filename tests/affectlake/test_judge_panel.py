"""What the panel says of a judge is what was planted in it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from affectlake import judge_panel
from affectlake.judge_clips import clip_rates
from affectlake.tables import ATTEMPTS
from affectlake.triplets import rank
from tests.affectlake._judges import asked, design, judge

BIAS = (-0.5, 0.0, 0.5)


@pytest.fixture(scope="module")
def planned():
    return design(train=6000, panel=600, ceiling_triplets=300, ceiling_repeats=8)


def test_a_judge_without_a_favourite_place_is_not_accused_of_one(planned):
    found = judge_panel.places(judge(asked(planned, "train"), taste=2.0).lazy())
    assert sum(found.counts) == 6000
    assert found.p > 0.01
    assert all(e.low <= 1 / 3 <= e.high for e in found.shares)


def test_a_favourite_place_is_found_with_its_shares(planned):
    answers = judge(asked(planned, "train"), taste=0.0, bias=BIAS)
    found = judge_panel.places(answers.lazy())
    expected = np.exp(BIAS) / np.exp(BIAS).sum()
    assert [e.value for e in found.shares] == pytest.approx(expected, abs=0.02)
    assert found.p < 1e-6
    assert judge_panel.places(answers.sample(fraction=1, shuffle=True, seed=1).lazy()) == found


def test_uniform_places_are_rejected_as_often_as_the_test_says(planned):
    questions = asked(planned, "train").head(600)
    p = [judge_panel.places(judge(questions, taste=1.0, seed=seed).lazy()).p for seed in range(200)]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.10


@pytest.mark.parametrize("taste", [0.0, 1.5])
def test_the_preference_for_places_is_estimated_whatever_the_judge_thinks_of_the_clips(planned, taste):
    found = judge_panel.position_bias(judge(asked(planned, "panel"), taste=taste, bias=BIAS))
    assert [e.value for e in found.logits] == pytest.approx(BIAS, abs=0.1)
    assert all(e.low < b < e.high for e, b in zip(found.logits, BIAS, strict=True))


def test_the_interval_of_the_preference_covers_the_truth_as_often_as_it_says(planned):
    questions = asked(planned, "panel").filter(pl.col("triplet_id").rank("dense") <= 100)
    inside = [
        all(e.low < b < e.high for e, b in zip(f.logits, BIAS, strict=True))
        for f in (judge_panel.position_bias(judge(questions, taste=1.5, bias=BIAS, seed=s)) for s in range(40))
    ]
    assert np.mean(inside) > 0.8


def test_a_judge_of_places_alone_has_no_finite_preference_and_one_that_never_changes_has_none(planned):
    panel = asked(planned, "panel")
    assert judge_panel.position_bias(judge(panel, taste=0.0, bias=(0, 0, 60))) is None
    assert judge_panel.position_bias(judge(panel, taste=1e4)) is None


def test_a_judge_that_samples_nothing_repeats_itself_and_is_not_called_consistent_for_it(planned):
    found = judge_panel.self_agreement(judge(asked(planned, "panel"), taste=0.01, bias=(0, 0, 60)))
    assert found.n == 600
    assert found.repeatability.value == 1
    # of the five other orders of three clips one shows the same clip last
    assert found.consistency.value == pytest.approx(1 / 5)
    assert found.unanimous.value == 0


def test_a_judge_that_guesses_agrees_with_itself_by_chance_in_all_three_measures(planned):
    found = judge_panel.self_agreement(judge(asked(planned, "panel"), taste=0.0))
    for estimate in (found.repeatability, found.consistency):
        assert estimate.low < 1 / 3 < estimate.high
    limit = judge_panel.ceiling(judge(asked(planned, "ceiling"), taste=0.0))
    assert 0.45 < limit.value < 0.55  # the most frequent of eight guesses among three
    assert judge_panel.ceiling(judge(asked(planned, "train"))) is None


def test_a_judge_of_conviction_agrees_with_itself_in_every_order(planned):
    found = judge_panel.self_agreement(judge(asked(planned, "panel"), taste=1e4))
    assert found.repeatability.value == found.consistency.value == found.unanimous.value == 1
    assert judge_panel.ceiling(judge(asked(planned, "ceiling"), taste=1e4)).value == 1


def test_one_order_asked_once_says_nothing_of_repeats_or_orders():
    found = judge_panel.self_agreement(judge(asked(design(train=10), "train")))
    assert found.repeatability is None
    assert found.consistency is None
    assert judge_panel.self_agreement(judge(asked(design(train=10), "train")).clear()) is None


def test_near_ties_are_counted_where_there_are_probabilities(planned):
    answers = judge(asked(planned, "train").head(3), soft=True)
    p = np.array([[0.34, 0.33, 0.33], [0.5, 0.44, 0.06], [0.45, 0.42, 0.13]], np.float32)
    answers = answers.with_columns(pl.Series(f"p_{x}", p[:, k]) for k, x in enumerate("abc"))
    assert judge_panel.near_ties(answers.lazy()) == (2, 3)
    assert judge_panel.near_ties(judge(asked(planned, "train")).lazy()) == (0, 0)


def test_only_the_newest_wording_counts_and_judgments_of_unknown_order_do_not(planned):
    questions = asked(planned, "train").head(100)
    old, new = judge(questions, day=0), judge(questions, day=1, prompt_version="v2")
    other = judge(questions, day=2, prompt_version="file").with_columns(presented=pl.lit("unknown"))
    found = judge_panel.current(pl.concat([new, old, other]).lazy()).collect()
    assert set(found["prompt_version"]) == {"v2"}
    assert found.height == 100
    assert judge_panel.current(other.lazy()).collect().is_empty()


def test_quantiles_are_those_of_the_answers(planned):
    answers = judge(asked(planned, "train").head(101), latency_s=np.arange(101, dtype=np.float32))
    found = judge_panel.quantiles(answers.lazy(), ("latency_s", "tokens_in"))
    assert found["latency_s"] == pytest.approx((50, 90, 99))
    assert found["tokens_in"] == (None, None, None)


def failed(questions, reason):
    """Rows of ``attempts`` at some questions, one each."""
    zero = {pl.String: pl.lit(""), pl.Int32: pl.lit(0), pl.Boolean: pl.lit(True)}
    columns = [zero.get(t, pl.lit(None)).cast(t).alias(n) for n, t in ATTEMPTS.schema.items() if n != "triplet_id"]
    return questions.select("triplet_id", *columns).with_columns(reason=pl.lit(reason)).select(ATTEMPTS.schema.names())


def test_a_clip_that_the_judge_will_not_speak_of_stands_out_and_its_neighbours_do_not():
    questions = asked(design(train=5000), "train")
    hit = (questions.select("a", "b", "c").to_numpy() == 7).any(axis=1)
    refused = questions.filter(pl.Series(hit))
    answers = judge(questions.filter(pl.Series(~hit)))
    invalid = failed(answers.sample(200, seed=0), "length")
    transport = failed(answers.head(50), "error")
    attempts = pl.concat([failed(refused, "refused"), invalid, transport])
    found = clip_rates(answers.lazy(), attempts.lazy())
    assert found.filter("refused_stands_out")["item"].to_list() == [7]
    assert found.filter(item=7).select("n", "n_refused", "refused").row(0) == (refused.height, refused.height, 1.0)
    assert found.filter("invalid_stands_out").is_empty()
    assert found["n_invalid"].sum() == 3 * 200
    assert found["n"].sum() == 3 * (answers.height + refused.height + 200)


def test_a_single_refusal_is_no_alarm_though_the_median_clip_has_none():
    answers = judge(asked(design(train=400), "train"))
    once = pl.DataFrame({"triplet_id": rank(np.array([[1, 2, 3]]))})
    found = clip_rates(answers.lazy(), failed(once, "refused").lazy())
    assert found["n_refused"].sum() == 3
    assert not found["refused_stands_out"].any()
    assert clip_rates(answers.lazy(), ATTEMPTS.empty().lazy())["refused"].sum() == 0
