"""How well a space tells categories apart.

What belongs here: vectors and category labels in, leave-one-out accuracy out. What does not: where the labels come
from. Definitions: METHOD.md section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake.errors import InputError
from affectlake.quality import Estimate, half_width

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


def top3(vectors: ArrayLike, labels: ArrayLike, *, k: int = 3) -> Estimate:
    """Share of items whose category is among the ``k`` nearest centroids, each item left out of its own centroid.

    Parameters
    ----------
    vectors : float[n, d]
    labels : [n]
        Category of each item. The only item of a category cannot be right: without it there is no centroid.

    Returns
    -------
    Estimate
        Leave-one-out accuracy by Euclidean distance (METHOD.md section 4), with 1.96 standard errors over items.
    """
    right = _right(*_checked(vectors, labels), k).astype(np.float64)
    half = half_width(right)
    return Estimate(float(right.mean()), float(right.mean() - half), float(right.mean() + half))


def top3_chance(
    vectors: ArrayLike, labels: ArrayLike, *, k: int = 3, permutations: int = 1000, seed: int = 0
) -> Estimate:
    """``top3`` under permuted labels: mean and the central 95 % of the permutations."""
    x, own = _checked(vectors, labels)
    rng = np.random.default_rng(seed)
    scores = [float(_right(x, rng.permutation(own), k).mean()) for _ in range(permutations)]
    low, high = np.quantile(scores, [0.025, 0.975])
    return Estimate(float(np.mean(scores)), float(low), float(high))


def _checked(vectors: ArrayLike, labels: ArrayLike) -> tuple[Doubles, Ints]:
    """Vectors as float64[n, d], and each item's category as a number from 0."""
    x, names = np.asarray(vectors, np.float64), np.asarray(labels)
    if x.ndim != 2 or names.shape != (len(x),) or not len(x):
        raise InputError(
            f"vectors of shape {x.shape} and labels of shape {names.shape} do not belong together",
            remedy="Give one label a row",
        )
    return x, np.unique(names, return_inverse=True)[1]


def _right(x: Doubles, own: Ints, k: int) -> NDArray[np.bool_]:
    """Whether each item's category is among the ``k`` nearest; level distances count as nearer."""
    distances = _centroid_distances(x, own)
    mine = distances[np.arange(len(own)), own]
    ahead = (distances <= mine[:, None]).sum(axis=1) - 1
    return np.asarray(np.isfinite(mine) & (ahead < k))


def _centroid_distances(x: Doubles, own: Ints) -> Doubles:
    """Squared distance of each item to each category's centroid without the item; infinite where that is empty."""
    counts = np.bincount(own)
    member = np.zeros((len(counts), len(own)))
    member[own, np.arange(len(own))] = 1
    sums = member @ x
    centroids = sums / counts[:, None]
    distances = (x**2).sum(axis=1)[:, None] - 2 * x @ centroids.T + (centroids**2).sum(axis=1)
    rest = counts[own] - 1
    alone = np.divide(sums[own] - x, rest[:, None], out=np.zeros_like(x), where=rest[:, None] > 0)
    distances[np.arange(len(x)), own] = np.where(rest > 0, ((x - alone) ** 2).sum(axis=1), np.inf)
    return np.asarray(distances)
