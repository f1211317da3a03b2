"""Checks of what a caller of `affectlake.encoding` hands in: shapes, finite values, counts, groups of targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from affectlake.errors import InputError

Array = npt.NDArray[np.generic]
Float = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]

ALPHAS: Float = np.logspace(-1, 6, 20)


class Steps:
    """Counts steps and tells whoever listens."""

    def __init__(self, listener: Progress | None, total: int) -> None:
        self._listener, self._total, self._done = listener, total, 0

    def add(self, steps: int = 1) -> None:
        """Report ``steps`` more as done."""
        self._done += steps
        if self._listener is not None:
            self._listener(self._done, self._total)


def features_matrix(features: npt.ArrayLike, name: str = "features") -> Float:
    """Finite float64[n, p]."""
    matrix = np.asarray(features, dtype=np.float64)
    _two_dimensional(matrix, name)
    if not np.isfinite(matrix).all():
        row, column = (int(i) for i in np.argwhere(~np.isfinite(matrix))[0])
        raise InputError(
            "is NaN or infinite",
            where=f"cross_validate, {name}, row {row}, column {column}",
            remedy="Leave out rows without features before scoring, and count them",
        )
    return matrix


def responses_matrix(responses: npt.ArrayLike) -> Array:
    """[n, v] of numbers, not copied; the engine checks each block for missing values as it reads it."""
    matrix = np.asarray(responses)
    if matrix.dtype.kind not in "fiu":
        matrix = matrix.astype(np.float32)
    _two_dimensional(matrix, "responses")
    return matrix


def same_rows(one: Array, other: Array) -> None:
    """Refuse matrices with different numbers of rows."""
    if one.shape[0] != other.shape[0]:
        raise InputError(
            f"matrices with {one.shape[0]} and {other.shape[0]} rows were given; each row is one presentation",
            where="cross_validate",
            remedy="Join features and responses by stimulus first",
        )


def penalties_of(alphas: npt.ArrayLike) -> Float:
    """Positive float64[a]."""
    penalties = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    if penalties.ndim != 1 or not penalties.size or not (np.isfinite(penalties) & (penalties > 0)).all():
        raise InputError("penalties must be positive numbers", where="cross_validate, alphas")
    return penalties


def counts(**limits: tuple[int, int]) -> None:
    """Refuse a value below its least: ``name=(value, least)``."""
    for name, (value, least) in limits.items():
        if value < least:
            raise InputError(f"is {value}, at least {least} is needed", where=f"cross_validate, {name}")


def group_members(name: str, group: npt.ArrayLike, targets: int) -> npt.NDArray[np.intp]:
    """Column numbers of a group given as numbers or as a mask."""
    members = np.asarray(group)
    if members.dtype == np.bool_ and members.shape == (targets,):
        members = np.flatnonzero(members)
    if members.ndim != 1 or not members.size or members.dtype.kind not in "iu":
        raise InputError(
            "is empty or neither column numbers nor a mask over the targets", where=f"cross_validate, groups, {name}"
        )
    if members.min() < 0 or members.max() >= targets:
        raise InputError(
            f"names column {int(members.max())} of {targets} targets", where=f"cross_validate, groups, {name}"
        )
    return members.astype(np.intp)


def pools_of(together: npt.ArrayLike, targets: int) -> npt.NDArray[np.intp]:
    """Number of each target's pool, from any labels."""
    labels = np.asarray(together)
    if labels.shape != (targets,):
        raise InputError(
            f"has shape {labels.shape}, one label for each of the {targets} targets is needed",
            where="cross_validate, together",
        )
    return np.unique(labels, return_inverse=True)[1].astype(np.intp)


def group_shares(members: Mapping[str, npt.NDArray[np.intp]], targets: int) -> Float:
    """Share of each target in each group's mean: float64[v, groups]."""
    shares = np.zeros((targets, len(members)))
    for column, index in enumerate(members.values()):
        np.add.at(shares[:, column], index, 1 / index.size)
    return shares


def _two_dimensional(matrix: Array, name: str) -> None:
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(
            f"has shape {matrix.shape}, rows x columns are needed, at least one of each",
            where=f"cross_validate, {name}",
        )
