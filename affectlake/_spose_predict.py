"""What an embedding predicts, and what its objective is worth.

What belongs here: weights and triplets in, numbers out. What does not: fitting. The names are public in ``spose``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake._spose_cpu import blocked, evaluate, whole
from affectlake._spose_data import HARD, NOWHERE, ONCE, Batches, Floats, Ints, Judgments, check_triplets, judgments
from affectlake.errors import InputError


def accuracy(weights: ArrayLike, triplets: ArrayLike) -> float:
    """Share of triplets whose odd one out (last column) the embedding predicts.

    Parameters
    ----------
    weights : float[n_items, d]
    triplets : int[n, 3]
        The odd one last.

    Returns
    -------
    float
        A tie at the top counts as wrong; NaN without triplets.

    Notes
    -----
    Ties are wrong as in VICE (METHOD.md section 3); the published SPoSE program counts a two-way tie in favour of the
    kept pair, which flatters an embedding with many zeros.
    """
    verdicts = _score(weights, triplets)[1]
    return float((verdicts == 1).mean()) if len(verdicts) else float("nan")


def ties(weights: ArrayLike, triplets: ArrayLike) -> int:
    """Count the triplets whose prediction ties at the top; ``accuracy`` counts them as wrong."""
    return int((_score(weights, triplets)[1] == -1).sum())


def predict(weights: ArrayLike, triplets: ArrayLike) -> Ints:
    """Return the item predicted to be the odd one of each triplet, int32[n]; -1 where the top two tie."""
    w, rows = embedding(weights), np.asarray(triplets)
    rows = check_triplets(rows, len(w))
    result = np.full(len(rows), -1, np.int32)
    for k, turn in enumerate(([1, 2, 0], [2, 0, 1], [0, 1, 2])):
        result[_score(w, np.ascontiguousarray(rows[:, turn]))[1] == 1] = -2 - k
    for k in range(3):
        chosen = result == -2 - k
        result[chosen] = rows[chosen, k]
    return result


def probabilities(weights: ArrayLike, triplets: ArrayLike) -> Floats:
    """Return the probability that each column is the odd one, float32[n, 3].

    Parameters
    ----------
    weights : float[n_items, d]
    triplets : int[n, 3]
        Items in any order.
    """
    w = embedding(weights)
    rows = check_triplets(triplets, len(w))
    result = np.empty((len(rows), 3), np.float32)
    for k, turn in enumerate(([1, 2, 0], [2, 0, 1], [0, 1, 2])):
        result[:, k] = np.exp(-_score(w, np.ascontiguousarray(rows[:, turn]))[0])
    return result


def cross_entropy(weights: ArrayLike, triplets: ArrayLike) -> float:
    """Mean cross-entropy (nats a judgment) of judgments whose odd one stands last; NaN without triplets."""
    losses = _score(weights, triplets)[0]
    return float(losses.mean(dtype=np.float64)) if len(losses) else float("nan")


def objective(
    weights: ArrayLike,
    triplets: ArrayLike,
    *,
    l1: float,
    probabilities: ArrayLike | None = None,
    counts: ArrayLike | None = None,
) -> tuple[float, Floats]:
    """Value and gradient of what ``fit`` minimises, over all judgments at once.

    Parameters
    ----------
    weights : float[n_items, d]
        Non-negative.
    triplets, probabilities, counts
        As in ``fit``.
    l1 : float

    Returns
    -------
    value : float
        Mean cross-entropy plus ``l1 / n_items`` times the sum of the weights.
    gradient : float32[n_items, d]
        Its derivative (at zero: from the right).
    """
    from affectlake import _spose_kernels as kernels

    w = embedding(weights)
    data = judgments(triplets, len(w), probabilities=probabilities, counts=counts)
    bounds = np.array([0, len(data)], np.int64)
    batch = Batches(data, bounds, *kernels.index_batches(data.triplets, bounds, len(w)))
    blocks = blocked(w)
    sums = np.empty_like(blocks)
    kernels.gradient(blocks, data.data, batch.index, np.zeros(3, np.float32), sums)
    gradient = whole(sums)[:, : w.shape[1]]
    value = float(evaluate(w, data)[0].sum(dtype=np.float64) / data.total) + l1 / len(w) * float(np.abs(w).sum())
    return value, np.asarray(gradient / np.float32(data.total) + np.float32(l1 / len(w)), np.float32)


def _score(weights: ArrayLike, triplets: ArrayLike) -> tuple[Floats, NDArray[np.int8]]:
    w = embedding(weights)
    rows = check_triplets(triplets, len(w))
    return evaluate(w, Judgments(rows, HARD, ONCE, NOWHERE, len(w)))


def embedding(weights: ArrayLike) -> Floats:
    """Return ``weights`` as a finite C-contiguous float32 matrix, or say what is wrong with it."""
    w = np.ascontiguousarray(weights, np.float32)
    if w.ndim != 2 or not np.isfinite(w).all():
        raise InputError(
            f"weights must be a finite matrix of shape (items, dimensions), not of shape {w.shape}",
            remedy="Give one row an item; a NaN in it says that the embedding was not fitted to the end",
        )
    return w
