"""Noise ceilings equal those of simulations whose signal and noise are known."""

import numpy as np
import pytest

from affectlake.ceiling import repeat_ceiling, repeat_products, shared_ceiling, shared_products
from affectlake.errors import InputError


def repeated(signal, noise=1.0, stimuli=200, repeats=3, voxels=50, seed=0):
    rng = np.random.default_rng(seed)
    truth = signal**0.5 * rng.normal(size=(stimuli, voxels))
    shown = rng.permutation(np.repeat(np.arange(stimuli), repeats))
    return truth, shown, (truth[shown] + noise**0.5 * rng.normal(size=(len(shown), voxels))).astype(np.float32)


@pytest.mark.parametrize("signal", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("repeats", [2, 4])
def test_repeats_give_the_r_that_the_true_signal_reaches(signal, repeats):
    truth, shown, responses = repeated(signal, repeats=repeats)
    found = repeat_ceiling(repeat_products(responses, shown))
    best = np.mean([np.corrcoef(truth[shown, v], responses[:, v])[0, 1] for v in range(50)])
    assert found.value == pytest.approx((signal / (signal + 1)) ** 0.5, abs=0.03)
    assert found.value == pytest.approx(best, abs=0.03)
    assert found.low < found.value < found.high
    assert found.n_stimuli == 200


def test_stimuli_shown_once_do_not_count_and_numbers_of_repeats_may_differ():
    _, shown, responses = repeated(1.0)
    rng = np.random.default_rng(1)
    keep = np.concatenate([rng.permutation(np.flatnonzero(shown == s))[: 1 + s % 3] for s in range(200)])
    found = repeat_ceiling(repeat_products(responses[keep], shown[keep].astype(str)))
    assert found.n_stimuli == sum(s % 3 > 0 for s in range(200))
    assert found.value == pytest.approx(0.5**0.5, abs=0.04)


def test_products_are_those_of_the_definition():
    _, shown, responses = repeated(1.0, stimuli=12, voxels=3)
    z = (responses - responses.mean(0)) / responses.std(0)
    for stimulus, found in zip(range(12), repeat_products(responses, shown), strict=True):
        a, b, c = z[shown == stimulus]
        np.testing.assert_allclose(found, (a * b + a * c + b * c) / 3, atol=1e-5)


def test_noise_has_no_ceiling_in_nineteen_of_twenty_draws():
    none = 0
    for seed in range(200):
        _, shown, responses = repeated(0.0, stimuli=60, repeats=2, voxels=4, seed=seed)
        none += repeat_ceiling(repeat_products(responses, shown)).value is None
    assert none >= 185  # the interval is two-sided: 2.5 % lie above zero


def test_too_few_repeats_are_no_ceiling_and_it_says_so():
    _, shown, responses = repeated(1.0, stimuli=9)
    found = repeat_ceiling(repeat_products(responses, shown))
    assert (found.value, found.reason) == (None, "9 stimuli to compare, 10 are needed")
    assert repeat_ceiling(repeat_products(responses, np.arange(len(shown)))).n_stimuli == 0


def brains(common, own, n=400, voxels=40, subjects=5, seed=0):
    """Responses with a part common to all, a reproducible part of each subject, and noise of variance 1."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, voxels))
    return shared, {
        f"s{k}": (common**0.5 * shared + (1 + own) ** 0.5 * rng.normal(size=(n, voxels))).astype(np.float32)
        for k in range(subjects)
    }


@pytest.mark.parametrize("subjects", [2, 3, 6])
def test_other_subjects_give_the_r_that_the_common_signal_reaches(subjects):
    shared, found = brains(0.5, 0.3, subjects=subjects)
    of = shared_products(list(found), found.__getitem__)
    for name, responses in found.items():
        ceiling = shared_ceiling(of(name), np.arange(40))
        best = np.mean([np.corrcoef(shared[:, v], responses[:, v])[0, 1] for v in range(40)])
        assert ceiling.value == pytest.approx(best, abs=0.03)
        assert ceiling.value == pytest.approx((0.5 / 1.8) ** 0.5, abs=0.04)


def test_a_subject_of_less_signal_has_a_lower_ceiling_than_the_others():
    shared, found = brains(0.5, 0.0, subjects=4)
    found["s0"] = found["s0"] + 2 * np.random.default_rng(9).normal(size=shared.shape).astype(np.float32)
    of = shared_products(list(found), found.__getitem__)
    assert shared_ceiling(of("s0"), np.arange(40)).value == pytest.approx((0.5 / 5.5) ** 0.5, abs=0.04)
    assert shared_ceiling(of("s1"), np.arange(40)).value == pytest.approx((0.5 / 1.5) ** 0.5, abs=0.04)


def test_agreement_is_the_correlation_with_the_mean_of_the_others():
    _, found = brains(0.5, 0.0, subjects=3)
    z = {name: (y - y.mean(0)) / y.std(0) for name, y in found.items()}
    shared = shared_products(list(found), found.__getitem__)("s1")
    expected = [np.corrcoef(z["s1"][:, v], (z["s0"] + z["s2"])[:, v])[0, 1] for v in range(40)]
    np.testing.assert_allclose(shared.products.mean(0), expected, atol=1e-4)
    pairs = [np.corrcoef(z["s0"][:, v], z["s2"][:, v])[0, 1] for v in range(40)]
    np.testing.assert_allclose(shared.others, pairs, atol=1e-4)


@pytest.mark.parametrize("subjects", [2, 4])
def test_subjects_that_share_nothing_have_no_ceiling(subjects):
    _, found = brains(0.0, 0.0, subjects=subjects, voxels=3)
    ceiling = shared_ceiling(shared_products(list(found), found.__getitem__)("s0"), np.arange(3))
    assert ceiling.value is None
    assert "agree" in ceiling.reason


def test_voxels_that_do_not_vary_do_no_harm():
    _, found = brains(0.5, 0.0, subjects=3)
    found["s0"][:, 4] = 7
    shared = shared_products(list(found), found.__getitem__)("s0")
    assert np.isfinite(shared.products).all()
    assert not shared.products[:, 4].any()


def test_wrong_shapes_are_refused_in_words():
    _, found = brains(0.5, 0.0, subjects=2)
    with pytest.raises(InputError, match="1 subjects"):
        shared_products(["s0"], found.__getitem__)
    with pytest.raises(InputError, match="have shape"):
        shared_products(["a", "b"], {"a": found["s0"], "b": found["s1"][:5]}.__getitem__)
    with pytest.raises(InputError, match="stimuli"):
        repeat_products(found["s0"], np.arange(3))
