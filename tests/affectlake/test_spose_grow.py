"""Where judgments are few, dimensions that a random start misses are grown, and only those that are there."""

import numpy as np
import pytest

from affectlake import _spose_grow as grow
from affectlake import spose
from affectlake._spose_cpu import State, pad
from affectlake._spose_data import judgments
from affectlake._spose_path import hold_out
from affectlake.reproducibility import correlations
from tests.affectlake._planted import judge, plant

N = 120


@pytest.fixture(scope="module")
def planted():
    return plant(N, 8, active=2, scale=0.9, seed=21)


@pytest.fixture(scope="module")
def split(planted):
    return hold_out(judgments(judge(planted, 12_000, seed=22), N), np.random.default_rng(0))


def test_few_judgments_an_item_are_scarce(planted):
    assert grow.scarce(judgments(judge(planted, 12_000, seed=1), N))
    assert not grow.scarce(judgments(judge(planted, 25_000, seed=1), N))
    assert not grow.scarce(judgments(judge(planted, 100, seed=1), N))


def test_a_missing_dimension_is_among_the_candidates(planted, split):
    _, train = split
    for missing in (0, 7):
        without = State(pad(np.delete(planted, missing, axis=1)))
        found = grow.candidates(without, train, np.random.default_rng(1))
        assert found.min() >= 0
        assert correlations(planted[:, [missing]], found).max() > 0.5


def test_growth_brings_a_missing_dimension_back(planted, split):
    held, train = split
    without = State(pad(np.delete(planted, 3, axis=1)))
    assert correlations(planted[:, [3]], without.weights).max() < 0.5
    grown = grow.grow(without, train, held, 0.02, np.random.default_rng(2))
    assert correlations(planted[:, [3]], grown.weights).max() > 0.8


def test_a_dimension_without_meaning_is_pruned_and_the_others_stay(planted, split):
    held, _ = split
    nonsense = np.random.default_rng(3).permutation(planted[:, :1])
    kept, _ = grow.pruned(State(pad(np.hstack([planted, nonsense]))), held)
    r = correlations(planted, kept.weights).max(axis=1)
    assert (r > 0.99).all()
    assert kept.weights.any(axis=0).sum() == 8


def test_a_grown_fit_has_the_same_bits_in_any_row_order(planted):
    answers = judge(planted, 3000, seed=23)
    shuffled = np.random.default_rng(4).permutation(answers)
    one, two = (spose.fit(t, N, dimensions=16, l1=0.06, seed=5) for t in (answers, shuffled))
    assert one.weights.shape[1] > 0
    assert one.weights.tobytes() == two.weights.tobytes()


def test_l1_is_chosen_by_grown_fits(planted):
    fitted = spose.fit(judge(planted, 5000, seed=24), N, dimensions=16)
    path = fitted.history["path"]
    assert fitted.l1 == min(path, key=lambda p: p["cross_entropy"])["l1"]
    assert [p["l1"] for p in path] == sorted(p["l1"] for p in path)
