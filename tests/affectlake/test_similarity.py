from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlake import similarity, spose
from affectlake.errors import InputError


def plain_rsm(weights):
    """The definition, pair by pair and third item by third item."""
    n = len(weights)
    s = weights.astype(np.float64) @ weights.astype(np.float64).T
    rsm = np.eye(n)
    for i, j in combinations(range(n), 2):
        thirds = [k for k in range(n) if k not in (i, j)]
        with np.errstate(over="ignore"):
            odds = 1 / (1 + np.exp(s[i, thirds] - s[i, j]) + np.exp(s[j, thirds] - s[i, j]))
        rsm[i, j] = rsm[j, i] = np.mean(odds)
    return rsm


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 30), st.sampled_from([0.1, 1.0, 4.0]))
def test_the_predicted_rsm_is_the_definition(seed, n, scale):
    weights = np.random.default_rng(seed).gamma(1.0, scale, size=(n, 5)).astype(np.float32)
    rsm = similarity.predicted_rsm(weights)
    assert rsm.dtype == np.float32
    np.testing.assert_allclose(rsm, plain_rsm(weights), atol=2e-6)
    assert (rsm == rsm.T).all()
    assert (np.diag(rsm) == 1).all()


def test_items_without_weights_are_kept_together_a_third_of_the_time():
    rsm = similarity.predicted_rsm(np.zeros((6, 4), np.float32))
    np.testing.assert_allclose(rsm[~np.eye(6, dtype=bool)], 1 / 3, rtol=1e-6)


def test_very_large_weights_give_certain_answers_and_no_nan():
    weights = np.zeros((5, 2), np.float32)
    weights[:2, 0] = 100
    weights[2:4, 1] = 100
    rsm = similarity.predicted_rsm(weights)
    assert np.isfinite(rsm).all()
    assert rsm[0, 1] == pytest.approx(1)
    assert rsm[0, 2] == pytest.approx(1 / 9)  # a third beside item 4, never beside their own partners


def test_the_order_of_items_does_not_matter():
    rng = np.random.default_rng(3)
    weights = rng.gamma(1.0, 0.7, size=(40, 6)).astype(np.float32)
    order = rng.permutation(40)
    once = similarity.predicted_rsm(weights)[np.ix_(order, order)]
    np.testing.assert_allclose(similarity.predicted_rsm(weights[order]), once, atol=1e-6)


def test_the_measured_rsm_is_kept_together_over_shown_together():
    triplets = np.array([[0, 1, 2], [0, 1, 2], [0, 2, 1], [0, 1, 3]])
    rsm = similarity.measured_rsm(triplets, 5)
    assert rsm[0, 1] == pytest.approx(3 / 4)
    assert rsm[0, 2] == pytest.approx(1 / 3)
    assert rsm[1, 2] == 0
    assert np.isnan(rsm[0, 4])
    assert (np.diag(rsm) == 1).all()


def test_counts_and_probabilities_weigh_judgments():
    rsm = similarity.measured_rsm([[0, 1, 2], [0, 2, 1]], 3, counts=[3, 1])
    assert rsm[0, 1] == pytest.approx(0.75)
    rsm = similarity.measured_rsm([[0, 1, 2]], 3, probabilities=[[0.2, 0.3, 0.5]])
    np.testing.assert_allclose([rsm[1, 2], rsm[0, 2], rsm[0, 1]], [0.2, 0.3, 0.5], rtol=1e-6)


def test_full_sampling_of_a_judge_measures_what_the_embedding_predicts():
    weights = np.random.default_rng(4).gamma(1.0, 0.8, size=(20, 4)).astype(np.float32)
    triplets = np.array(list(combinations(range(20), 3)))
    measured = similarity.measured_rsm(triplets, 20, probabilities=spose.probabilities(weights, triplets))
    np.testing.assert_allclose(measured, similarity.predicted_rsm(weights), atol=2e-6)


def test_two_items_have_no_predicted_rsm():
    with pytest.raises(InputError, match="at least 3 items"):
        similarity.predicted_rsm(np.ones((2, 3)))
