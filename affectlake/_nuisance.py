"""What of a run's signal is known to be noise: slow drifts and regressors, taken out of every voxel by least squares.

What belongs here: arrays. What does not: which files hold regressors (``formats/_bids_confounds.py``,
``formats/series.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from affectlake.errors import InputError

_COLUMNS = 8192
"""Voxels whose float64 copies are held at a time."""


def drifts(n_volumes: int, tr_s: float, period_s: float | None) -> NDArray[np.float64]:
    """Discrete cosines slower than ``period_s``: the high-pass filter of SPM and fMRIPrep as regressors.

    Parameters
    ----------
    n_volumes : int
    tr_s : float
        Repetition time in seconds.
    period_s : float or None
        Longest period that stays, in seconds; None for no filter.

    Returns
    -------
    ndarray of float64, shape (n_volumes, n_drifts)
    """
    count = int(2 * n_volumes * tr_s / period_s) if period_s else 0
    angle = np.pi * (2 * np.arange(n_volumes)[:, None] + 1) / (2 * n_volumes)
    return np.asarray(np.cos(angle * np.arange(1, count + 1)), dtype=np.float64)


def stacked(n_volumes: int, regressors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """All regressors that vary, side by side, centred and of unit variance: float64[n_volumes, n_regressors].

    Raises
    ------
    InputError
        They are as many as the volumes, so that nothing would be left.
    """
    nuisance = np.column_stack([np.empty((n_volumes, 0)), *regressors])
    nuisance = nuisance - nuisance.mean(axis=0)
    spread = nuisance.std(axis=0)
    varies = spread > 1e-12
    nuisance = nuisance[:, varies] / spread[varies]
    if nuisance.shape[1] and nuisance.shape[1] + 1 >= n_volumes:
        raise InputError(f"{nuisance.shape[1]} regressors leave nothing of {n_volumes} volumes")
    return np.asarray(nuisance, dtype=np.float64)


def take_out(data: NDArray[np.float32], regressors: Sequence[NDArray[np.float64]]) -> None:
    """Take out of each voxel, in place, what all regressors together explain of it; its mean stays.

    Parameters
    ----------
    data : ndarray of float32, shape (n_volumes, n_voxels)
    regressors : sequence of ndarray of float64, shape (n_volumes, n_regressors)

    Raises
    ------
    InputError
        The regressors leave nothing of the data.
    """
    nuisance = stacked(len(data), regressors)
    if not nuisance.shape[1]:
        return
    left, singular, _ = np.linalg.svd(nuisance, full_matrices=False)
    basis = left[:, singular > 1e-10 * singular[0]]
    for start in range(0, data.shape[1], _COLUMNS):
        part = data[:, start : start + _COLUMNS]
        wide = part.astype(np.float64)
        part[:] = wide - basis @ (basis.T @ wide)
