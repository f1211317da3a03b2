"""Which dimensions come back: matching dimensions over runs of the same fit.

What belongs here: correlations between the columns of embeddings, and choices that follow from them. What does not:
fitting (``spose``).

Reproducibility of a dimension is its largest Pearson r with any dimension of another run, averaged over runs on
Fisher's z (Hebart et al. 2020; Du et al. 2025; METHOD.md section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake.errors import InputError
from affectlake.statistics import bootstrap_correlations

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

EMPTY = 0.1
"""A dimension without a weight above this is empty and takes no part (published pruning rule)."""

OVERLAP = 0.4
"""The published recipe drops a dimension that correlates more than this with one kept before."""

_ALMOST_ONE = 1 - 1e-7
"""Fisher's z of r = 1 is infinite; identical runs are given this r instead."""


@dataclass(frozen=True)
class Reproducibility:
    """How far each dimension comes back, as r, and its 95 % confidence interval, each float64[d]."""

    r: Doubles
    low: Doubles
    high: Doubles


@dataclass(frozen=True)
class Kept:
    """Dimensions kept from several runs: float32[n_items, d], sorted by total weight, and their reproducibility."""

    weights: Floats
    reproducibility: Reproducibility


def correlations(a: ArrayLike, b: ArrayLike) -> Doubles:
    """Pearson r of every column of ``a`` with every column of ``b``, float64[d_a, d_b]; 0 where one is constant."""
    x, y = _standardised(a), _standardised(b)
    if len(x) != len(y):
        raise InputError(
            f"embeddings of {len(x)} and {len(y)} items cannot be compared", remedy="Give both the same items"
        )
    return np.asarray(np.clip(x.T @ y, -1, 1))


def _standardised(a: ArrayLike) -> Doubles:
    x = np.asarray(a, np.float64)
    x = x - x.mean(axis=0)
    norm = np.linalg.norm(x, axis=0)
    return np.asarray(np.divide(x, norm, out=np.zeros_like(x), where=norm > 1e-12))


def reproducibility(weights: ArrayLike, runs: Sequence[ArrayLike]) -> Reproducibility:
    """Score each dimension by its best match in every run.

    Parameters
    ----------
    weights : float[n_items, d]
    runs : sequence of float[n_items, d_run]
        A run's empty dimensions (no weight above 0.1) are left out; a run without any matches with r = 0.

    Returns
    -------
    Reproducibility
        Mean over runs on Fisher's z, interval 1.96 sd / sqrt(runs), transformed back.
    """
    return _fisher_mean(np.stack([_best(weights, run) for run in runs], axis=1))


def _best(weights: ArrayLike, run: ArrayLike) -> Doubles:
    other = np.asarray(run)
    other = other[:, other.max(axis=0, initial=0) > EMPTY]
    if not other.shape[1]:
        return np.zeros(np.asarray(weights).shape[1])
    return np.asarray(correlations(weights, other).max(axis=1))


def _fisher_mean(r: Doubles) -> Reproducibility:
    """Average r of shape (d, runs) over runs on Fisher's z."""
    z = np.arctanh(np.clip(r, -_ALMOST_ONE, _ALMOST_ONE))
    mean = z.mean(axis=1)
    half = 1.96 * z.std(axis=1, ddof=1) / np.sqrt(z.shape[1]) if z.shape[1] > 1 else np.zeros(len(z))
    return Reproducibility(np.tanh(mean), np.tanh(mean - half), np.tanh(mean + half))


def split_half(weights: ArrayLike, runs: Sequence[ArrayLike]) -> Reproducibility:
    """Consistency of each dimension over runs when matches are made on one half of the items and scored on the other.

    Parameters
    ----------
    weights : float[n_items, d]
    runs : sequence of float[n_items, d_run]

    Returns
    -------
    Reproducibility
        Matched on odd items, scored on even ones, and the other way round; averaged on Fisher's z, with the interval of
        the mean over runs and halves.

    Notes
    -----
    Free of the optimism of a maximum over many matches (METHOD.md section 3, split-half consistency).
    """
    w = np.asarray(weights, np.float64)
    scores = []
    for run in runs:
        other = np.asarray(run, np.float64)
        for match, test in ((0, 1), (1, 0)):
            if not other.shape[1]:
                scores.append(np.zeros(w.shape[1]))
                continue
            partner = correlations(w[match::2], other[match::2]).argmax(axis=1)
            scores.append(np.diag(correlations(w[test::2], other[test::2][:, partner])))
    return _fisher_mean(np.stack(scores, axis=1))


def stability(weights: ArrayLike, part: ArrayLike) -> Reproducibility:
    """Score each dimension by its best match in a fit on a part of the judgments.

    Parameters
    ----------
    weights : float[n_items, d]
    part : float[n_items, d_part]

    Returns
    -------
    Reproducibility
        The largest r with a dimension of ``part``, and its bootstrap interval over items with that partner; 0 to 0
        where ``part`` has no dimension that varies.
    """
    w, other = np.asarray(weights, np.float64), np.asarray(part, np.float64)
    r = correlations(w, other)
    best = r.max(axis=1, initial=0)
    low, high = best.copy(), best.copy()
    matched = np.flatnonzero(best > 0)
    if matched.size:
        partner = r[matched].argmax(axis=1)
        low[matched], high[matched] = bootstrap_correlations(best[matched], w[:, matched], other[:, partner])
    return Reproducibility(best, low, high)


def greedy(runs: Sequence[ArrayLike], dimensions_kept: int) -> Kept:
    """Keep dimensions by the published recipe.

    The dimensions of all runs are stacked; one that correlates above 0.4 with an earlier kept one is dropped; of the
    rest the most reproducible are kept, sorted by total weight (Du et al. 2025; METHOD.md section 3).

    Parameters
    ----------
    runs : sequence of float[n_items, d_run]
        Pruned embeddings; their order decides which of two similar dimensions stays.
    dimensions_kept : int
    """
    stacked = np.hstack([np.asarray(r, np.float32) for r in runs])
    r = correlations(stacked, stacked)
    kept: list[int] = []
    for k in range(stacked.shape[1]):
        if not kept or r[k, kept].max() <= OVERLAP:
            kept.append(k)
    return _top(stacked[:, kept], runs, dimensions_kept)


def _top(weights: Floats, runs: Sequence[ArrayLike], dimensions_kept: int) -> Kept:
    """Keep the most reproducible columns, sorted by total weight."""
    scores = reproducibility(weights, runs)
    kept = np.argsort(-scores.r, kind="stable")[:dimensions_kept]
    kept = kept[np.argsort(-weights[:, kept].sum(axis=0, dtype=np.float64), kind="stable")]
    chosen = Reproducibility(scores.r[kept], scores.low[kept], scores.high[kept])
    return Kept(np.ascontiguousarray(weights[:, kept], np.float32), chosen)


def match(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], Doubles]:
    """Pair the dimensions of two embeddings one to one so that the sum of their r is largest (Hungarian method).

    Parameters
    ----------
    a : float[n_items, d_a]
    b : float[n_items, d_b]

    Returns
    -------
    of_a, of_b : int64[min(d_a, d_b)]
        Columns that belong together.
    r : float64[min(d_a, d_b)]
        Their correlation.
    """
    from scipy.optimize import linear_sum_assignment

    r = correlations(a, b)
    rows, columns = linear_sum_assignment(-r)
    return rows, columns, np.asarray(r[rows, columns])
