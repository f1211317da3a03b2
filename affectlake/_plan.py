"""Which questions a study asks, and for what purpose. The public name is :func:`affectlake.triplets.plan`."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake._sets import Int32s, Int64s, Ints, contained, distinct, draw, n_sets, rank, unrank
from affectlake.errors import StudyError
from affectlake.tables import TRIPLETS

BATCH = 4_000_000
"""Sets drawn at a time: bounds the memory of a design of any size."""

PANEL_REPEATS = 2
"""Times that each of a panel's six orders is asked: with one, an effect of order could not be told from noise."""

SURELY_NEW = 1e-6
"""Below this probability that chance alone left an item out of the design, an item without questions is a new one."""


def plan(
    items: Ints,
    existing: pl.DataFrame,
    *,
    train: int = 0,
    test: int = 0,
    validation_items: int = 0,
    ceiling_triplets: int = 0,
    ceiling_repeats: int = 2,
    panel: int = 0,
    seed: int = 0,
) -> pl.DataFrame:
    """The questions that the design still lacks: one wave, to be added to the existing ones.

    No set has two purposes. ``validation`` is every set within ``validation_items`` items, and no set within them is
    given another purpose. All other purposes are uniform random sets. Existing questions stay. Where items have come
    since, each purpose of N questions gets as many with a new item as a design of N drawn at once would have; so a new
    item is asked about as often as the others would be, and nothing is asked again.

    Parameters
    ----------
    items : int array of shape (n,)
        Items that may be asked about (canonical clips that are present).
    existing : polars.DataFrame
        The table ``triplets`` so far.
    train, test, ceiling_triplets, panel : int
        Questions of each purpose.
    validation_items : int
        Items whose sets are all asked.
    ceiling_repeats : int
        Times that each ceiling question is asked.
    seed : int
        The same arguments give the same wave.

    Returns
    -------
    polars.DataFrame
        New rows of the table ``triplets``; none where nothing is missing.

    Raises
    ------
    StudyError
        The items do not make so many sets.
    """
    pool = np.unique(np.asarray(items, dtype=np.int32))
    wave = 0 if existing.is_empty() else int(existing["wave"].cast(pl.Int64).max() or 0) + 1  # type: ignore[arg-type]
    rng = np.random.default_rng([seed, wave])
    taken = np.sort(existing["triplet_id"].to_numpy())
    chosen = _validation_items(pool, existing, validation_items, rng)
    within = _sets_within(np.intersect1d(chosen, pool))
    validation = within[~contained(within, taken)]
    counts = {"train": train, "test": test, "ceiling": ceiling_triplets, "panel": panel}
    new = _new_items(pool, existing)
    drawn = _fill(counts, _Pool(pool, new, chosen, taken), existing, rng)
    asked = {"ceiling": (1, ceiling_repeats), "panel": (6, PANEL_REPEATS)}
    frames = [
        _rows(purpose, ids, wave, existing, *asked.get(purpose, (1, 1)))
        for purpose, ids in {**drawn, "validation": rng.permutation(validation)}.items()
    ]
    return pl.concat(frames) if frames else TRIPLETS.empty()


class _Pool(NamedTuple):
    items: Int32s
    """Items that may be asked about, sorted."""
    new: Int32s
    """Those of them that no earlier wave knew."""
    validation: Int32s
    taken: Int64s
    """Sorted ids that have a purpose already."""


def _validation_items(pool: Int32s, existing: pl.DataFrame, wanted: int, rng: np.random.Generator) -> Int32s:
    """The validation items so far, then randomly chosen ones; those that left the pool stay where they were asked."""
    known = np.flatnonzero(_mask(existing.filter(pl.col("purpose") == "validation"), 0))
    others = np.setdiff1d(pool, known)
    if 0 < wanted < 3:
        raise StudyError(f"triplets.validation_items is {wanted}, but three items make the first triplet")
    if wanted - known.size > others.size:
        raise StudyError(f"triplets.validation_items is {wanted}, but only {pool.size} items can be asked about")
    more = rng.permutation(others)[: max(0, wanted - known.size)]
    return np.union1d(known, more).astype(np.int32)


def _sets_within(items: Int32s) -> Int64s:
    """Ids of all sets of three among ``items``."""
    return rank(items[unrank(np.arange(n_sets(items.size)))])


def _new_items(pool: Int32s, existing: pl.DataFrame) -> Int32s:
    """Items without any question, where chance alone would hardly have left one out.

    A design so small that chance leaves items out cannot tell: there, asking again must not grow it for ever.
    """
    uniform = existing.filter(pl.col("purpose") != "validation")
    asked = _mask(existing, int(pool.max(initial=0)) + 1)
    absent = pool[~asked[pool]]
    n = max(int(asked.sum()), 3)
    by_chance = pool.size * (1 - 3 / n) ** uniform.height
    return absent if uniform.height and by_chance < SURELY_NEW else absent[:0]


def _mask(triplets: pl.DataFrame, size: int) -> npt.NDArray[np.bool_]:
    """Which items stand in ``triplets``, for items below ``size`` and all that are asked about."""
    columns = [triplets[name].to_numpy() for name in "abc"]
    mask = np.zeros(max([size, *(int(column.max(initial=0)) + 1 for column in columns)]), dtype=bool)
    for column in columns:
        mask[column] = True
    return mask


def _fill(counts: dict[str, int], pool: _Pool, existing: pl.DataFrame, rng: np.random.Generator) -> dict[str, Int64s]:
    """Random sets for what each purpose lacks, split into sets of old items and sets with a new one."""
    allowed = np.zeros(_mask(existing, int(pool.items.max(initial=0)) + 1).size, dtype=bool)
    allowed[pool.items] = True
    askable = np.logical_and.reduce([allowed[existing[name].to_numpy()] for name in "abc"])
    held = dict(existing.filter(pl.Series(askable)).group_by("purpose").len().iter_rows())
    total, old = n_sets(pool.items.size), n_sets(pool.items.size - pool.new.size)
    share = {p: round(n * (total - old) / total) if total and n else 0 for p, n in counts.items()}
    lacking = {p: max(0, n - share[p] - held.get(p, 0)) for p, n in counts.items()}
    with_old, with_new = _disjoint_sets(pool, sum(lacking.values()), sum(share.values()), rng)
    out, at_old, at_new = {}, 0, 0
    for purpose in counts:
        of_old = with_old[at_old : at_old + lacking[purpose]]
        of_new = with_new[at_new : at_new + share[purpose]]
        at_old, at_new = at_old + lacking[purpose], at_new + share[purpose]
        both = np.concatenate([of_old, of_new])
        # the first N of a purpose must be a random sample of it, so the two kinds are mixed
        out[purpose] = rng.permutation(both) if of_new.size else both
    return out


def _disjoint_sets(pool: _Pool, n_old: int, n_new: int, rng: np.random.Generator) -> tuple[Int64s, Int64s]:
    """Random sets that have no purpose yet: ``n_old`` without and ``n_new`` with a new item, in random order."""
    empty = np.empty(0, dtype=np.int64)
    if n_old + n_new == 0:
        return empty, empty
    total = n_sets(pool.items.size)
    used = n_old + n_new + pool.taken.size + n_sets(pool.validation.size)
    if total <= max(BATCH, 3 * used):
        old, new = _free(rng.permutation(total), pool, old=True, new=True)
    else:
        old, new = empty, empty
        new_share = 1 - n_sets(pool.items.size - pool.new.size) / total
        while old.size < n_old or new.size < n_new:
            wanted = max((n_old - old.size) / (1 - new_share), (n_new - new.size) / max(new_share, 1e-9))
            more_old, more_new = _free(
                draw(total, min(math.ceil(wanted), BATCH), rng), pool, old=old.size < n_old, new=new.size < n_new
            )
            # only what is still wanted is kept, so that memory stays bounded by the design
            old = distinct(np.concatenate([old, more_old]))[:n_old] if old.size < n_old else old
            new = distinct(np.concatenate([new, more_new]))[:n_new] if new.size < n_new else new
    if old.size < n_old or new.size < n_new:
        raise StudyError(
            f"the study asks for {n_old + n_new} more triplets than it has, but its {pool.items.size} items leave only "
            f"{old.size + new.size} sets that have no purpose yet",
            remedy="Lower the numbers under `triplets`, or add videos.",
        )
    return old[:n_old], new[:n_new]


def _free(places: Int64s, pool: _Pool, *, old: bool, new: bool) -> tuple[Int64s, Int64s]:
    """Ids of the sets at these ranks within the pool that may be given a purpose, without and with a new item.

    Only the kinds that are wanted are looked for: most of the time goes into looking up ids that are taken.
    """
    sets = unrank(places)
    has_new = np.isin(pool.items, pool.new)[sets].any(axis=1)
    allowed = ~np.isin(pool.items, pool.validation)[sets].all(axis=1)
    found = []
    for wanted, kind in ((old, ~has_new), (new, has_new)):
        ids = rank(pool.items[sets[allowed & kind & wanted]])
        found.append(ids[~contained(ids, pool.taken)])
    return found[0], found[1]


def _rows(purpose: str, ids: Int64s, wave: int, existing: pl.DataFrame, orders: int, repeats: int) -> pl.DataFrame:
    start = existing.filter(pl.col("purpose") == purpose).height
    a, b, c = unrank(ids).T
    return pl.DataFrame(
        {
            "triplet_id": ids,
            "a": a.copy(),
            "b": b.copy(),
            "c": c.copy(),
            "purpose": pl.repeat(purpose, ids.size, eager=True, dtype=pl.String),
            "wave": np.full(ids.size, wave, dtype=np.int32),
            "position": np.arange(start, start + ids.size, dtype=np.int64),
            "orders": np.full(ids.size, orders, dtype=np.int32),
            "repeats": np.full(ids.size, repeats, dtype=np.int32),
        },
        schema=TRIPLETS.schema,
    )
