"""Sampling designs: which sets of three items are asked, for what purpose, and in which order they are shown.

A set of three items is identified by its rank among all sets, so that the same set has the same id in every study of
the same items. Everything here is a pure function of its arguments and works on arrays. What does not belong here: who
answers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake._plan import plan
from affectlake._sets import Int64s, Ints, n_sets, rank, sample, unrank
from affectlake.counterhash import below, counter_hash
from affectlake.tables import ORDERS

__all__ = ["n_sets", "plan", "presented_order", "purposes", "questions", "rank", "sample", "unrank"]

HELD_OUT = 0.1
"""Share of judgments made elsewhere that is kept for testing, as the field's 90/10 files do."""


def presented_order(triplet_id: Ints, repeat: Ints, seed: int) -> npt.NDArray[np.uint8]:
    """The order in which a triplet is shown: random over triplets and repeats, the same whenever it is asked for.

    Parameters
    ----------
    triplet_id : int array of shape (n,)
        Ranks of the sets.
    repeat : int array of shape (n,) or int
        0-based repeats.
    seed : int
        The study's seed.

    Returns
    -------
    uint8 array of shape (n,)
        Places in :data:`affectlake.tables.ORDERS`; depends on nothing but the arguments of its own row.
    """
    return below(counter_hash(seed, triplet_id, repeat), len(ORDERS)).astype(np.uint8)


def questions(triplets: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Every question of a design: its triplets, orders and repeats written out.

    Parameters
    ----------
    triplets : polars.DataFrame
        Rows of the table ``triplets``.
    seed : int
        The study's seed, for the random orders.

    Returns
    -------
    polars.DataFrame
        Columns ``triplet_id`` (Int64), ``a``, ``b``, ``c`` (Int32), ``presented`` (String) and ``repeat`` (Int32), in
        the order of ``triplets``. Where one order is asked it is drawn anew for each repeat; where six are, each repeat
        asks all of them.
    """
    orders, repeats = triplets["orders"].to_numpy().astype(np.int64), triplets["repeats"].to_numpy().astype(np.int64)
    asked = orders * repeats
    row = np.repeat(np.arange(triplets.height), asked)
    number = np.arange(row.size) - np.repeat(np.cumsum(asked) - asked, asked)
    repeat = number // orders[row]
    kept = triplets.select("triplet_id", "a", "b", "c")
    expanded = kept if row.size == triplets.height else kept[row]
    drawn = presented_order(expanded["triplet_id"].to_numpy(), repeat, seed)
    shown = np.where(orders[row] == 1, drawn, number % len(ORDERS))
    return expanded.with_columns(
        pl.Series("presented", ORDERS).gather(pl.Series(shown, dtype=pl.UInt32)),
        pl.Series("repeat", repeat.astype(np.int32)),
    )


def purposes(triplet_id: Int64s, planned: pl.DataFrame) -> pl.Series:
    """Purposes of judgments that were made elsewhere and never planned here.

    A planned set keeps its purpose, so that nothing held out is trained on; any other is ``test`` for one in ten sets,
    decided by a hash of the set, else ``train``.

    Parameters
    ----------
    triplet_id : int64 array of shape (n,)
        Ranks of the sets.
    planned : polars.DataFrame
        The table ``triplets``, or its columns ``triplet_id`` and ``purpose``.

    Returns
    -------
    polars.Series of String
        One purpose a set; all answers to one set have the same.
    """
    frame = pl.DataFrame({"triplet_id": np.asarray(triplet_id, dtype=np.int64)})
    held_out = pl.Series(below(counter_hash(0, triplet_id), 1000) < round(1000 * HELD_OUT))
    joined = frame.join(planned.select("triplet_id", "purpose"), on="triplet_id", how="left", maintain_order="left")
    fallback = pl.select(pl.when(held_out).then(pl.lit("test")).otherwise(pl.lit("train"))).to_series()
    return joined["purpose"].fill_null(fallback).rename("purpose")
