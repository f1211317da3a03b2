"""Statistics: the libraries' answers, and what happens where there is no test."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest, norm, pearsonr, ttest_rel
from scipy.stats import t as student

from affectlake import statistics
from affectlake.errors import InputError


def test_fdr_is_benjamini_and_hochbergs_step_up():
    p = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert statistics.fdr(p) == pytest.approx([0.025, 0.05, 0.05, 0.025, 0.9])
    assert statistics.fdr(np.reshape([0.01, 0.2, 0.3, 0.9], (2, 2))).shape == (2, 2)
    assert statistics.fdr([]).size == 0


def test_fdr_refuses_what_is_not_a_p():
    for p in ([0.1, np.nan], [1.2], [-0.1]):
        with pytest.raises(InputError, match="p-values"):
            statistics.fdr(p)


def test_permutation_p_counts_the_observed_arrangement():
    assert statistics.permutation_p(5, [1, 2, 3]) == 0.25
    assert statistics.permutation_p(2, [1, 2, 3]) == 0.75
    np.testing.assert_array_equal(statistics.permutation_p([5, 0], [[1, 1], [6, 1], [1, 1]]), [0.5, 1])
    with pytest.raises(InputError, match="permutations"):
        statistics.permutation_p(1, [])
    with pytest.raises(InputError, match="NaN"):
        statistics.permutation_p(np.nan, [1.0])


def test_paired_is_the_paired_t_test():
    first, second = [0.11, 0.2, 0.14, 0.18, 0.16], [0.1, 0.12, 0.15, 0.11, 0.1]
    mine, theirs = statistics.paired(first, second), ttest_rel(first, second)
    assert (mine.t, mine.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert mine.n == 5
    assert mine.ci_low < mine.mean_difference < mine.ci_high
    swapped = statistics.paired(second, first)
    assert (swapped.t, swapped.ci_low) == pytest.approx((-mine.t, -mine.ci_high))


@pytest.mark.parametrize(("first", "second"), [([0.3], [0.1]), ([0.5, 0.6], [0.4, 0.5])])
def test_paired_has_no_test_where_differences_do_not_vary(first, second):
    result = statistics.paired(first, second)
    assert result.mean_difference == pytest.approx(first[0] - second[0])
    assert (result.t, result.p, result.ci_low, result.ci_high) == (None, None, None, None)


def test_paired_refuses_unmatched_subjects():
    with pytest.raises(InputError, match="subject"):
        statistics.paired([1, 2], [1])
    with pytest.raises(InputError, match="missing"):
        statistics.paired([1, np.nan], [1, 2])


@pytest.mark.parametrize("draws", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_paired_p_is_uniform_and_the_interval_covers(draws):
    rng = np.random.default_rng(0)
    results = [statistics.paired(rng.normal(size=5), rng.normal(size=5)) for _ in range(draws)]
    assert kstest([r.p for r in results], "uniform").pvalue > 0.01
    assert np.mean([r.ci_low < 0 < r.ci_high for r in results]) == pytest.approx(0.95, abs=3 * 0.218 / draws**0.5)


def test_bootstrap_covers_the_mean_and_is_reproducible():
    values = np.random.default_rng(0).normal(1, 1, 61)
    interval = statistics.bootstrap_mean(values, seed=3)
    assert interval.low < 1 < interval.high
    assert interval.estimate == pytest.approx(values.mean())
    assert interval == statistics.bootstrap_mean(values, seed=3)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 61**0.5, rel=0.1)


def test_bootstrap_weights_values():
    assert statistics.bootstrap_mean([0.0, 1.0], weights=[1, 3]).estimate == 0.75
    with pytest.raises(InputError, match="two"):
        statistics.bootstrap_mean([1.0])


def test_the_p_of_a_correlation_is_students_and_folds_held_out_in_turn_have_twice_the_variance():
    rng = np.random.default_rng(0)
    r = [pearsonr(*rng.normal(size=(2, 100)))[0] for _ in range(50)]
    n = 100
    t = np.array(r) * np.sqrt((n - 2) / (1 - np.array(r) ** 2))
    np.testing.assert_allclose(statistics.correlation_p(r, [n]), student.sf(t, n - 2), atol=4e-3)
    folds = np.array([[pearsonr(*rng.normal(size=(2, m)))[0] for m in (20, 40)] for _ in range(4000)])
    mean = np.average(folds, axis=1, weights=[20, 40])
    found = norm.isf(statistics.correlation_p(mean, [20, 40]))
    assert found.std() == pytest.approx(0.5**0.5, abs=0.03), "folds that do not train each other have half the variance"
    with pytest.raises(InputError, match="fewer than three rows"):
        statistics.correlation_p([0.1], [100, 2])


def test_intervals_of_many_means_are_those_of_each_alone():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(0.2, 0.1, (12, 3)), rng.integers(20, 40, 12)
    low, high = statistics.bootstrap_intervals(values, weights, draws=4000, seed=1)
    for k in range(3):
        alone = statistics.bootstrap_mean(values[:, k], weights=weights, draws=4000, seed=1)
        assert (low[k], high[k]) == pytest.approx((alone.low, alone.high))
    with pytest.raises(InputError, match="two rows"):
        statistics.bootstrap_intervals(values[:1], weights[:1])
