"""Arithmetic on the voxels of one BOLD run: reading, unusable voxels, spikes, means over regions and over blocks.

What belongs here: arrays of one run, volumes in rows, the subject's voxels in columns. What does not: subjects, tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlake._nifti import open_image, unreadable

_COLUMNS = 8192
"""Voxels whose float64 copies are held at a time: keeps memory near the float32 run itself."""


def load_run(path: Path, ijk: NDArray[np.int32]) -> NDArray[np.float32]:
    """Read the voxels ``ijk`` (shape (n_voxels, 3)) of a 4-D image, volume by volume.

    Returns
    -------
    ndarray of float32, shape (n_volumes, n_voxels)

    Raises
    ------
    InputError
        The file is truncated or no image.
    """
    out = np.empty((int(open_image(path).shape[3]), len(ijk)), dtype=np.float32)
    for row, volume in zip(out, volumes(path, ijk), strict=True):
        row[:] = volume
    return out


def volumes(path: Path, ijk: NDArray[np.int32]) -> Iterator[NDArray[Any]]:
    """The voxels ``ijk`` of each volume of a 4-D image.

    A thread reads the next volume while the caller works on this one: unpacking a .gz, which is most of the time, holds
    no lock. Two volumes are in memory at a time.

    Yields
    ------
    ndarray, shape (n_voxels,)
        In the image's type, scaled as its header says.

    Raises
    ------
    InputError
        The file is truncated or no image.
    """
    image = open_image(path, keep_open=True)
    try:
        *shape, n_volumes = image.shape
        flat = np.ravel_multi_index(tuple(ijk.T), tuple(shape), order="F")

        def read(volume: int) -> NDArray[Any]:
            values: NDArray[Any] = np.asanyarray(image.dataobj[..., volume]).ravel(order="F").take(flat)
            return values

        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(read, 0)
            for volume in range(1, n_volumes + 1):
                values = ahead.result()
                if volume < n_volumes:
                    ahead = reader.submit(read, volume)
                yield values
    except Exception as error:
        raise unreadable(path, error) from error


def unusable(data: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which voxels hold a value that is not finite, and which never change; each of shape (n_voxels,)."""
    low, high = data.min(axis=0), data.max(axis=0)
    return ~(np.isfinite(low) & np.isfinite(high)), low == high


def despike(data: NDArray[np.float32]) -> None:
    """Clip every voxel, in place, to its mean +- 3 standard deviations over the run."""
    for start in range(0, data.shape[1], _COLUMNS):
        part = data[:, start : start + _COLUMNS]
        mean, sd = part.mean(axis=0, dtype=np.float64), part.std(axis=0, dtype=np.float64)
        np.clip(part, mean - 3 * sd, mean + 3 * sd, out=part, casting="same_kind")


def roi_means(
    data: Iterable[NDArray[Any]],
    usable: NDArray[np.bool_],
    labels: NDArray[np.int32],
    rois: Sequence[tuple[int, ...]],
) -> NDArray[np.float64]:
    """Mean over each region's usable voxels at each volume.

    Labels are summed directly, in float64: on 300 volumes of 76 x 90 x 74 voxels that took a seventh of the time of
    nilearn's masker, equal to 3e-8 (``benchmarks/roi_timeseries.py``). Of gzipped images most of the time is unpacking.

    Parameters
    ----------
    data : iterable of ndarray, shape (n_voxels,)
        One a volume: the rows of a run, or `volumes`.
    usable : ndarray of bool, shape (n_voxels,)
    labels : ndarray of int32, shape (n_voxels,)
        Label of each voxel, 0 outside the atlas.
    rois : sequence of tuple of int
        Labels of each region.

    Returns
    -------
    ndarray of float64, shape (n_volumes, n_rois)
        NaN for a region without usable voxels.
    """
    voxels = np.flatnonzero(usable & (labels != 0))
    present, place = np.unique(labels[voxels], return_inverse=True)
    belongs = np.array([np.isin(present, members) for members in rois], dtype=np.float64).T
    n = np.bincount(place, minlength=present.size)
    # voxels of a label side by side: their sums are one pass
    voxels, first = voxels[np.argsort(place, kind="stable")], np.concatenate([[0], np.cumsum(n)[:-1]]).astype(np.intp)
    sums = np.array([_sums(row, voxels, first) for row in data])
    counts = n @ belongs
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = (sums @ belongs) / np.where(counts > 0, counts, np.nan)
    return means


def _sums(row: NDArray[Any], voxels: NDArray[np.intp], first: NDArray[np.intp]) -> NDArray[np.float64]:
    if not voxels.size:
        return np.zeros(0)
    sums: NDArray[np.float64] = np.add.reduceat(row.take(voxels), first, dtype=np.float64)
    return sums


def block_volumes(
    onset_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    n_volumes: int,
    tr_s: float,
    shift_s: float,
    rest_s: float,
) -> NDArray[np.int64]:
    """First volume and the one after the last of each block, shape (n_blocks, 2); empty where the run is over.

    A block lasts from its onset to its end plus ``rest_s``, but never past the next onset. Onset, end and shift are
    each rounded to whole volumes; a block has at least one volume unless the run ends before it.
    """
    following = np.append(onset_s[1:], np.inf)
    end = np.minimum(onset_s + duration_s + rest_s, np.where(following > onset_s, following, np.inf))
    shift = _whole(np.array(shift_s / tr_s))
    first = _whole(onset_s / tr_s) + shift
    stop = np.maximum(_whole(end / tr_s) + shift, first + 1)
    blocks: NDArray[np.int64] = np.clip(np.column_stack([first, stop]), 0, n_volumes)
    return blocks


def _whole(x: NDArray[np.float64]) -> NDArray[np.int64]:
    # rint would send .5 to even volumes, which makes blocks of odd length alternate
    whole: NDArray[np.int64] = np.floor(x + 0.5).astype(np.int64)
    return whole


def block_means(data: NDArray[np.float32], blocks: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean of each voxel over each block's volumes; shape (n_blocks, n_voxels), float64 inside."""
    out = np.empty((len(blocks), data.shape[1]), dtype=np.float32)
    for row, (first, stop) in enumerate(blocks):
        out[row] = data[first:stop].mean(axis=0, dtype=np.float64)
    return out


def standardize(responses: NDArray[np.float32]) -> None:
    """Z-score every voxel over the rows, in place; a voxel without variance becomes 0."""
    if not len(responses):
        return
    for start in range(0, responses.shape[1], _COLUMNS):
        part = responses[:, start : start + _COLUMNS]
        centred = part - part.mean(axis=0, dtype=np.float64)
        sd = np.sqrt((centred**2).mean(axis=0))
        flat = ~(sd > 1e-6 * np.abs(part).max(axis=0, initial=0))
        part[:] = np.where(flat, 0, centred / np.where(flat, 1, sd))
