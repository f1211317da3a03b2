"""Judgments as the embedding wants them: checked, in one canonical order, shuffled by a seed, cut into batches.

What belongs here: everything between a user's arrays and the kernels' arrays. What does not: optimisation.

The order of the rows that a user hands over carries no information, so it must not decide about the result: rows are
sorted before a seed shuffles them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake.errors import InputError

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

HARD = np.array([[0, 0, 1]], np.float32)
ONCE = np.ones(1, np.float32)
NOWHERE = np.zeros((1, 3), np.int8)


@dataclass(frozen=True)
class Judgments:
    """Odd-one-out judgments in canonical order.

    Attributes
    ----------
    triplets : int32[n, 3]
        Items; the odd one last.
    targets : float32[n, 3] or float32[1, 3]
        Probability that each column is the odd one; one row where all judgments are certain.
    counts : float32[n] or float32[1]
        How often each judgment was given; one element where each was given once.
    positions : int8[n, 3] or int8[1, 3]
        Place at which each column was presented; one row where it is not modelled.
    n_items : int
    """

    triplets: Ints
    targets: Floats
    counts: Floats
    positions: NDArray[np.int8]
    n_items: int

    def __len__(self) -> int:
        return len(self.triplets)

    @property
    def data(self) -> tuple[Ints, Floats, Floats, NDArray[np.int8]]:
        """The arrays in the order that the kernels take them."""
        return self.triplets, self.targets, self.counts, self.positions

    @property
    def total(self) -> float:
        """Number of judgments, repeats counted."""
        return float(self.counts.sum(dtype=np.float64)) * (1 if len(self.counts) > 1 else len(self))

    def take(self, rows: NDArray[np.int64]) -> Judgments:
        """Return the judgments of ``rows``, in that order."""
        return replace(
            self,
            triplets=np.ascontiguousarray(self.triplets[rows]),
            targets=self.targets[rows] if len(self.targets) > 1 else self.targets,
            counts=self.counts[rows] if len(self.counts) > 1 else self.counts,
            positions=self.positions[rows] if len(self.positions) > 1 else self.positions,
        )


def check_triplets(triplets: ArrayLike, n_items: int) -> Ints:
    """Return ``triplets`` as int32[n, 3], or say which row is wrong.

    Raises
    ------
    InputError
        Not n x 3 integers, an item outside 0 .. n_items - 1, or an item that stands twice in a triplet.
    """
    array = np.asarray(triplets)
    if array.ndim != 2 or array.shape[1] != 3 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(
            f"triplets must be an integer array of shape (n, 3), not {array.dtype} of shape {array.shape}",
            remedy="Give one row a judgment: two items that were kept together, then the odd one",
        )
    if n_items < 3:
        raise InputError(f"n_items is {n_items}, but a triplet needs 3 items", remedy="Give the number of items")
    if array.size and (array.min() < 0 or array.max() >= n_items):
        row = int(np.flatnonzero(((array < 0) | (array >= n_items)).any(axis=1))[0])
        raise InputError(
            f"item outside 0 .. {n_items - 1}: {array[row].tolist()}",
            where=f"triplets, row {row}",
            remedy="Items are 0-based; n_items counts all items, judged or not",
        )
    result = np.ascontiguousarray(array, np.int32)
    same = (result[:, 0] == result[:, 1]) | (result[:, 0] == result[:, 2]) | (result[:, 1] == result[:, 2])
    if same.any():
        row = int(np.flatnonzero(same)[0])
        raise InputError(
            f"an item stands twice in the triplet {result[row].tolist()} ({int(same.sum())} such rows)",
            where=f"triplets, row {row}",
            remedy="A judgment compares three different items",
        )
    return result


def judgments(
    triplets: ArrayLike,
    n_items: int,
    *,
    probabilities: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    positions: ArrayLike | None = None,
) -> Judgments:
    """Check the arrays of ``spose.fit`` and bring them into canonical order.

    Raises
    ------
    InputError
        An array has the wrong shape or values that cannot be; the message names the first such row.
    """
    rows = check_triplets(triplets, n_items)
    soft = None if probabilities is None else _check_probabilities(probabilities, len(rows))
    often = None if counts is None else _check_counts(counts, len(rows))
    places = None if positions is None else _check_positions(positions, len(rows))
    if soft is None and often is None and places is None:
        return Judgments(_sorted_plain(rows, n_items), HARD, ONCE, NOWHERE, n_items)
    extra: list[Any] = [soft, None if often is None else often[:, None], places]
    columns = [x for x in extra if x is not None]
    swap = rows[:, 0] > rows[:, 1]
    turn = np.array([1, 0, 2])
    rows = np.where(swap[:, None], rows[:, turn], rows)
    columns = [np.where(swap[:, None], x[:, turn], x) if x.shape[1] == 3 else x for x in columns]
    keys = [x[:, k] for x in reversed(columns) for k in reversed(range(x.shape[1]))]
    order = np.lexsort((*keys, rows[:, 2], rows[:, 1], rows[:, 0]))
    sorted_columns: Any = iter([np.ascontiguousarray(x[order]) for x in columns])
    return Judgments(
        np.ascontiguousarray(rows[order]),
        HARD if soft is None else next(sorted_columns),
        ONCE if often is None else next(sorted_columns)[:, 0],
        NOWHERE if places is None else next(sorted_columns),
        n_items,
    )


def _sorted_plain(rows: Ints, n_items: int) -> Ints:
    """Sort certain judgments by one 64-bit key: ten times faster than a sort by three columns."""
    n = np.int64(n_items)
    if n**3 > 2**62:
        ordered = np.column_stack([rows[:, :2].min(axis=1), rows[:, :2].max(axis=1), rows[:, 2]])
        return np.ascontiguousarray(ordered[np.lexsort(ordered.T[::-1])])
    key = (rows[:, :2].min(axis=1).astype(np.int64) * n + rows[:, :2].max(axis=1)) * n + rows[:, 2]
    key.sort()
    result = np.empty(rows.shape, np.int32)
    result[:, 2] = key % n
    key //= n
    result[:, 1] = key % n
    result[:, 0] = key // n
    return result


def _check_probabilities(probabilities: ArrayLike, n: int) -> Floats:
    p = np.asarray(probabilities, np.float32)
    if p.shape != (n, 3):
        raise InputError(
            f"probabilities have shape {p.shape}, the triplets ({n}, 3)",
            remedy="Give, for each triplet, the probability that each of its three columns is the odd one",
        )
    wrong = ~np.isfinite(p).all(axis=1) | (p < 0).any(axis=1) | (np.abs(p.sum(axis=1) - 1) > 1e-3)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"not three probabilities that sum to 1: {p[row].tolist()}",
            where=f"probabilities, row {row}",
            remedy="Where a judge gave none, give the certain answer (0, 0, 1)",
        )
    return np.asarray(p / p.sum(axis=1, keepdims=True), np.float32)


def _check_counts(counts: ArrayLike, n: int) -> Floats:
    c = np.asarray(counts, np.float32)
    if c.shape != (n,) or not np.isfinite(c).all() or (c <= 0).any():
        raise InputError(
            f"counts must be {n} positive numbers, one a triplet",
            remedy="Leave out triplets that were never judged",
        )
    return c


def _check_positions(positions: ArrayLike, n: int) -> NDArray[np.int8]:
    p = np.asarray(positions)
    if p.shape != (n, 3) or (n and not (np.sort(p, axis=1) == np.arange(3)).all()):
        raise InputError(
            f"positions must be of shape ({n}, 3), each row an order of 0, 1, 2",
            remedy="Give the place (0 first, 2 last) at which each column of the triplet was presented",
        )
    return p.astype(np.int8)


@dataclass(frozen=True)
class Batches:
    """Shuffled judgments cut into batches.

    Attributes
    ----------
    judgments : Judgments
    bounds : int64[batches + 1]
        First row of each batch.
    starts : int32[batches, n_items + 1]
        First place of each item among a batch's places sorted by item.
    slots : int32[n, 3]
        Which of these places each column of a triplet has.
    """

    judgments: Judgments
    bounds: NDArray[np.int64]
    starts: Ints
    slots: Ints

    @property
    def index(self) -> tuple[NDArray[np.int64], Ints, Ints]:
        """The arrays in the order that the kernels take them."""
        return self.bounds, self.starts, self.slots

    def __len__(self) -> int:
        return len(self.bounds) - 1


def batches(data: Judgments, size: int, rng: np.random.Generator, *, drop_last: bool = False) -> Batches:
    """Shuffle ``data`` and cut it into batches of about ``size``; every judgment is in one batch.

    With ``drop_last`` batches have exactly ``size`` judgments and the rest is left out (the published program).
    """
    from affectlake import _spose_kernels as kernels

    order: Any = rng.permutation(len(data))
    if drop_last and len(data) > size:
        bounds = np.arange(0, len(data) + 1, size, dtype=np.int64)
        order = order[: bounds[-1]]
    else:
        n = max(1, round(len(data) / size))
        bounds = np.arange(n + 1, dtype=np.int64) * len(data) // n
    shuffled = data.take(order)
    starts, slots = kernels.index_batches(shuffled.triplets, bounds, data.n_items)
    return Batches(shuffled, bounds, starts, slots)
