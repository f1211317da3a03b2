"""The demo's brain and its responses: a crude ellipsoid in MNI space with spherical regions, and BOLD runs.

What belongs here: arrays. What does not: files (``derivatives.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectlake.demo.space import Truth

TR_S = 2.0
STIMULUS_S, REST_S, LEAD_IN_S, LEAD_OUT_S = 8.0, 2.0, 12.0, 6.0
"""Seconds of a block, of the rest after it, before the first block and after the last rest."""

VOXEL_MM = 6.0
_ORIGIN_MM = (-69.0, -105.0, -51.0)
_SHAPE = (24, 30, 21)
_CENTRE_MM, _AXES_MM = (0.0, -18.0, 10.0), (68.0, 86.0, 58.0)

# Region: centre in mm (mirrored where x is not 0), radius in mm.
_SPHERES: dict[str, tuple[tuple[float, float, float], float]] = {
    "amygdala": ((23, -4, -20), 10),
    "hippocampus": ((30, -26, -12), 10),
    "anterior_cingulate": ((0, 38, 16), 14),
    "insula": ((38, 8, 0), 11),
    "TPJ": ((52, -48, 24), 12),
    "early_visual_cortex": ((9, -86, 4), 13),
    "OFC": ((24, 34, -14), 11),
    "PCC": ((0, -50, 28), 14),
    "DLPFC": ((40, 34, 28), 12),
    "motor": ((34, -18, 52), 12),
}
REGIONS = tuple(_SPHERES)
"""Region names; label = place + 1."""

PLANTED = ("amygdala", "anterior_cingulate", "insula", "TPJ", "OFC", "PCC")
"""Regions that respond to the planted affective space."""

VISUAL = ("early_visual_cortex",)
"""Regions that respond to the visual features, which are independent of affect."""

_BASELINE, _NOISE_SD, _DRIFT_SD = 1000.0, 12.0, 4.0
"""Scanner units."""
_SIGNAL, _EVOKED = 3.0, 6.0
"""Scanner units: standard deviation over clips, and mean response to any clip, of a lasting stimulus."""


@dataclass(frozen=True)
class Brain:
    """Grid, mask and regions, the same for every subject.

    Attributes
    ----------
    affine : ndarray of float64, shape (4, 4)
        Voxel indices to mm.
    mask : ndarray of bool, shape (i, j, k)
    labels : ndarray of int16, shape (i, j, k)
        0 outside every region, else place in ``REGIONS`` + 1.
    """

    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    labels: NDArray[np.int16]


def build_brain() -> Brain:
    """Build the brain; there is nothing random in it."""
    affine: NDArray[np.float64] = np.diag(np.array([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0]))
    affine[:3, 3] = _ORIGIN_MM
    mm = np.moveaxis(np.indices(_SHAPE), 0, -1) * VOXEL_MM + _ORIGIN_MM
    mask = (((mm - _CENTRE_MM) / _AXES_MM) ** 2).sum(axis=-1) <= 1
    labels = np.zeros(_SHAPE, dtype=np.int16)
    for label, ((x, y, z), radius) in enumerate(_SPHERES.values(), start=1):
        for side in {x, -x}:
            inside = ((mm - (side, y, z)) ** 2).sum(axis=-1) <= radius**2
            labels[inside & mask & (labels == 0)] = label
    return Brain(affine, mask, labels)


def onsets(n_presentations: int) -> NDArray[np.float64]:
    """Onsets of the presentations of a run, in seconds."""
    return LEAD_IN_S + (STIMULUS_S + REST_S) * np.arange(n_presentations, dtype=np.float64)


def run_volumes(n_presentations: int) -> int:
    """Volumes of a run."""
    return round((LEAD_IN_S + n_presentations * (STIMULUS_S + REST_S) + LEAD_OUT_S) / TR_S)


def tuning(brain: Brain, truth: Truth, seed: int, subject: int) -> NDArray[np.float32]:
    """Return how strongly each clip drives each voxel of the mask.

    Regions have a profile that subjects share (from ``seed``), each subject and each voxel departs from it.

    Returns
    -------
    ndarray of float32, shape (n_clips, n_voxels)
        Standardized over clips where a region responds, 0 elsewhere; voxels in C order of i, j, k.
    """
    shared, own = np.random.default_rng([seed, 2]), np.random.default_rng([seed, 3, subject])
    label = brain.labels[brain.mask]
    drive = np.zeros((len(truth.ids), label.size), dtype=np.float32)
    for name in (*PLANTED, *VISUAL):
        features = _standard(truth.planted if name in PLANTED else truth.visual)
        voxels = np.flatnonzero(label == REGIONS.index(name) + 1)
        profile = shared.normal(size=(features.shape[1], 1))
        person = profile + 0.4 * own.normal(size=profile.shape)
        weights = person + 0.8 * own.normal(size=(features.shape[1], voxels.size))
        drive[:, voxels] = _standard(features @ weights)
    return drive


def _standard(x: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    sd = wide.std(axis=0)
    # among very few clips a dimension may be absent
    z: NDArray[np.float64] = (wide - wide.mean(axis=0)) / np.where(sd > 0, sd, 1)
    return z


def bold(drive: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Simulate one run: haemodynamic responses to the presentations, autocorrelated noise and a slow drift.

    Parameters
    ----------
    drive : ndarray of float32, shape (n_presentations, n_voxels)
        Rows of `tuning`, in order of presentation.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, shape (n_volumes, n_voxels)
        Rounded to whole scanner units.
    """
    from scipy.signal import lfilter

    n_presentations, n_voxels = drive.shape
    n = run_volumes(n_presentations)
    rho = 0.3
    white = rng.standard_normal((n, n_voxels), dtype=np.float32) * np.float32(_NOISE_SD * np.sqrt(1 - rho**2))
    noise = lfilter([1.0], [1.0, -rho], white, axis=0)
    cycles = np.column_stack([np.cos(np.pi * k * (np.arange(n) + 0.5) / n) for k in (1, 2)])
    drift = cycles @ (_DRIFT_SD * rng.standard_normal((2, n_voxels)))
    level = _BASELINE + 60 * rng.standard_normal(n_voxels)
    responding = drive.any(axis=0)
    signal = _design(n_presentations) @ (_SIGNAL * drive + _EVOKED * responding)
    units: NDArray[np.float32] = np.rint(level + drift + noise + signal).astype(np.float32)
    return units


def _design(n_presentations: int) -> NDArray[np.float64]:
    """Expected response to each presentation, shape (n_volumes, n_presentations); a lasting stimulus has height 1."""
    from nilearn.glm.first_level import glover_hrf

    per_volume = 8
    n = run_volumes(n_presentations)
    hrf = np.asarray(glover_hrf(TR_S, oversampling=per_volume))
    hrf = hrf / hrf.sum()
    columns = []
    for onset in onsets(n_presentations):
        time = np.arange(n * per_volume) * TR_S / per_volume
        box = ((time >= onset) & (time < onset + STIMULUS_S)).astype(np.float64)
        columns.append(np.convolve(box, hrf)[: len(box)][::per_volume])
    return np.column_stack(columns)
