"""Statistics shared by every score: false discovery rate, paired comparisons over subjects, permutation p, bootstrap.

Thin: SciPy does what SciPy has. Here belongs what needs a decision of ours, such as what happens with too few subjects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affectlake.errors import InputError

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """A paired comparison over subjects.

    Attributes
    ----------
    n : int
        Subjects; the stars of a test over five say little, so it is always shown beside them.
    mean_difference : float
        Mean over subjects of the first less the second.
    t, p : float or None
        Paired t with ``n - 1`` degrees of freedom and its two-sided p. None where there is no test: fewer than two
        subjects, or the same difference in all of them.
    ci_low, ci_high : float or None
        Confidence interval of the mean difference.
    """

    n: int
    mean_difference: float
    t: float | None
    p: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap interval."""

    estimate: float
    low: float
    high: float


def fdr(p: npt.ArrayLike) -> Float:
    """Adjust p-values for the false discovery rate (q-values).

    Parameters
    ----------
    p : float[...]
        All tests of one family; the shape is kept.

    Returns
    -------
    float64[...]

    Raises
    ------
    InputError
        A p lies outside 0 to 1 or is NaN.

    Notes
    -----
    Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57:289, by `scipy.stats.false_discovery_control`.
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p, dtype=np.float64)
    if not values.size:
        return values
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("p-values must lie between 0 and 1", where="statistics.fdr", remedy="Leave out failed tests")
    return np.asarray(false_discovery_control(values, axis=None), dtype=np.float64).reshape(values.shape)


def permutation_p(observed: npt.ArrayLike, null: npt.ArrayLike) -> Float:
    """One-sided p of observed statistics against permuted ones.

    Parameters
    ----------
    observed : float[...]
    null : float[permutations, ...]
        The statistic under each permutation; trailing axes broadcast against ``observed``.

    Returns
    -------
    float64[...]
        (1 + count of null >= observed) / (1 + permutations): the observed arrangement is one of the permutations, so
        p is never 0 (Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9:39, section 4).

    Raises
    ------
    InputError
        There are no permutations, or a value is NaN.
    """
    seen, drawn = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    if not drawn.ndim or not len(drawn):
        raise InputError("no permutations were given", where="statistics.permutation_p")
    if np.isnan(seen).any() or np.isnan(drawn).any():
        raise InputError("a statistic is NaN", where="statistics.permutation_p", remedy="Score 0 or leave it out")
    return np.asarray((1 + (drawn >= seen).sum(0)) / (1 + len(drawn)), dtype=np.float64)


def correlation_p(r: npt.ArrayLike, rows: npt.ArrayLike) -> Float:
    """One-sided p of correlations that were averaged over folds, where prediction and response are unrelated.

    Parameters
    ----------
    r : float[v]
        Pearson r within each fold, averaged over folds by rows.
    rows : int[folds]
        Held-out rows of each fold, at least three.

    Returns
    -------
    float64[v]
        Correlating two Gaussian vectors of n rows gives a mean of 0 and a variance of 1 / (n - 1). The mean over folds
        is taken as normal, with twice the variance of independent folds; of one fold it is that of the fold.

    Raises
    ------
    InputError
        A fold has fewer than three rows.

    Notes
    -----
    The null of Du et al. 2023 (iScience, "Topographic representation of visually evoked emotional experiences") is of
    one test set. Folds that are held out in turn are not independent: the agreement of two of them by chance raises the
    scores of both, so that each pair counts twice and the variance doubles. In simulations of 1 to 100 random features
    the standard deviation was 1.37 to 1.43 times that of independent folds, and p <= .05 came up in 2 to 5 % of
    targets; without the factor two it came up in 10 %. Rows count as independent: where responses are autocorrelated
    within a run and features too, p is too small. A permutation null has no such assumption, but no p below
    1 / (1 + permutations).
    """
    from scipy.stats import norm

    n = np.asarray(rows, dtype=np.float64)
    if not n.size or (n < 3).any():
        raise InputError("a correlation of fewer than three rows has no p", where="statistics.correlation_p")
    twice = 2 if n.size > 1 else 1
    sd = float(np.sqrt(twice * ((n / n.sum()) ** 2 / (n - 1)).sum()))
    return np.asarray(norm.sf(np.asarray(r, dtype=np.float64) / sd), dtype=np.float64)


def paired(first: npt.ArrayLike, second: npt.ArrayLike, *, confidence: float = 0.95) -> Paired:
    """Compare two scores of the same subjects.

    Parameters
    ----------
    first, second : float[n]
        Scores in the same order of subjects.
    confidence : float
        Of the interval.

    Raises
    ------
    InputError
        The scores are not one-dimensional, differ in number, or one is missing.
    """
    from scipy.stats import ttest_rel

    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or not a.size:
        raise InputError(
            f"shapes {a.shape} and {b.shape} are not one score a subject",
            where="statistics.paired",
            remedy="Join both scores by subject first",
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("a score is missing", where="statistics.paired", remedy="Compare subjects that have both")
    difference = a - b
    mean = float(difference.mean())
    # identical differences have no spread: t would be infinite or 0 / 0
    if a.size < 2 or np.ptp(difference) <= 1e-12 * max(1e-300, float(np.abs(difference).max())):
        return Paired(a.size, mean, None, None, None, None)
    result = ttest_rel(a, b)
    interval = result.confidence_interval(confidence)
    return Paired(
        a.size, mean, float(result.statistic), float(result.pvalue), float(interval.low), float(interval.high)
    )


def bootstrap_mean(
    values: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of a (weighted) mean, resampling its values: runs of one subject, or subjects.

    Parameters
    ----------
    values : float[n]
        Such as the score of each run, or the difference of two models in each run.
    weights : float[n], optional
        Such as the presentations of each run; a resampled value brings its weight along.
    draws : int
        Resamples.
    confidence : float
        Of the interval.
    seed : int
        Of the resampling.

    Raises
    ------
    InputError
        There are fewer than two values, or one is not finite.

    Notes
    -----
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3. With few runs the interval is too narrow.
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    if x.ndim != 1 or x.size < 2 or w.shape != x.shape or not np.isfinite(x).all():
        raise InputError(
            "at least two finite values with as many weights are needed", where="statistics.bootstrap_mean"
        )
    index = np.random.default_rng(seed).integers(0, x.size, (draws, x.size))
    means = (x * w)[index].sum(1) / w[index].sum(1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.average(x, weights=w)), float(low), float(high))


def bootstrap_intervals(
    values: npt.ArrayLike, weights: npt.ArrayLike, *, draws: int = 2000, confidence: float = 0.95, seed: int = 0
) -> tuple[Float, Float]:
    """Percentile intervals of many weighted means, under the same resamples of runs.

    Parameters
    ----------
    values : float[n, k]
        One row a run, one column a mean: the difference of two models in each region, for example.
    weights : float[n]
        Presentations of each run.
    draws, confidence, seed
        As in `bootstrap_mean`.

    Returns
    -------
    low, high : float64[k]

    Raises
    ------
    InputError
        As in `bootstrap_mean`.
    """
    x, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2 or w.shape != x.shape[:1] or not np.isfinite(x).all():
        raise InputError(
            "at least two rows of finite values with a weight each are needed", where="statistics.bootstrap_intervals"
        )
    index = np.random.default_rng(seed).integers(0, len(x), (draws, len(x)))
    times = np.zeros((draws, len(x)))
    np.add.at(times, (np.arange(draws)[:, None], index), 1)
    means = times @ (x * w[:, None]) / (times @ w)[:, None]
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return np.asarray(low), np.asarray(high)


_ALMOST_ONE = 1 - 1e-12
"""Fisher's z of r = 1 is infinite."""


def bootstrap_correlations(
    r: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, *, draws: int = 1000, seed: int = 0
) -> tuple[Float, Float]:
    """Bootstrap 95 % intervals of correlations of columns: 1.96 standard deviations over resampled rows, on Fisher's z.

    Parameters
    ----------
    r : float[d]
        Pearson r of each column of ``first`` with the same column of ``second``.
    first, second : float[n, d]
        Columns that vary.
    draws : int
        Resamples of the rows, the same for all columns.
    seed : int

    Returns
    -------
    low, high : float64[d]

    Notes
    -----
    The interval of Fisher's formula, 1.96 / sqrt(n - 3), holds for normal values: of sparse non-negative weights it
    covers the true r in a quarter to three quarters of samples.
    """
    rng = np.random.default_rng(seed)
    x, y = (_standard(np.asarray(a, np.float64)) for a in (first, second))
    n, d = x.shape
    moments = np.concatenate([x, y, x * x, y * y, x * y], axis=1)
    drawn = np.empty((draws, d))
    for k in range(draws):
        counts = np.bincount(rng.integers(0, n, n), minlength=n)
        mx, my, xx, yy, xy = (counts @ moments / n).reshape(5, d)
        spread = (xx - mx * mx) * (yy - my * my)
        drawn[k] = np.divide(xy - mx * my, np.sqrt(np.maximum(spread, 0)), out=np.zeros(d), where=spread > 0)
    estimate = np.asarray(r, np.float64)
    z, resampled = (np.arctanh(np.clip(a, -_ALMOST_ONE, _ALMOST_ONE)) for a in (estimate, drawn))
    half = 1.96 * resampled.std(axis=0)
    # there and back on Fisher's z loses the last bits, and an interval holds its estimate
    return np.minimum(np.tanh(z - half), estimate), np.maximum(np.tanh(z + half), estimate)


def _standard(x: Float) -> Float:
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))
