"""Random numbers that depend on their key alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from affectlake.counterhash import below, counter_hash, splitmix64, uniform


def test_splitmix64_gives_the_published_numbers() -> None:
    # first outputs of the reference implementation for the seeds 0 and 1234567
    assert int(splitmix64(np.array(0, dtype=np.uint64))) == 0xE220A8397B1DCDAF
    assert int(splitmix64(np.array(1234567, dtype=np.uint64))) == 6457827717110365317


def test_keys_and_seeds_are_told_apart() -> None:
    assert int(counter_hash(0, 1, 2)) != int(counter_hash(0, 2, 1))
    assert int(counter_hash(0, 1)) != int(counter_hash(1, 0))
    assert int(counter_hash(-1, 5)) != int(counter_hash(1, 5))


def test_hashes_of_counters_are_uniform() -> None:
    hashes = counter_hash(3, np.arange(100_000))
    assert kstest(uniform(hashes), "uniform").pvalue > 1e-3
    assert chisquare(np.bincount(below(hashes, 7), minlength=7)).pvalue > 1e-3
    assert uniform(hashes).max() < 1
    # neighbours do not resemble each other
    assert abs(np.corrcoef(uniform(hashes[:-1]), uniform(hashes[1:]))[0, 1]) < 0.02


def test_each_hash_may_have_its_own_range() -> None:
    n = np.array([1, 2, 5] * 1000)
    drawn = below(counter_hash(0, np.arange(3000)), n)
    assert (drawn < n).all()
    assert drawn[2::3].max() == 4
    assert drawn.mean() == pytest.approx((0 + 0.5 + 2) / 3, abs=0.1)
