"""Who trains and who is held out: canonical row order, folds, nested splits and the permutations of the null.

Pure bookkeeping on row numbers, in NumPy. Here belongs everything that decides which row may stand where; no
regression and no scores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affectlake.errors import InputError

Rows = npt.NDArray[np.intp]
Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to be scored, both in canonical order."""

    train: Rows
    held: Rows


@dataclass(frozen=True)
class Plan:
    """Every split of one cross-validation.

    Attributes
    ----------
    order : intp[n]
        The caller's row at each canonical position. Everything below counts canonical positions.
    segment : intp[n]
        Index into ``labels`` of the run (or of the contiguous block of a single run) that a row is of.
    labels : array[n_segments]
        Runs in sorted order, or 0, 1, ... for the blocks of a single run.
    fold : intp[n]
    outer : list of Split
    inner : list of list of Split
        ``inner[i]`` lies within ``outer[i].train``.
    strata : intp[n]
        Rows that the null may exchange: of one segment, and in the same outer training sets, so that an exchange
        leaves every training set's feature covariance as it is.
    contiguous : bool
        The data are one run.
    """

    order: Rows
    segment: Rows
    labels: Array
    fold: Rows
    outer: list[Split]
    inner: list[list[Split]]
    strata: Rows
    contiguous: bool


def make_plan(
    features: Array,
    responses: Array,
    runs: npt.ArrayLike,
    *,
    folds: int,
    gap: int,
    exclusive: npt.ArrayLike | None,
    trials: npt.ArrayLike | None,
    nested: bool,
) -> Plan:
    """Lay out all splits; see `affectlake.encoding.cross_validate` for the rules."""
    n = features.shape[0]
    run = _column(runs, n, "runs")
    labels, codes = np.unique(run, return_inverse=True)
    contiguous = labels.size == 1
    order = _canonical_order(features, responses, codes, trials)
    if contiguous:
        fold = _fold_of_part(n, folds)
        segment, labels = fold, np.arange(fold.max() + 1)
    else:
        segment = codes[order]
        fold = _fold_of_part(labels.size, folds)[segment]
    n_folds = int(fold.max()) + 1
    _enough_folds(n_folds, nested)
    ids = None if exclusive is None else np.unique(_column(exclusive, n, "exclusive"), return_inverse=True)[1][order]
    everyone = np.arange(n)
    seam = gap if contiguous else 0
    outer = [_split(everyone, fold, f, ids, seam) for f in range(n_folds)]
    for f, split in enumerate(outer):
        if split.train.size < 2:
            raise InputError(
                f"no rows are left to train on when fold {f + 1} of {n_folds} is held out",
                where="cross_validate",
                remedy="Every stimulus of the training side also stands in the held-out runs (exclusive), or the gap "
                "swallows the run: use folds that keep repetitions together, or a smaller gap",
            )
    inner = [_inner(split, fold, ids, seam) if nested else [] for split in outer]
    return Plan(order, segment, labels, fold, outer, inner, _strata(segment, outer), contiguous)


def permutations(plan: Plan, count: int, seed: int) -> Iterator[Rows]:
    """Yield ``count`` exchanges of rows within strata: position k takes the features of row ``permutation[k]``.

    Runs are shuffled. The blocks of a single run are rotated instead: a shuffle would destroy the autocorrelation that
    features and responses both have and make the null too narrow.
    """
    by_stratum = np.argsort(plan.strata, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(plan.strata[by_stratum]) != 0])
    sizes = np.diff(np.r_[starts, by_stratum.size])
    if count and sizes.max() == 1:
        raise InputError(
            "no two rows may be exchanged, so there is no permutation null",
            where="cross_validate",
            remedy="Use null=0, or runs of more than one row",
        )
    rng = np.random.default_rng(seed)
    within = np.arange(by_stratum.size) - np.repeat(starts, sizes)
    for _ in range(count):
        permutation = np.empty_like(by_stratum)
        if plan.contiguous:
            turned = (within + np.repeat(rng.integers(0, sizes), sizes)) % np.repeat(sizes, sizes)
            permutation[by_stratum] = by_stratum[np.repeat(starts, sizes) + turned]
        else:
            permutation[by_stratum] = np.lexsort((rng.random(by_stratum.size), plan.strata))
        yield permutation


def _column(values: npt.ArrayLike, n: int, name: str) -> Array:
    column = np.asarray(values)
    if column.shape != (n,):
        raise InputError(
            f"has shape {column.shape}, one value for each of the {n} rows of the features is needed",
            where=f"cross_validate, {name}",
        )
    return column


def _canonical_order(features: Array, responses: Array, run: Rows, trials: npt.ArrayLike | None) -> Rows:
    """Sort by run and trial; without trials by run and by what the rows say, so that no order is a meaning."""
    if trials is not None:
        trial = _column(trials, run.size, "trials")
        order = np.lexsort((trial, run))
        same = (np.diff(run[order]) == 0) & (trial[order][1:] == trial[order][:-1])
        if same.any():
            row = int(order[1:][same][0])
            raise InputError(
                f"run and trial number are not unique: trial {trial[row]!r} stands twice in its run",
                where=f"cross_validate, row {row}",
                remedy="Give each presentation of a run its own trial number",
            )
        return order
    if not run.any():  # one run: contiguous blocks need an order, the caller's is the only one there is
        return np.arange(run.size)
    content = np.unique(features, axis=0, return_inverse=True)[1].ravel()
    order = np.lexsort((content, run))
    tied = (np.diff(run[order]) == 0) & (np.diff(content[order]) == 0)
    if tied.any():  # the same features twice in a run: only the responses tell such rows apart
        rows = np.unique(np.r_[order[1:][tied], order[:-1][tied]])
        digests = np.full(run.size, b"", dtype="S16")
        digests[rows] = [_digest(responses[row]) for row in rows]
        order = np.lexsort((digests, content, run))
    return order


def _digest(row: Array) -> bytes:
    # hexadecimal: NumPy's fixed-width bytes would strip trailing zero bytes
    return hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=8).hexdigest().encode()


def _fold_of_part(parts: int, folds: int) -> Rows:
    """floor(parts / folds) consecutive parts in each fold, the remainder in the last."""
    folds = min(folds, parts)
    return np.minimum(np.arange(parts) // (parts // folds), folds - 1)


def _enough_folds(folds: int, nested: bool) -> None:
    needed = 3 if nested else 2
    if folds < needed:
        raise InputError(
            f"there are {folds} folds; {needed} are needed" + (" to choose among several alphas" if nested else ""),
            where="cross_validate, runs and folds",
            remedy="Give more runs or folds, label all rows as one run to use contiguous blocks, or give one alpha",
        )


def _split(candidates: Rows, fold: Rows, held_fold: int, ids: Rows | None, gap: int) -> Split:
    """Hold one fold's candidates out and train on the others, less those too near or of the same stimulus."""
    inside = fold[candidates] == held_fold
    held, train = candidates[inside], candidates[~inside]
    if held.size and gap:
        block = np.flatnonzero(fold == held_fold)
        train = train[(train < block[0] - gap) | (train > block[-1] + gap)]
    if ids is not None:
        train = train[~np.isin(ids[train], ids[held])]
    return Split(train, held)


def _inner(outer: Split, fold: Rows, ids: Rows | None, gap: int) -> list[Split]:
    splits = [_split(outer.train, fold, f, ids, gap) for f in np.unique(fold[outer.train])]
    usable = [s for s in splits if s.train.size >= 2]
    if not usable:
        raise InputError(
            "no inner fold has rows to train on, so no alpha can be chosen",
            where="cross_validate",
            remedy="Repetitions of a stimulus spread over all runs leave nothing: give one alpha, or drop exclusive",
        )
    return usable


def _strata(segment: Rows, outer: list[Split]) -> Rows:
    membership = np.zeros((segment.size, len(outer) + 1), dtype=np.intp)
    membership[:, 0] = segment
    for column, split in enumerate(outer, start=1):
        membership[split.train, column] = 1
    return np.asarray(np.unique(membership, axis=0, return_inverse=True)[1].ravel(), dtype=np.intp)
