"""A fit that is killed is gone on with where it was, and nobody sees it in the result."""

from __future__ import annotations

import numpy as np
import pytest

from affectlake import spose
from tests.affectlake._planted import judge, plant

N = 60


class KilledError(Exception):
    """Stands for a process that dies."""


class Kept:
    """Keeps snapshots in memory and dies when the ``last`` one has come."""

    def __init__(self, last: int = 10**9) -> None:
        self.snapshots: dict[int, spose.Snapshot] = {}
        self.n_taken, self.last = 0, last

    def load(self, seed: int) -> spose.Snapshot | None:
        return self.snapshots.get(seed)

    def save(self, snapshot: spose.Snapshot) -> None:
        self.snapshots[snapshot.seed] = snapshot
        self.n_taken += 1
        if self.n_taken == self.last:
            raise KilledError


@pytest.fixture(scope="module")
def few():
    """So few judgments that dimensions are grown."""
    return judge(plant(N, 5, active=2, scale=0.9, seed=1), 3000, seed=2)


@pytest.fixture(scope="module")
def many():
    return judge(plant(N, 5, active=2, scale=0.9, seed=1), 12_000, seed=2)


@pytest.mark.parametrize("judgments", ["few", "many"])
def test_a_killed_fit_goes_on_to_the_same_bits(judgments, request):
    triplets = request.getfixturevalue(judgments)
    whole = spose.fit(triplets, N, dimensions=12, seed=4, device="cpu")
    kept = Kept(last=8)
    with pytest.raises(KilledError):
        spose.fit(triplets, N, dimensions=12, seed=4, device="cpu", checkpoints=kept)
    kept.last = 10**9
    later = spose.fit(triplets, N, dimensions=12, seed=4, device="cpu", checkpoints=kept)
    assert kept.n_taken == 20, "what was done was not done again"
    assert later.weights.tobytes() == whole.weights.tobytes()
    assert (later.l1, later.history) == (whole.l1, whole.history)


def test_a_killed_fit_over_seeds_goes_on_to_the_same_bits(many):
    settings = {"dimensions": 12, "l1": 0.03, "seeds": 3, "dimensions_kept": 5, "device": "cpu"}
    whole = spose.fit_reproducible(many, N, **settings)
    kept = Kept(last=33)
    with pytest.raises(KilledError):
        spose.fit_reproducible(many, N, **settings, checkpoints=kept)
    later = spose.fit_reproducible(many, N, **settings, checkpoints=kept)
    assert later.weights.tobytes() == whole.weights.tobytes()
    assert [r.tobytes() for r in later.runs] == [r.tobytes() for r in whole.runs]


def test_position_intercepts_survive_a_kill(many):
    positions = np.random.default_rng(3).permuted(np.tile(np.arange(3), (len(many), 1)), axis=1)
    settings = {"dimensions": 8, "l1": 0.03, "positions": positions, "device": "cpu"}
    whole = spose.fit(many, N, **settings)
    kept = Kept(last=5)
    with pytest.raises(KilledError):
        spose.fit(many, N, **settings, checkpoints=kept)
    later = spose.fit(many, N, **settings, checkpoints=kept)
    assert later.position_intercepts.tobytes() == whole.position_intercepts.tobytes()


def test_a_snapshot_of_other_judgments_is_not_gone_on_with(many, few):
    kept = Kept(last=8)
    with pytest.raises(KilledError):
        spose.fit(few, N, dimensions=8, l1=0.03, device="cpu", checkpoints=kept)
    alone = spose.fit(many, N, dimensions=8, l1=0.03, device="cpu")
    assert spose.fit(many, N, dimensions=8, l1=0.03, device="cpu", checkpoints=kept).weights.tobytes() == (
        alone.weights.tobytes()
    )


def test_fit_reproducible_finds_a_preference_for_a_place():
    rng = np.random.default_rng(13)
    planted = plant(N, 5, active=2, scale=0.9, seed=1)
    asked = judge(planted, 15_000, seed=13)
    positions = rng.permuted(np.tile(np.arange(3), (len(asked), 1)), axis=1)
    bias = np.array([-0.4, -0.1, 0.5])
    p = spose.probabilities(planted, asked) * np.exp(bias)[positions]
    odd = (np.log(p) + rng.gumbel(size=p.shape)).argmax(axis=1)
    turn = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]
    triplets, positions = np.take_along_axis(asked, turn, 1), np.take_along_axis(positions, turn, 1)
    found = spose.fit_reproducible(triplets, N, dimensions=10, l1=0.02, seeds=2, positions=positions)
    np.testing.assert_allclose(found.position_intercepts, bias, atol=0.08)
