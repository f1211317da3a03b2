import numpy as np
import pytest

from affectlake import reproducibility, spose
from affectlake.errors import InputError
from tests.affectlake._planted import judge, plant, recovered

N = 60


@pytest.fixture(scope="module")
def planted():
    return plant(N, 6, active=2, scale=0.9, seed=1)


@pytest.fixture(scope="module")
def answers(planted):
    return judge(planted, 20_000, seed=2)


def noisy(weights, sd, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(weights.shape[1])
    return np.maximum(0, weights + rng.normal(0, sd, weights.shape))[:, order].astype(np.float32)


def test_a_dimension_that_every_run_has_scores_one(planted):
    scores = reproducibility.reproducibility(planted, [planted, planted[:, ::-1]])
    np.testing.assert_allclose(scores.r, 1, atol=1e-6)


def test_the_mean_and_interval_are_fishers():
    rng = np.random.default_rng(0)
    dimension = rng.random((500, 1))
    runs = [dimension + rng.normal(0, sd, (500, 1)) + 1 for sd in (0.1, 0.2, 0.3)]
    r = np.array([np.corrcoef(dimension[:, 0], run[:, 0])[0, 1] for run in runs])
    z = np.arctanh(r)
    half = 1.96 * z.std(ddof=1) / np.sqrt(3)
    scores = reproducibility.reproducibility(dimension, runs)
    assert scores.r[0] == pytest.approx(np.tanh(z.mean()))
    assert scores.low[0] == pytest.approx(np.tanh(z.mean() - half))
    assert scores.high[0] == pytest.approx(np.tanh(z.mean() + half))


def test_empty_dimensions_of_a_run_take_no_part(planted):
    nearly = planted[:, :1] * 0.01
    assert reproducibility.reproducibility(planted[:, :1], [nearly]).r[0] == 0


def test_split_half_consistency_has_no_optimism_for_noise():
    rng = np.random.default_rng(1)
    weights, runs = rng.random((400, 20)), [rng.random((400, 40)) for _ in range(4)]
    assert abs(reproducibility.split_half(weights, runs).r.mean()) < 0.05
    assert reproducibility.reproducibility(weights, runs).r.mean() > 0.08


def test_split_half_consistency_finds_the_same_dimension(planted):
    assert (reproducibility.split_half(planted, [noisy(planted, 0.05, k) for k in range(3)]).low > 0.9).all()


def test_the_dimensions_that_all_runs_share_are_kept(planted):
    runs = [np.hstack([noisy(planted, 0.1, k), plant(N, 3, seed=50 + k)]) for k in range(5)]
    kept = reproducibility.greedy(runs, 6)
    assert kept.weights.shape == (N, 6)
    assert (recovered(kept.weights, planted) > 0.95).all()
    assert (np.diff(kept.weights.sum(axis=0)) <= 0).all()


def test_no_two_kept_dimensions_are_alike(planted):
    kept = reproducibility.greedy([noisy(planted, 0.2, k) for k in range(4)], 30)
    r = reproducibility.correlations(kept.weights, kept.weights)
    assert r[~np.eye(len(r), dtype=bool)].max() <= 0.4


def test_dimensions_are_matched_one_to_one(planted):
    order = np.array([3, 1, 5, 0, 2, 4])
    of_a, of_b, r = reproducibility.match(planted, planted[:, order])
    assert (order[of_b] == of_a).all()
    np.testing.assert_allclose(r, 1)


def test_embeddings_of_different_items_are_refused(planted):
    with pytest.raises(InputError, match="60 and 50 items"):
        reproducibility.correlations(planted, planted[:50])


@pytest.mark.parametrize("method", ["refit", "greedy"])
def test_planted_dimensions_are_reproducible(planted, answers, method):
    result = spose.fit_reproducible(answers, N, seeds=4, dimensions=20, dimensions_kept=6, method=method)
    assert result.weights.shape == (N, 6)
    assert len(result.runs) == 4
    assert (recovered(result.weights, planted) > 0.9).all()
    assert (result.reproducibility > 0.9).all()
    assert (result.reproducibility_low <= result.reproducibility).all()
    assert (result.reproducibility <= result.reproducibility_high).all()


def test_reproducible_fits_have_the_same_bits_twice(answers):
    settings = {"seeds": 3, "dimensions": 10, "dimensions_kept": 4, "l1": 0.03}
    first, second = (spose.fit_reproducible(answers, N, **settings) for _ in range(2))
    assert first.weights.tobytes() == second.weights.tobytes()
    np.testing.assert_array_equal(first.reproducibility, second.reproducibility)


def test_one_run_is_refused(answers):
    with pytest.raises(InputError, match="cannot show what is reproducible"):
        spose.fit_reproducible(answers, N, seeds=1)


def test_asking_for_more_dimensions_than_there_are_is_said(answers):
    result = spose.fit_reproducible(answers, N, seeds=2, dimensions=10, dimensions_kept=30, l1=0.03)
    assert result.weights.shape[1] < 30
    assert any("of the 30 dimensions asked for" in text for text in result.lacks)


def test_stability_is_the_r_with_the_best_match_and_its_interval_narrows_with_items(planted):
    same = reproducibility.stability(planted, planted[:, ::-1])
    np.testing.assert_allclose(same.r, 1)
    lacking = reproducibility.stability(planted, planted[:, 1:])
    assert lacking.r[0] < 0.6
    assert (lacking.low <= lacking.r).all()
    assert (lacking.r <= lacking.high).all()
    part = noisy(planted, 0.3, 0)
    few, many = (reproducibility.stability(planted[:n], part[:n]) for n in (20, len(planted)))
    assert (many.high - many.low).mean() < (few.high - few.low).mean()
    nothing = reproducibility.stability(planted, planted[:, :0])
    assert nothing.r.tolist() == nothing.low.tolist() == nothing.high.tolist() == [0] * planted.shape[1]


def test_the_interval_of_stability_covers_the_true_r_of_sparse_weights():
    """Fisher's formula for normal values would cover it in two fifths of these samples."""
    rng = np.random.default_rng(0)
    clips = 200_000
    weights = rng.gamma(1, 0.5, clips) * (rng.random(clips) < 0.15)
    again = np.maximum(weights * rng.gamma(10, 0.1, clips) + 0.05 * rng.normal(size=clips), 0)
    true, covered = np.corrcoef(weights, again)[0, 1], 0
    for _ in range(200):
        at = rng.integers(0, clips, 2180)
        found = reproducibility.stability(weights[at, None], again[at, None])
        covered += found.low[0] <= true <= found.high[0]
    assert covered / 200 > 0.87, "95 % nominal, and heavy tails"
