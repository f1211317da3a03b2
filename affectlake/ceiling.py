"""Noise ceilings: how well any model could predict a region, given how far its responses can be reproduced.

Two sources: the same subject's responses to repeats of a clip, and other subjects' responses to the same clips. What
belongs here: estimates from arrays. What does not: bringing rows together (``scoring.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affectlake.errors import InputError
from affectlake.statistics import bootstrap_mean

Single = npt.NDArray[np.float32]
Float = npt.NDArray[np.float64]

MIN_STIMULI = 10
"""Fewer stimuli say nothing of a ceiling."""


@dataclass(frozen=True)
class Ceiling:
    """What Pearson's r a perfect model would reach in a region, single presentations, mean over voxels.

    Attributes
    ----------
    n_stimuli : int
        Stimuli that it is estimated from.
    agreement : float or None
        Mean over stimuli and voxels of the product of responses that should agree, in units of their variance: for
        repeats the correlation of two of them, for subjects the correlation with the mean of the others.
    value, low, high : float or None
        The ceiling and its 95 % interval over stimuli; None where there is none.
    reason : str or None
        Why there is none.
    """

    n_stimuli: int
    agreement: float | None
    value: float | None
    low: float | None
    high: float | None
    reason: str | None


def repeat_products(responses: npt.ArrayLike, stimuli: npt.ArrayLike) -> Single:
    """How far repeats of a stimulus agree, stimulus by stimulus.

    Parameters
    ----------
    responses : float[n, v]
        One row a presentation.
    stimuli : str or int[n]
        What was shown; stimuli shown once are left out.

    Returns
    -------
    float32[k, v]
        For each of the k repeated stimuli the mean product of two of its presentations, responses standardized over
        all presentations of repeated stimuli. The mean over stimuli is the correlation of two repeats; for unrelated
        responses to N presentations its expectation is -1 / (N - 1).

    Raises
    ------
    InputError
        Rows and stimuli differ in number.
    """
    values, shown = np.asarray(responses, dtype=np.float32), np.asarray(stimuli)
    if len(values) != len(shown):
        raise InputError(f"{len(values)} rows of responses and {len(shown)} stimuli", where="ceiling")
    _, place, count = np.unique(shown, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(count[place] > 1)
    if not rows.size:
        return np.empty((0, values.shape[1]), dtype=np.float32)
    _, place, count = np.unique(place[rows], return_inverse=True, return_counts=True)
    scaled = _standard(values[rows])
    order = np.argsort(place, kind="stable")
    starts = np.concatenate([[0], np.cumsum(count)[:-1]])
    sums = np.add.reduceat(scaled[order], starts, axis=0)
    squares = np.add.reduceat(scaled[order] ** 2, starts, axis=0)
    return np.asarray((sums**2 - squares) / (count * (count - 1))[:, None], dtype=np.float32)


def repeat_ceiling(products: npt.ArrayLike) -> Ceiling:
    """Ceiling of a region from repeats of stimuli within a subject.

    Parameters
    ----------
    products : float[k, v]
        From `repeat_products`, the region's columns.

    Returns
    -------
    Ceiling
        The square root of the correlation of two repeats, averaged over voxels before the root is taken: the root of
        each voxel's noisy estimate would be biased.

    Notes
    -----
    With signal variance S and noise variance N two repeats correlate S / (S + N), and the signal itself correlates with
    one presentation by the square root of it (Schoppe et al. 2016, Front. Comput. Neurosci. 10:10, "Normalized
    correlation coefficient").
    """
    return _region(products, lambda agreement: agreement**0.5, "repeats do not agree beyond chance")


def repeat_ceilings(
    responses: npt.ArrayLike, stimuli: npt.ArrayLike, regions: Mapping[str, npt.NDArray[np.int64]]
) -> dict[str, Ceiling]:
    """`repeat_ceiling` of every region.

    Parameters
    ----------
    responses, stimuli
        As in `repeat_products`.
    regions : mapping of str to int64[m]
        Columns of each region; one without columns has no ceiling.
    """
    products = repeat_products(responses, stimuli)
    return {
        roi: repeat_ceiling(products[:, columns]) if columns.size else nothing(len(products), "no usable voxel")
        for roi, columns in regions.items()
    }


def nothing(n_stimuli: int, reason: str) -> Ceiling:
    """No ceiling, and why."""
    return Ceiling(n_stimuli, None, None, None, None, reason)


@dataclass(frozen=True)
class Shared:
    """How one subject's responses agree with those of others.

    Attributes
    ----------
    products : float32[n, v]
        Stimulus by stimulus the subject's response times the mean of the others', both standardized over stimuli. Its
        mean over stimuli is their correlation.
    others : float64[v]
        Mean correlation of two of the others; NaN where there is only one.
    n_others : int
    """

    products: Single
    others: Float
    n_others: int


def shared_products(subjects: Sequence[str], read: Callable[[str], npt.ArrayLike]) -> Callable[[str], Shared]:
    """How each subject's responses agree with the others', one subject in memory at a time beside the sum of all.

    Parameters
    ----------
    subjects : sequence of str
        At least two.
    read : callable
        Subject to float[n, v]: the same stimuli in rows and the same places in columns for all.

    Returns
    -------
    callable
        Subject to `Shared`.

    Raises
    ------
    InputError
        There are fewer than two subjects, or their shapes disagree.
    """
    if len(subjects) < 2:
        raise InputError(f"{len(subjects)} subjects share nothing", where="ceiling")
    total: Float | None = None
    for subject in subjects:
        scaled = _standard(np.asarray(read(subject), dtype=np.float32))
        if total is not None and total.shape != scaled.shape:
            raise InputError(f"responses of {subject} have shape {scaled.shape}, not {total.shape}", where="ceiling")
        total = scaled.astype(np.float64) if total is None else total + scaled
    everyone = np.asarray(total)
    k = len(subjects) - 1

    def of(subject: str) -> Shared:
        own = _standard(np.asarray(read(subject), dtype=np.float32))
        rest = everyone - own
        power = (rest**2).mean(axis=0)
        # the variance of a sum of k standardized responses is k + k (k - 1) times their mean correlation
        others = (power - k) / (k * (k - 1)) if k > 1 else np.full(len(power), np.nan)
        length = np.sqrt(power)
        return Shared((own * rest / np.where(length > 0, length, 1)).astype(np.float32), others, k)

    return of


def shared_ceiling(shared: Shared, columns: npt.NDArray[np.int64]) -> Ceiling:
    """Ceiling of a region from other subjects: what of the subject's responses a signal common to all explains.

    Parameters
    ----------
    shared : Shared
        From `shared_products`.
    columns : int64[m]
        The region's columns.

    Returns
    -------
    Ceiling
        The correlation with the mean of the others, divided by the square root of that mean's own reliability
        (Spearman-Brown from the mean correlation of two of the others). With one other subject, the square root of the
        correlation of the two. What is reproducible in this subject alone lies above it.

    Notes
    -----
    Undivided it is the lower bound of Nili et al. 2014, PLoS Comput. Biol. 10:e1003553, "noise ceiling".
    """
    if shared.n_others == 1:
        return _region(shared.products[:, columns], lambda r: r**0.5, "the two subjects do not agree beyond chance")
    rho = float(shared.others[columns].mean())
    if rho <= 0:
        return nothing(len(shared.products), "the other subjects do not agree with each other")
    reliability = shared.n_others * rho / (1 + (shared.n_others - 1) * rho)
    return _region(
        shared.products[:, columns], lambda r: r / reliability**0.5, "does not agree with the others beyond chance"
    )


def _region(products: npt.ArrayLike, to_ceiling: Callable[[float], float], otherwise: str) -> Ceiling:
    """The ceiling that a region's products give, where their mean is above zero with 95 % confidence."""
    values = np.asarray(products)
    if len(values) < MIN_STIMULI:
        return nothing(len(values), f"{len(values)} stimuli to compare, {MIN_STIMULI} are needed")
    found = bootstrap_mean(values.mean(axis=1, dtype=np.float64))
    if found.low <= 0:
        return Ceiling(len(values), found.estimate, None, None, None, otherwise)
    estimate, low, high = (min(1.0, to_ceiling(x)) for x in (found.estimate, found.low, found.high))
    return Ceiling(len(values), found.estimate, estimate, low, high, None)


def _standard(values: Single) -> Single:
    """Columns with mean 0 and variance 1; a column that does not vary becomes 0."""
    centred = values - values.mean(axis=0, dtype=np.float64).astype(np.float32)
    sd = centred.std(axis=0, dtype=np.float64)
    scaled: Single = (centred / np.where(sd > 0, sd, 1)).astype(np.float32)
    return scaled
