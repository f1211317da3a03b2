"""Decoding: known answers, what identification means, an honest null."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, pearsonr
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from affectlake.decoding import decode, identification
from affectlake.errors import InputError


def planted(signal: float = 1.0, *, seed: int = 0, v: int = 15, d: int = 5, runs: int = 6, per_run: int = 20):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(runs * per_run, d))
    brain = signal * scores @ rng.normal(size=(d, v)) + rng.normal(size=(len(scores), v))
    return brain.astype(np.float32), scores, np.repeat(np.arange(runs), per_run)


def by_hand(predicted: np.ndarray, scores: np.ndarray) -> float:
    wins = [
        pearsonr(predicted[i], scores[i])[0] > pearsonr(predicted[i], scores[j])[0]
        for i in range(len(scores))
        for j in range(len(scores))
        if i != j
    ]
    return float(np.mean(wins))


def test_identification_counts_the_pairs_in_which_a_clip_is_told_from_another():
    rng = np.random.default_rng(0)
    scores, noise = rng.normal(size=(2, 12, 6))
    assert identification(scores + noise, scores) == pytest.approx(by_hand(scores + noise, scores))
    assert identification(scores, scores) == 1
    assert identification(-scores, scores) < 0.2
    assert identification(np.ones_like(scores), scores) == 0.5, "a prediction that says nothing is chance"


@pytest.mark.parametrize("v", [8, 200])
def test_predictions_are_those_of_ridge_with_one_penalty_a_fold(v):
    brain, scores, runs = planted(v=v)
    found = decode(brain, scores, runs, alphas=[0.1, 10.0, 1000.0])
    assert len(np.unique(found.fold)) == 6
    for held, alpha in enumerate(found.alpha):
        train = runs != held
        scale = StandardScaler().fit(brain[train].astype(float))
        model = Ridge(alpha).fit(scale.transform(brain[train].astype(float)), scores[train])
        expected = model.predict(scale.transform(brain[~train].astype(float)))
        np.testing.assert_allclose(found.predicted[~train], expected, atol=1e-6)
    r = [
        np.mean([pearsonr(found.predicted[runs == f, k], scores[runs == f, k])[0] for f in range(6)]) for k in range(5)
    ]
    np.testing.assert_allclose(found.r, r, atol=1e-6)
    assert found.mean_r == pytest.approx(np.mean(r))


def test_planted_scores_are_read_and_significant():
    brain, scores, runs = planted()
    found = decode(brain, scores, runs, null=99)
    assert found.accuracy > 0.9
    assert found.p_accuracy == found.p_r == 0.01
    assert found.null_accuracy.mean() == pytest.approx(0.5, abs=0.02)


def test_a_score_of_large_values_does_not_decide_alone():
    brain, scores, runs = planted()
    wide = scores * np.array([1, 1, 1, 1, 1e6])
    one, other = (decode(brain, s, runs, alphas=[10.0]) for s in (scores, wide))
    assert other.accuracy == pytest.approx(one.accuracy, abs=1e-9)


def test_a_joint_shuffle_of_rows_changes_nothing():
    brain, scores, runs = planted(0.3)
    trials, order = np.tile(np.arange(20), 6), np.random.default_rng(1).permutation(120)
    one = decode(brain, scores, runs, trials=trials, null=19, seed=3)
    other = decode(brain[order], scores[order], runs[order], trials=trials[order], null=19, seed=3)
    assert other.accuracy == pytest.approx(one.accuracy, abs=1e-12)
    assert other.p_accuracy == one.p_accuracy
    np.testing.assert_allclose(other.predicted, one.predicted[order], atol=1e-9)


def test_a_leak_through_repeated_stimuli_is_caught():
    rng = np.random.default_rng(0)
    stimulus = np.tile(np.arange(20), 6)
    brain = rng.normal(size=(20, 30))[stimulus] + 0.1 * rng.normal(size=(120, 30))
    scores, runs = rng.normal(size=(20, 4))[stimulus], np.repeat(np.arange(6), 20)
    assert decode(brain, scores, runs).accuracy > 0.9, "the canary sings: each clip stands on both sides"
    with pytest.raises(InputError, match="train"):
        decode(brain, scores, runs, exclusive=stimulus)


@pytest.mark.parametrize("draws", [40, pytest.param(300, marks=pytest.mark.long)])
def test_unrelated_scores_are_read_at_chance_and_p_is_uniform(draws):
    found = [
        decode(*planted(0, seed=seed, per_run=10), null=49, alphas=[1.0, 100.0], seed=seed) for seed in range(draws)
    ]
    accuracy = np.array([f.accuracy for f in found])
    assert abs(accuracy.mean() - 0.5) < 2.6 * accuracy.std(ddof=1) / draws**0.5
    spread = np.random.default_rng(0).random(draws) / 50
    for p in ([f.p_accuracy for f in found], [f.p_r for f in found]):
        assert kstest(np.array(p) - spread, "uniform").pvalue > 0.01


def test_too_few_scores_and_wrong_shapes_are_refused_in_words():
    brain, scores, runs = planted()
    with pytest.raises(InputError, match="1 score was given"):
        decode(brain, scores[:, :1], runs)
    with pytest.raises(InputError, match="rows"):
        decode(brain[:5], scores, runs)
    with pytest.raises(InputError, match="two or more stimuli"):
        identification(scores[:1], scores[:1])


def test_progress_counts_up_to_its_total():
    seen: list[tuple[int, int]] = []
    decode(*planted(), null=5, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (1, 6)
    assert seen[-1] == (6, 6)
