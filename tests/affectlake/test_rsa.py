"""RSA: known answers, the fast searchlight against the exact one, honest p-values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, pearsonr, rankdata, spearmanr

from affectlake import rsa
from affectlake.errors import InputError


def planted(seed=0, n=40, v=50, signal=0.3):
    """A model's similarities and responses that share its space."""
    rng = np.random.default_rng(seed)
    space = rng.normal(size=(n, 6))
    responses = signal * space @ rng.normal(size=(6, v)) + rng.normal(size=(n, v))
    return np.corrcoef(space), responses.astype(np.float32)


def grid(shape=(7, 6, 5)):
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)


def triangle(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


def test_roi_is_the_correlation_of_upper_triangles():
    model, responses = planted()
    brain = np.corrcoef(responses)
    assert rsa.roi(model, responses) == pytest.approx(pearsonr(triangle(model), triangle(brain))[0], abs=1e-6)
    rho = spearmanr(triangle(model), triangle(brain))[0]
    assert rsa.roi(model, responses, method="spearman") == pytest.approx(rho, abs=1e-5)


def test_a_regions_own_similarities_correlate_perfectly():
    _, responses = planted()
    assert rsa.roi(np.corrcoef(responses), responses) == pytest.approx(1, abs=1e-6)


def test_controls_are_partialled_out():
    model, responses = planted()
    control = planted(seed=1)[0] + model
    sides = [triangle(m) for m in (model, np.corrcoef(responses.astype(float)))]
    design = np.column_stack([np.ones(sides[0].size), triangle(control)])
    residuals = [s - design @ np.linalg.lstsq(design, s, rcond=None)[0] for s in sides]
    assert rsa.roi(model, responses, controls=[control]) == pytest.approx(pearsonr(*residuals)[0], abs=1e-5)
    assert rsa.roi(model, responses, controls=[model]) == 0


def test_a_joint_shuffle_of_stimuli_changes_nothing():
    model, responses = planted()
    order = np.random.default_rng(0).permutation(len(model))
    for method in ("pearson", "spearman"):
        one = rsa.roi(model, responses, method=method)
        assert rsa.roi(model[np.ix_(order, order)], responses[order], method=method) == pytest.approx(one, abs=1e-6)


def test_the_null_is_the_score_of_exchanged_stimuli():
    model, responses = planted()
    test = rsa.roi_test(model, responses, null=3, seed=5)
    rng = np.random.default_rng(5)
    for value in test.null:
        order = rng.permutation(len(model))
        assert value == pytest.approx(rsa.roi(model[np.ix_(order, order)], responses), abs=1e-5)


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_a_planted_effect_is_significant(method):
    model, responses = planted()
    test = rsa.roi_test(model, responses, method=method, null=199)
    assert test.p == 1 / 200
    assert test.rho == pytest.approx(rsa.roi(model, responses, method=method), abs=1e-6)


def test_many_models_and_regions_are_tested_as_each_alone(monkeypatch):
    models = {name: planted(seed)[0] for seed, name in enumerate("ab")}
    regions = {name: planted(seed)[1] for seed, name in enumerate("xyz")}
    monkeypatch.setattr(rsa, "STACK_BYTES", 2 * 4 * 40**2)  # two regions at a time
    together = rsa.roi_tests(models, regions, null=30, seed=1, controls=[planted(9)[0]])
    assert len(together) == 6
    alone = rsa.roi_test(models["b"], regions["z"], null=30, seed=1, controls=[planted(9)[0]])
    assert together["b", "z"].rho == pytest.approx(alone.rho, abs=1e-6)
    np.testing.assert_allclose(together["b", "z"].null, alone.null, atol=1e-6)


@pytest.mark.parametrize("draws", [60, pytest.param(500, marks=pytest.mark.long)])
def test_without_an_effect_p_is_uniform(draws):
    tests = [rsa.roi_test(*planted(seed, n=20, v=30, signal=0), null=99, seed=seed) for seed in range(draws)]
    p = np.array([t.p for t in tests]) - np.random.default_rng(0).random(draws) / 100
    assert kstest(p, "uniform").pvalue > 0.01
    rho = np.array([t.rho for t in tests])
    assert abs(rho.mean()) < 2.6 * rho.std(ddof=1) / draws**0.5


def test_sides_that_do_not_vary_score_zero():
    model, responses = planted()
    assert rsa.roi(np.ones_like(model), responses) == 0
    assert rsa.roi_test(np.ones_like(model), responses, null=9).p == 1
    assert rsa.roi(model, np.ones_like(responses)) == 0


@pytest.mark.parametrize("shape", ["sphere", "cube"])
def test_exact_searchlight_is_roi_around_each_voxel(shape):
    ijk = grid()
    model, responses = planted(v=len(ijk))
    scores = rsa.searchlight(model[None], responses, ijk, radius=1.5, shape=shape, exact=True)
    for voxel in (0, 17, 100):
        offset = np.abs(ijk - ijk[voxel])
        near = (offset.max(1) <= 1.5) if shape == "cube" else (offset**2).sum(1) <= 1.5**2
        assert scores[0, voxel] == pytest.approx(rsa.roi(model, responses[:, near]), abs=1e-5)


def test_fast_searchlight_is_within_a_thousandth_of_the_exact_one():
    ijk = grid()
    rng = np.random.default_rng(0)
    _, responses = planted(n=120, v=len(ijk))
    weights = rng.gamma(1, size=(120, 12))
    noise = rng.normal(size=(120, 120))
    models = np.stack([np.corrcoef(weights), np.exp(-((weights[:, None] - weights) ** 2).sum(-1) / 9), noise + noise.T])
    fast = rsa.searchlight(models, responses, ijk, radius=2)
    exact = rsa.searchlight(models, responses, ijk, radius=2, exact=True)
    assert np.abs(fast - exact).max() < 1e-3


def test_what_a_card_computes_is_what_a_core_computes(monkeypatch):
    """The arithmetic for cards, on this machine's CPU."""
    from affectlake import _searchlight

    ijk = grid((5, 5, 5))
    model, responses = planted(n=60, v=len(ijk))
    responses[7] = 0  # one clip without a pattern
    core = rsa.searchlight(model[None], responses, ijk, radius=2)
    monkeypatch.setattr(_searchlight, "_OnCore", _searchlight._OnCard)
    np.testing.assert_allclose(rsa.searchlight(model[None], responses, ijk, radius=2), core, atol=1e-5)


def test_raw_signal_far_from_zero_and_patterns_that_do_not_vary_score_as_in_the_exact_form():
    ijk = grid((5, 5, 5))
    model, responses = planted(n=60, v=len(ijk))
    responses = (1000 + 10 * responses).astype(np.float32)
    responses[7] = 1000  # one clip without a pattern
    fast, exact = (rsa.searchlight(model[None], responses, ijk, radius=2, exact=e) for e in (False, True))
    assert np.abs(fast - exact).max() < 1e-3


def test_a_model_that_tells_no_clips_apart_scores_zero_beside_one_that_does():
    ijk = grid((4, 4, 4))
    model, responses = planted(n=200, v=len(ijk))
    scores = rsa.searchlight(np.stack([np.ones_like(model), model]), responses, ijk, radius=1)
    assert (scores[0] == 0).all()
    np.testing.assert_array_equal(scores[1:], rsa.searchlight(model[None], responses, ijk, radius=1))


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    import torch

    from affectlake import _ridge

    ijk = grid((7, 7, 7))
    model, responses = planted(v=len(ijk))
    monkeypatch.setattr(_ridge, "SMALL_WORK", 0.0)
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(rsa.searchlight(model[None], responses, ijk, radius=2))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_searchlight_does_not_depend_on_the_order_of_voxels_or_stimuli():
    ijk = grid((4, 4, 4))
    model, responses = planted(v=len(ijk))
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(len(model)), rng.permutation(len(ijk))
    one = rsa.searchlight(model[None], responses, ijk, radius=1)
    other = rsa.searchlight(model[rows][:, rows][None], responses[rows][:, columns], ijk[columns], radius=1)
    np.testing.assert_allclose(one[0, columns], other[0], atol=1e-3)


def test_lonely_voxels_are_not_scored_and_say_so():
    model, responses = planted(v=3)
    scores = rsa.searchlight(model[None], responses, np.array([[0, 0, 0], [0, 0, 1], [9, 9, 9]]), radius=1)
    assert list(np.isnan(scores[0])) == [False, False, True]


def test_a_planted_spot_is_found():
    ijk = grid((9, 9, 9))
    model, responses = planted(v=len(ijk), signal=0)
    spot = ((ijk - 4) ** 2).sum(1) <= 4
    responses[:, spot] = planted(v=int(spot.sum()), signal=0.6)[1]
    scores = rsa.searchlight(model[None], responses, ijk, radius=2)[0]
    assert ((ijk[np.argmax(scores)] - 4) ** 2).sum() <= 4
    assert scores[((ijk - 4) ** 2).sum(1) > 25].max() < scores[spot].max() / 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, y: rsa.roi(m[:5, :5], y), "same stimuli"),
        (lambda m, y: rsa.roi(m + np.arange(len(m)), y), "symmetric"),
        (lambda m, y: rsa.roi(np.full_like(m, np.nan), y), "NaN"),
        (lambda m, y: rsa.roi(m, y, method="kendall"), "kendall"),
        (lambda m, y: rsa.roi_test(m, y, null=0), "permutations"),
        (lambda m, y: rsa.searchlight(m, y, np.zeros((50, 3), int), radius=1), "models"),
        (lambda m, y: rsa.searchlight(m[None], y, np.zeros((50, 3), int), radius=1), "coordinates"),
        (lambda m, y: rsa.searchlight(m[None], y, np.arange(150).reshape(50, 3), radius=0), "radius"),
    ],
)
def test_wrong_input_is_refused_in_words(call, words):
    with pytest.raises(InputError, match=words):
        call(*planted())


def test_ranks_of_ties_are_averaged():
    model, responses = planted()
    coarse = np.round(model, 1)
    brain = np.corrcoef(responses)
    expected = np.corrcoef(rankdata(triangle(coarse)), rankdata(triangle(brain)))[0, 1]
    assert rsa.roi(coarse, responses, method="spearman") == pytest.approx(expected, abs=1e-5)
