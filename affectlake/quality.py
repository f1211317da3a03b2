"""How good an embedding is: held-out accuracy, ceilings, chance, fit of similarities, categorisation.

What belongs here: scores of an embedding or of judges, each with its uncertainty. What does not: fitting.
Definitions: METHOD.md section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake import spose
from affectlake._spose_cpu import evaluate
from affectlake._spose_data import HARD, NOWHERE, ONCE, Judgments, check_triplets
from affectlake.errors import InputError
from affectlake.similarity import predicted_rsm, upper

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class HeldOut:
    """Accuracy on judgments that were not learnt from.

    Attributes
    ----------
    accuracy : float
        Share of odd ones predicted; ties count as wrong.
    low, high : float
        95 % confidence interval over items: 1.96 sd(accuracy by item) / sqrt(items).
    n : int
        Judgments scored.
    n_ties : int
        Predictions that tied at the top.
    by_item : float64[n_items]
        Accuracy on the judgments that contain the item; NaN where none does.
    """

    accuracy: float
    low: float
    high: float
    n: int
    n_ties: int
    by_item: Doubles


def held_out(weights: ArrayLike, triplets: ArrayLike) -> HeldOut:
    """Score an embedding on held-out judgments.

    Parameters
    ----------
    weights : float[n_items, d]
    triplets : int[n, 3]
        The odd one last; at least one.

    Raises
    ------
    InputError
        No triplet, or one that names an item without a row of weights.
    """
    w = np.asarray(weights, np.float32)
    rows = check_triplets(triplets, len(w))
    if not len(rows):
        raise InputError("there is no held-out judgment to score", remedy="Ask test triplets, or leave the score empty")
    verdicts = evaluate(w, Judgments(rows, HARD, ONCE, NOWHERE, len(w)))[1]
    right = (verdicts == 1).astype(np.float64)
    shown = np.bincount(rows.ravel(), minlength=len(w))
    by_item = np.bincount(rows.ravel(), np.repeat(right, 3), len(w))
    by_item = np.divide(by_item, shown, out=np.full(len(w), np.nan), where=shown > 0)
    half = _half_width(by_item[shown > 0])
    value = float(right.mean())
    return HeldOut(value, value - half, value + half, len(rows), int((verdicts == -1).sum()), by_item)


def _half_width(values: Doubles) -> float:
    """1.96 standard errors of the mean; 0 for a single value."""
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def chance(weights: ArrayLike, triplets: ArrayLike, *, permutations: int = 1000, seed: int = 0) -> Estimate:
    """Accuracy when the answers are permuted over the triplets.

    Predictions and answers are read as places in the sorted triplet. Permuted tables of predictions against answers
    are drawn from their exact (hypergeometric) distribution, which costs nothing by triplet.

    Returns
    -------
    Estimate
        Mean over permutations and the central 95 % of them.
    """
    w = np.asarray(weights, np.float32)
    rows = check_triplets(triplets, len(w))
    if not len(rows):
        raise InputError("there is no held-out judgment to permute", remedy="Leave the score empty")
    ordered = np.sort(rows, axis=1)
    answer = np.bincount((ordered == rows[:, 2:]).argmax(axis=1), minlength=3)
    odd = spose.predict(w, rows)
    predicted = np.bincount((ordered == odd[:, None]).argmax(axis=1)[odd >= 0], minlength=3)
    rng = np.random.default_rng(seed)
    hits = np.zeros(permutations)
    for k in range(permutations):
        left = answer.copy()
        for place in range(3):
            drawn = rng.multivariate_hypergeometric(left, int(predicted[place]))
            hits[k] += drawn[place]
            left = left - drawn
    shares = hits / len(rows)
    low, high = np.quantile(shares, [0.025, 0.975])
    return Estimate(float(shares.mean()), float(low), float(high))


def noise_ceiling(question: ArrayLike, odd: ArrayLike) -> Estimate:
    """Highest accuracy that any model of a judge could reach, from repeated questions.

    Parameters
    ----------
    question : [n]
        Which triplet each answer belongs to (any labels, such as ``triplet_id``).
    odd : int[n]
        The answers.

    Returns
    -------
    Estimate
        Mean over questions asked at least twice of the share of the most frequent answer; 1.96 sd / sqrt(questions).

    Raises
    ------
    InputError
        No question was asked twice.
    """
    _, which = np.unique(np.asarray(question), return_inverse=True)
    _, answer = np.unique(np.asarray(odd), return_inverse=True)
    pairs, counts = np.unique(np.stack([which, answer], axis=1), axis=0, return_counts=True)
    asked = np.bincount(which)
    modal = np.zeros(len(asked))
    if len(pairs):
        np.maximum.at(modal, pairs[:, 0], counts)
    repeated = asked > 1
    if not repeated.any():
        raise InputError("no question was asked twice", remedy="A noise ceiling needs repeats of the same triplet")
    shares = modal[repeated] / asked[repeated]
    half = _half_width(shares)
    return Estimate(float(shares.mean()), float(shares.mean() - half), float(shares.mean() + half))


def rsm_fit(predicted: ArrayLike, measured: ArrayLike, *, bootstraps: int = 1000, seed: int = 0) -> Estimate:
    """Pearson r of two similarity matrices' upper triangles, over pairs that both have.

    Parameters
    ----------
    predicted, measured : float[n, n]
        NaN marks a pair that was never shown.
    bootstraps : int
        Resamples of pairs for the interval, made on Fisher's z.

    Raises
    ------
    InputError
        Fewer than four pairs in common, or no variance in one of the matrices.
    """
    x, y = upper(predicted), upper(measured)
    if x.shape != y.shape:
        raise InputError("the similarity matrices are of different size", remedy="Give both the same items")
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if len(x) < 4 or not x.std() or not y.std():
        raise InputError(
            f"{len(x)} pairs with values that vary are too few for a correlation",
            remedy="Ask more validation triplets, or leave the score empty",
        )
    r = float(np.corrcoef(x, y)[0, 1])
    z = np.arctanh(np.clip(_bootstrap_r(x, y, bootstraps, seed), -1 + 1e-12, 1 - 1e-12))
    centre, half = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12)), 1.96 * z.std()
    return Estimate(r, float(np.tanh(centre - half)), float(np.tanh(centre + half)))


def _bootstrap_r(x: Doubles, y: Doubles, bootstraps: int, seed: int) -> Doubles:
    """Draw correlations of resampled pairs, in blocks: one product of resampling counts with moments each."""
    rng = np.random.default_rng(seed)
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    moments = np.stack([x, y, x * x, y * y, x * y], axis=1)
    result = []
    for _ in range(bootstraps):
        mx, my, xx, yy, xy = np.bincount(rng.integers(0, len(x), len(x)), minlength=len(x)) @ moments / len(x)
        spread = (xx - mx * mx) * (yy - my * my)
        result.append((xy - mx * my) / np.sqrt(spread) if spread > 0 else 0.0)
    return np.asarray(result)


def rsm_fit_by_dimensions(weights: ArrayLike, measured: ArrayLike) -> Doubles:
    """Correlate with the measured RSM for the first 1, 2, ..., d dimensions.

    Parameters
    ----------
    weights : float[n, d]
        Rows of the validation items, dimensions sorted by share.
    measured : float[n, n]

    Returns
    -------
    float64[d]
        0 where the first dimensions predict the same similarity for every pair.
    """
    w = np.asarray(weights, np.float32)
    y = upper(measured)
    both = np.isfinite(y)
    result = np.zeros(w.shape[1])
    for k in range(w.shape[1]):
        x = upper(predicted_rsm(w[:, : k + 1]))[both]
        result[k] = np.corrcoef(x, y[both])[0, 1] if x.std() > 1e-9 else 0.0
    return result


def dimensions_needed(
    weights: ArrayLike, triplets: ArrayLike, *, shares: Sequence[float] = (0.95, 0.99)
) -> dict[float, int]:
    """How many of its own largest weights each item needs to keep a share of the accuracy.

    Parameters
    ----------
    weights : float[n_items, d]
    triplets : int[n, 3]
        Held-out judgments, the odd one last.
    shares : sequence of float
        Shares of the full accuracy.

    Returns
    -------
    dict of float to int
        For each share the smallest number of weights an item, the others zeroed, that keeps it.

    Notes
    -----
    The authors' published code (METHOD.md section 4, "dimensions needed").
    """
    w = np.asarray(weights, np.float32)
    order = np.argsort(-w, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(w.shape[1]), w.shape), axis=1)
    full = spose.accuracy(w, triplets)
    needed: dict[float, int] = {}
    for k in range(1, w.shape[1] + 1):
        reached = spose.accuracy(np.where(rank < k, w, 0), triplets)
        for share in shares:
            if share not in needed and reached >= share * full:
                needed[share] = k
        if len(needed) == len(shares):
            break
    return needed


def top3(vectors: ArrayLike, labels: ArrayLike, *, k: int = 3) -> float:
    """Share of items whose category is among the ``k`` nearest centroids, each item left out of its own centroid.

    Parameters
    ----------
    vectors : float[n, d]
    labels : [n]
        Category of each item. The only item of a category cannot be right: without it there is no centroid.

    Returns
    -------
    float
        Leave-one-out accuracy by Euclidean distance (METHOD.md section 4).
    """
    distances, own = _centroid_distances(np.asarray(vectors, np.float64), np.asarray(labels))
    mine = distances[np.arange(len(own)), own]
    closer = (distances < mine[:, None]).sum(axis=1)
    level = (distances == mine[:, None]).sum(axis=1) - 1
    return float((np.isfinite(mine) & (closer + level < k)).mean())


def top3_chance(
    vectors: ArrayLike, labels: ArrayLike, *, k: int = 3, permutations: int = 1000, seed: int = 0
) -> Estimate:
    """``top3`` under permuted labels: mean and the central 95 % of the permutations."""
    rng = np.random.default_rng(seed)
    names = np.asarray(labels)
    scores = [top3(vectors, names[rng.permutation(len(names))], k=k) for _ in range(permutations)]
    low, high = np.quantile(scores, [0.025, 0.975])
    return Estimate(float(np.mean(scores)), float(low), float(high))


def _centroid_distances(x: Doubles, labels: NDArray[np.generic]) -> tuple[Doubles, Ints]:
    """Squared distance of each item to each category's centroid (infinite where empty), and its own category."""
    if x.ndim != 2 or labels.shape != (len(x),):
        raise InputError(
            f"vectors of shape {x.shape} and labels of shape {labels.shape} do not belong together",
            remedy="Give one label a row",
        )
    _, own = np.unique(labels, return_inverse=True)
    counts = np.bincount(own)
    sums = np.zeros((len(counts), x.shape[1]))
    np.add.at(sums, own, x)
    centroids = sums / counts[:, None]
    distances = (x**2).sum(axis=1)[:, None] - 2 * x @ centroids.T + (centroids**2).sum(axis=1)
    rest = counts[own] - 1
    alone = np.divide(sums[own] - x, rest[:, None], out=np.full_like(x, np.inf), where=rest[:, None] > 0)
    with np.errstate(invalid="ignore"):
        distances[np.arange(len(x)), own] = np.where(rest > 0, ((x - alone) ** 2).sum(axis=1), np.inf)
    return distances, own


def agreement(odd_a: ArrayLike, odd_b: ArrayLike, *, ceiling: float = 1.0) -> Estimate:
    """Share of the same questions on which two judges name the same odd one.

    Parameters
    ----------
    odd_a, odd_b : int[n]
        Answers to the same n questions.
    ceiling : float
        Accuracy that a judge could reach at best (such as the human noise ceiling); the share is divided by it.

    Returns
    -------
    Estimate
        With the normal interval of a share.
    """
    a, b = np.asarray(odd_a), np.asarray(odd_b)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise InputError(
            f"answers of shape {a.shape} and {b.shape} cannot be compared", remedy="Give both judges the same questions"
        )
    share = float((a == b).mean())
    half = 1.96 * float(np.sqrt(share * (1 - share) / len(a)))
    return Estimate(share / ceiling, (share - half) / ceiling, (share + half) / ceiling)
