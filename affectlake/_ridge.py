"""Ridge regression for many targets at once: one decomposition a training set serves all penalties and all targets.

The notation of this module. A *design* holds the features X (centred, with a column of ones) and how they are scaled in
one outer fold. For a training set T, the scaled, centred features have the covariance U diag(s) U'; ``project`` is
P = U' D^-1 [I, -mean], so that z = P (X_T, 1)'Y are the responses in the eigenbasis, the ridge weights there are
z / (s + alpha), and M = (X_held, 1) P' turns them into predictions. Everything is computed from sums over folds,
(X_f, 1)'(X_f, 1) and (X_f, 1)'Y_f, which all training sets share.

Eigenvectors are computed in float64, everything with targets in float32. What does not belong here: which row is in
which fold (`_encoding_splits`), the choice of penalties (`_ridge_selection`) and scores (`_encoding_scores`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affectlake._encoding_splits import Rows
from affectlake.errors import DeviceError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SMALL_WORK = 1e11  # multiplications, some seconds of one core
EIGENVALUE_FLOOR = 1e-12  # relative to the largest; below it a direction is noise of the float64 decomposition


def resolve_device(device: str) -> torch.device:
    """The torch device that a user's word stands for.

    Raises
    ------
    DeviceError
        ``device`` is not auto, cpu or cuda, or is cuda where there is none.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"unknown device {device!r}", remedy="Use auto, cpu or cuda")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise DeviceError("no CUDA device is visible to torch", remedy="Use device='cpu', or 'auto'")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


@contextlib.contextmanager
def own_threads(work: float) -> Iterator[None]:
    """Use as many threads as the work is worth and the process has cores.

    Threads that outnumber free cores wait for each other: beside three other programs on two cores, two threads took
    2.3 times as long as one for the same work. So only long work gets more than one, and no more than torch was told to
    use (OMP_NUM_THREADS). The load of the moment is no criterion: scores would differ in their last bits by chance.

    Parameters
    ----------
    work : float
        Rough count of multiplications.
    """
    import torch

    before = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(max(1, min(before, cores)) if work > SMALL_WORK else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class RowSet:
    """A set of rows as whole folds less single rows, so that sums over it come from sums over folds."""

    folds: Tensor  # float64[n_folds], 1 where the fold belongs to it
    less: Tensor  # int64, rows of those folds that do not

    @classmethod
    def of(cls, rows: Rows, fold: Rows, device: torch.device) -> RowSet:
        """Describe ``rows``."""
        import torch

        present = np.zeros(int(fold.max()) + 1)
        present[fold[rows]] = 1
        wanted = np.flatnonzero(present[fold] == 1)
        less = np.setdiff1d(wanted, rows)
        return cls(torch.as_tensor(present, device=device), torch.as_tensor(less, device=device))


class Base:
    """Features with a column of ones and their sums over folds, shared by all training sets."""

    def __init__(self, features: npt.NDArray[np.float64], fold: Rows, device: torch.device) -> None:
        import torch

        ones = np.ones((features.shape[0], 1))
        self.wide = torch.as_tensor(np.hstack([features, ones]), device=device)
        self.narrow = self.wide.float()
        # rows are in canonical order, where a fold is contiguous
        edges = np.searchsorted(fold, np.arange(int(fold.max()) + 2))
        self.folds = [slice(int(a), int(b)) for a, b in pairwise(edges)]
        self._gram = torch.stack([self.wide[f].T @ self.wide[f] for f in self.folds])

    def gram(self, rows: RowSet) -> Tensor:
        """(X, 1)'(X, 1) over ``rows``, float64[p + 1, p + 1]."""
        import torch

        gram: Tensor = torch.tensordot(rows.folds, self._gram, dims=1)
        less = self.wide[rows.less]
        return gram - less.T @ less

    def cross(self, responses: Tensor) -> Tensor:
        """(X, 1)'Y of each fold, float32[n_folds, p + 1, b]."""
        import torch

        return torch.stack([self.narrow[f].T @ responses[f] for f in self.folds])

    def cross_over(self, cross: Tensor, sets: Sequence[RowSet], responses: Tensor) -> Tensor:
        """(X, 1)'Y over each of several row sets, float32[n_sets, p + 1, b]."""
        import torch

        weights = torch.stack([s.folds for s in sets]).float()
        total = (weights @ cross.flatten(1)).view(len(sets), *cross.shape[1:])
        for i, rows in enumerate(sets):
            if rows.less.numel():
                total[i] -= self.narrow[rows.less].T @ responses[rows.less]
        return total


@dataclass(frozen=True)
class Design:
    """The features as one outer fold sees them."""

    base: Base
    scale: Tensor  # float64[p]


@dataclass(frozen=True)
class Decomposition:
    """The eigenbasis of one training set."""

    values: Tensor  # float64[p], the eigenvalues
    project: Tensor  # float64[p, p + 1]
    n: float


def decompose(design: Design, rows: RowSet) -> Decomposition:
    """Decompose the scaled features' covariance over ``rows``, centred there."""
    import torch

    gram = design.base.gram(rows)
    n = gram[-1, -1]
    mean = gram[:-1, -1] / n
    covariance = (gram[:-1, :-1] - n * torch.outer(mean, mean)) * torch.outer(design.scale, design.scale)
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > EIGENVALUE_FLOOR * values[-1].clamp(min=1e-300)
    basis = vectors.T * design.scale * kept[:, None]
    return Decomposition(values.clamp(min=0), torch.hstack([basis, -(basis @ mean)[:, None]]), float(n))
