"""A judge whose space, temperature, lapses and bias are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from affectlake.errors import InputError
from resources.agents.simulated import SimulatedAgent
from resources.study import SimulatedModel


def softmax(toy: Any, judgments: pl.DataFrame, temperature: float) -> np.ndarray[Any, Any]:
    x, y, z = (toy.space[judgments[k].to_numpy()].astype(float) for k in "abc")
    logits = np.stack([(y * z).sum(1), (x * z).sum(1), (x * y).sum(1)], axis=1) / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def test_choices_follow_the_softmax_of_the_planted_space(toy: Any) -> None:
    agent = toy.agent("planted")
    found = toy.answers(agent, toy.questions(agent, 6000))
    assert found.attempts.is_empty()
    assert found.judgments["p_a"].is_null().all()
    expected = softmax(toy, found.judgments, 0.5)
    chosen = found.judgments.select((pl.col("odd") == pl.col(k)).cast(pl.Float64).alias(k) for k in "abc").to_numpy()
    # calibration: where the model says p, the share chosen is p
    for low in np.arange(0, 1, 0.2):
        inside = (expected >= low) & (expected < low + 0.2)
        n = inside.sum()
        assert abs(chosen[inside].mean() - expected[inside].mean()) < 4 * 0.5 / np.sqrt(n)


def test_answers_depend_on_the_question_alone(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = toy.agent("biased")
    questions = toy.questions(agent)
    whole = toy.answers(agent, questions).judgments.drop("judged_at")
    monkeypatch.setattr("resources.agents.local.CHUNK", 13)
    some = questions.sample(fraction=0.3, shuffle=True, seed=0)
    parts = toy.answers(toy.agent("biased"), some).judgments.drop("judged_at")
    assert parts.join(whole, on=whole.columns, how="semi", nulls_equal=True).height == some.height


def test_another_seed_and_another_repeat_are_other_draws(toy: Any) -> None:
    agent = toy.agent("planted")
    questions = toy.questions(agent)
    settings = toy.study.model("planted")
    other = SimulatedAgent(settings.model_copy(update={"seed": 9}), toy.stimuli, toy.study)
    again = questions.with_columns(pl.col("repeat") + 1)
    first = toy.answers(agent, questions).judgments["odd"]
    for second in (toy.answers(other, questions), toy.answers(agent, again)):
        assert 0.3 < (first == second.judgments["odd"]).mean() < 0.95
    assert other.prompt_version != agent.prompt_version


def test_a_lapsing_judge_guesses(toy: Any) -> None:
    agent = toy.agent("lapsing")
    judgments = toy.answers(agent, toy.questions(agent, 6000)).judgments
    for k in "abc":
        assert (judgments["odd"] == judgments[k]).mean() == pytest.approx(1 / 3, abs=0.025)


def test_the_position_bias_is_the_one_that_was_set(toy: Any) -> None:
    agent = toy.agent("biased")
    judgments = toy.answers(agent, toy.questions(agent, 6000)).judgments
    expected = softmax(toy, judgments, 5.0)
    place = np.array([[order.index(k) for k in "abc"] for order in judgments["presented"]])
    chosen = judgments.select((pl.col("odd") == pl.col(k)).alias(k) for k in "abc").to_numpy()
    at = place[chosen]
    # chance by position under the known bias, averaged over the questions
    bias = np.array([-0.5, 0.0, 1.0])
    biased = expected * np.exp(bias[place])
    biased /= biased.sum(axis=1, keepdims=True)
    for position in range(3):
        assert (at == position).mean() == pytest.approx((biased * (place == position)).sum(axis=1).mean(), abs=0.025)


def test_a_space_that_does_not_fit_is_refused(toy: Any) -> None:
    (toy.folder / "ids.txt").write_text("v00\nv01\n")
    with pytest.raises(InputError, match=r"has 40 rows, ids\.txt names 2"):
        toy.agent("planted")


def test_a_space_of_other_clips_is_refused(toy: Any) -> None:
    np.save(toy.folder / "two.npy", np.ones((2, 3)))
    (toy.folder / "two.txt").write_text("x\ny\n")
    settings = SimulatedModel(name="m", agent="simulated", file="two.npy", ids="two.txt")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="not one of its 2 ids is the study's"):
        SimulatedAgent(settings, toy.stimuli, toy.study)
