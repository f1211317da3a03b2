import numpy as np
import pytest

from affectlake import similarity, similarity_fit, spose
from tests.affectlake._planted import judge, plant


@pytest.fixture(scope="module")
def planted():
    return plant(80, 6, active=2, scale=0.9, seed=1)


@pytest.fixture(scope="module")
def answers(planted):
    return judge(planted, 5000, seed=2)


def test_the_rsm_fit_is_pearson_over_the_pairs_that_were_shown(planted, answers):
    measured = similarity.measured_rsm(answers[:900], 80)
    predicted = similarity.predicted_rsm(planted)
    assert np.isnan(measured).any()
    estimate = similarity_fit.rsm_fit(predicted, measured)
    shown = np.isfinite(similarity.upper(measured))
    r = np.corrcoef(similarity.upper(predicted)[shown], similarity.upper(measured)[shown])[0, 1]
    assert estimate.value == pytest.approx(r)
    assert estimate.low < r < estimate.high


def test_the_bootstrap_interval_has_the_width_of_theory():
    rng = np.random.default_rng(5)
    n = 70
    x, y = rng.normal(size=(2, n, n))
    estimate = similarity_fit.rsm_fit(x, 0.5 * x + y)
    width = np.arctanh(estimate.high) - np.arctanh(estimate.low)
    assert width == pytest.approx(2 * 1.96 / np.sqrt(n * (n - 1) / 2 - 3), rel=0.1)


def test_more_dimensions_fit_better_and_the_last_value_is_the_full_fit(planted, answers):
    measured = similarity.measured_rsm(answers, 80)
    weights = spose.prune(planted)
    curve = similarity_fit.rsm_fit_by_dimensions(weights, measured)
    assert len(curve) == weights.shape[1]
    assert curve[-1] == similarity_fit.rsm_fit(similarity.predicted_rsm(weights), measured)
    assert curve[-1].value > curve[0].value
    assert all(e.low <= e.value <= e.high for e in curve)


def test_dimensions_that_predict_the_same_for_every_pair_fit_nothing(answers):
    measured = similarity.measured_rsm(answers, 80)
    curve = similarity_fit.rsm_fit_by_dimensions(np.ones((80, 2), np.float32), measured)
    assert [e.value for e in curve] == [0, 0]
