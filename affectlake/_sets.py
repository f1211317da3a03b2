"""Sets of three items and their ranks. The public names are in :mod:`affectlake.triplets`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import StudyError

Ints = npt.NDArray[np.integer]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


def rank(triplets: Ints) -> Int64s:
    """Rank of each set {a < b < c} among all sets of three: C(c,3) + C(b,2) + a.

    Parameters
    ----------
    triplets : int array of shape (n, 3)
        Three different items >= 0 a row, in any order.

    Returns
    -------
    int64 array of shape (n,)
        The order of the items within a row does not matter. Exact for up to two million items.
    """
    a, b, c = np.sort(np.asarray(triplets, dtype=np.int64).reshape(-1, 3), axis=1).T
    ranks: Int64s = c * (c - 1) * (c - 2) // 6 + b * (b - 1) // 2 + a
    return ranks


def unrank(ranks: Ints) -> Int32s:
    """The sets of the given ranks: the inverse of :func:`rank`.

    Parameters
    ----------
    ranks : int array of shape (n,)
        Ranks >= 0.

    Returns
    -------
    int32 array of shape (n, 3)
        Items a < b < c.
    """
    left = np.asarray(ranks, dtype=np.int64).ravel()
    # the roots are one off at most; integers then decide, since floats cannot be trusted next to a whole number
    c = np.cbrt(6.0 * left).astype(np.int64) + 1
    c -= c * (c - 1) * (c - 2) // 6 > left
    c -= c * (c - 1) * (c - 2) // 6 > left
    c += (c + 1) * c * (c - 1) // 6 <= left
    left = left - c * (c - 1) * (c - 2) // 6
    b = (np.sqrt(8.0 * left + 1).astype(np.int64) + 1) // 2
    b -= b * (b - 1) // 2 > left
    b += (b + 1) * b // 2 <= left
    return np.stack([left - b * (b - 1) // 2, b, c], axis=1).astype(np.int32)


def n_sets(n_items: int) -> int:
    """How many sets of three there are among ``n_items``."""
    return n_items * (n_items - 1) * (n_items - 2) // 6 if n_items >= 3 else 0


def sample(n_items: int, n_triplets: int, *, seed: int) -> Int32s:
    """Distinct sets of three, uniform among all of them, in random order.

    Parameters
    ----------
    n_items : int
        Items are 0 .. n_items - 1.
    n_triplets : int
        Sets wanted.
    seed : int
        The same seed gives the same sets.

    Returns
    -------
    int32 array of shape (n_triplets, 3)
        Items a < b < c.

    Raises
    ------
    StudyError
        There are not so many sets.
    """
    rng = np.random.default_rng(seed)
    total = n_sets(n_items)
    if n_triplets > total:
        raise StudyError(f"{n_triplets} different triplets were asked for; {n_items} items make only {total}")
    if 3 * n_triplets > total:
        return unrank(rng.permutation(total)[:n_triplets])
    drawn = np.empty(0, dtype=np.int64)
    while drawn.size < n_triplets:
        drawn = distinct(np.concatenate([drawn, draw(total, n_triplets - drawn.size, rng)]))
    return unrank(drawn[:n_triplets])


def draw(total: int, wanted: int, rng: np.random.Generator) -> Int64s:
    return rng.integers(0, total, size=wanted + wanted // 8 + 64, dtype=np.int64)


def distinct(ids: Int64s) -> Int64s:
    """First occurrences, in their order: what is kept of uniform draws is a uniform sample without replacement."""
    # polars hashes on all cores; numpy.unique took three times as long on eight million ids
    return pl.Series(ids).unique(maintain_order=True).to_numpy()


def contained(ids: Int64s, known: Int64s) -> npt.NDArray[np.bool_]:
    """Which ``ids`` stand in ``known``, which is sorted."""
    if not known.size:
        return np.zeros(ids.size, dtype=bool)
    at = np.minimum(np.searchsorted(known, ids), known.size - 1)
    return np.asarray(known[at] == ids)
