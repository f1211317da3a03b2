"""Responses by a general linear model: one model a presentation, all other presentations in one regressor.

Least squares, separate (Mumford et al. 2012, NeuroImage 59:2636, "LS-S"). What does not belong here: which
presentations count (``_presented.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from affectlake._nuisance import stacked
from affectlake.errors import InputError

HIGH_PASS_S = 128.0
"""Longest period of the signal where the settings name none, seconds: what SPM and fMRIPrep use."""

_COLUMNS = 8192


def single_trials(
    data: NDArray[np.float32],
    onset_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    tr_s: float,
    high_pass_s: float | None,
    confounds: Sequence[NDArray[np.float64]],
) -> NDArray[np.float32]:
    """Estimate the response to each wanted presentation of one run.

    nilearn makes the design of each presentation (Glover's haemodynamic response, cosine drifts, ordinary least
    squares), and the estimates of all presentations are one matrix product. They are those of nilearn's
    `FirstLevelModel`, which would fit every design to every voxel and keep its residuals.

    Parameters
    ----------
    data : ndarray of float32, shape (n_volumes, n_voxels)
    onset_s, duration_s : ndarray of float64, shape (n_presentations,)
    wanted : ndarray of bool, shape (n_presentations,)
        The others are modelled too: they happened.
    tr_s : float
        Repetition time in seconds.
    high_pass_s : float or None
        Drifts slower than this are modelled, seconds; `HIGH_PASS_S` where None.
    confounds : sequence of ndarray of float64, shape (n_volumes, n_regressors)

    Returns
    -------
    ndarray of float32, shape (n_wanted, n_voxels)
        In the data's units, of a regressor that reaches about 1 where a stimulus lasts long.

    Raises
    ------
    InputError
        Drifts and confounds leave nothing of the run.
    """
    nuisance = stacked(len(data), confounds)
    rows = np.array(
        [
            _weights(len(data), onset_s, duration_s, int(k), tr_s, high_pass_s or HIGH_PASS_S, nuisance)
            for k in np.flatnonzero(wanted)
        ]
    ).reshape(-1, len(data))
    out = np.empty((len(rows), data.shape[1]), dtype=np.float32)
    for start in range(0, data.shape[1], _COLUMNS):
        out[:, start : start + _COLUMNS] = rows @ data[:, start : start + _COLUMNS].astype(np.float64)
    return out


def _weights(
    n_volumes: int,
    onset_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    this: int,
    tr_s: float,
    high_pass_s: float,
    nuisance: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The weights of the volumes that give one presentation's estimate: float64[n_volumes]."""
    import pandas as pd
    from nilearn.glm.first_level import make_first_level_design_matrix

    names = np.where(np.arange(len(onset_s)) == this, "this", "others")
    design = make_first_level_design_matrix(
        tr_s * np.arange(n_volumes),
        pd.DataFrame({"onset": onset_s, "duration": duration_s, "trial_type": names}),
        hrf_model="glover",
        drift_model="cosine",
        high_pass=1 / high_pass_s,
        add_regs=nuisance if nuisance.shape[1] else None,
        add_reg_names=[f"confound_{k}" for k in range(nuisance.shape[1])] if nuisance.shape[1] else None,
    )
    if design.shape[1] >= n_volumes:
        raise InputError(
            f"a design of {design.shape[1]} columns leaves nothing of {n_volumes} volumes",
            remedy="Take fewer confounds, or a longer brain.high_pass_s.",
        )
    inverse = np.linalg.pinv(design.to_numpy(dtype=np.float64))
    return np.asarray(inverse[list(design.columns).index("this")], dtype=np.float64)
