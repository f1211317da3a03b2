"""How good an embedding is on judgments: held-out accuracy, chance, ceilings, dimensions needed, agreement.

What belongs here: scores of an embedding or of judges on judgments, each with its uncertainty. What does not: fitting,
similarity matrices (``similarity_fit``), categories (``categorisation``).
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

Doubles = NDArray[np.float64]


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
    shown : int64[n_items]
        Judgments that contain the item.
    """

    accuracy: float
    low: float
    high: float
    n: int
    n_ties: int
    by_item: Doubles
    shown: NDArray[np.int64]


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
    half = half_width(by_item[shown > 0])
    value = float(right.mean())
    return HeldOut(value, value - half, value + half, len(rows), int((verdicts == -1).sum()), by_item, shown)


def half_width(values: Doubles) -> float:
    """Return 1.96 standard errors of the mean; 0 for a single value."""
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
    half = half_width(shares)
    return Estimate(float(shares.mean()), float(shares.mean() - half), float(shares.mean() + half))


def share_of_ceiling(accuracy: HeldOut, ceiling: Estimate) -> Estimate:
    """Held-out accuracy as a share of the noise ceiling.

    Returns
    -------
    Estimate
        The interval takes both errors as independent and adds their relative sizes in squares (delta method).
    """
    value = accuracy.accuracy / ceiling.value
    parts = [(e.high - e.low) / 2 / v for e, v in ((accuracy, accuracy.accuracy), (ceiling, ceiling.value)) if v]
    half = value * float(np.sqrt(np.sum(np.square(parts))))
    return Estimate(value, value - half, value + half)


def dimensions_needed(
    weights: ArrayLike,
    triplets: ArrayLike,
    *,
    shares: Sequence[float] = (0.95, 0.99),
    bootstraps: int = 200,
    seed: int = 0,
) -> dict[float, Estimate]:
    """How many of its own largest weights each item needs to keep a share of the accuracy.

    Parameters
    ----------
    weights : float[n_items, d]
        At least one dimension.
    triplets : int[n, 3]
        Held-out judgments, the odd one last.
    shares : sequence of float
        Shares of the full accuracy.
    bootstraps : int
        Resamples of the judgments for the interval.
    seed : int

    Returns
    -------
    dict of float to Estimate
        For each share the smallest number of weights an item, the others zeroed, that keeps it; the interval holds
        the central 95 % of the resamples.

    Raises
    ------
    InputError
        No triplet or no dimension.

    Notes
    -----
    The authors' published code (METHOD.md section 4, "dimensions needed").
    """
    w = np.asarray(weights, np.float32)
    rows = check_triplets(triplets, len(w))
    if not len(rows) or not w.shape[1]:
        raise InputError("there is no held-out judgment or no dimension", remedy="Leave the score empty")
    order = np.argsort(-w, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(w.shape[1]), w.shape), axis=1)
    data = Judgments(rows, HARD, ONCE, NOWHERE, len(w))
    kept = range(1, w.shape[1] + 1)
    right = np.stack([evaluate(np.where(rank < k, w, 0), data)[1] == 1 for k in kept], axis=1).astype(np.float32)
    rng = np.random.default_rng(seed)
    drawn = [np.bincount(rng.integers(0, len(rows), len(rows)), minlength=len(rows)) for _ in range(bootstraps)]
    resampled = np.stack([times.astype(np.float32) @ right for times in drawn])
    full = right.sum(axis=0, dtype=np.float64)
    return {share: _needed(full, resampled, share) for share in shares}


def _needed(right: Doubles, resampled: NDArray[np.float32], share: float) -> Estimate:
    """First place where the number of right answers reaches a share of its last value, 1-based."""
    first = (resampled >= share * resampled[:, -1:]).argmax(axis=1) + 1
    low, high = np.quantile(first, [0.025, 0.975])
    return Estimate(float((right >= share * right[-1]).argmax() + 1), float(low), float(high))


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
