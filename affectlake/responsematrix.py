"""From responses that someone else estimated to the tables of a subject: a matrix, who was shown what, and voxels.

What belongs here: duplicates, order, z-scores and unusable voxels of matrices of one row a presentation. What does not:
files (``formats/matrices.py``, ``formats/bdata.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake import _bold
from affectlake._presented import Repeats, mark_kept
from affectlake.brainframes import SubjectData
from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.tables import ROI_TIMESERIES, VOXELS

__all__ = ["matrix_subject"]


def matrix_subject(
    subject: str,
    shown: pl.DataFrame,
    matrix: NDArray[np.floating],
    voxels: pl.DataFrame,
    *,
    source: Path,
    duplicate_of: Mapping[str, str] | None = None,
    repeats: Repeats = "first",
) -> SubjectData:
    """Bring a matrix of responses into the form that every format ends in.

    Presentations are taken in order of run and trial, of those of a clip and its duplicates the first is kept (or all:
    ``repeats``), and responses are z-scored over each run. A voxel that is not finite in a kept presentation, or
    constant in a run, is reported and used nowhere.

    Parameters
    ----------
    subject : str
    shown : DataFrame
        ``row`` (of ``matrix``), ``session``, ``run`` (number over all sessions), ``trial`` (order in the run),
        ``video_id``, ``source``. Rows of the matrix that it does not name are not used.
    matrix : ndarray of float, shape (n_rows, n_voxels)
    voxels : DataFrame
        One row a column of the matrix: ``i``, ``j``, ``k``, ``x_mm``, ``y_mm``, ``z_mm`` (null where not known) and
        ``rois`` (lists of names).
    source : Path
        The file, for messages and exclusions.
    duplicate_of : mapping of str to str, optional
        Clip to its canonical clip.
    repeats : {"first", "all"}
        Which presentations of a clip and its duplicates are kept.

    Returns
    -------
    SubjectData
        Without time series, and without onsets.

    Raises
    ------
    InputError
        Voxels and columns differ in number, or two presentations of a run have one trial number.
    """
    if voxels.height != matrix.shape[1]:
        raise InputError(f"has {matrix.shape[1]} columns, {voxels.height} voxels are described", where=str(source))
    doubled = shown.select("run", "trial").is_duplicated()
    if doubled.any():
        run, trial = shown.filter(doubled).select("run", "trial").row(0)
        raise InputError(f"trial {trial} stands twice in run {run}", where=str(source))
    exclusions = Exclusions()
    timed = shown.with_columns(onset_s=pl.col("trial").cast(pl.Float64))
    kept = _not_alone(mark_kept(timed, duplicate_of or {}, exclusions, repeats).filter("kept"), exclusions)
    responses = np.asarray(matrix[kept["row"].to_numpy()], dtype=np.float32)
    nan = ~np.isfinite(responses).all(axis=0)
    constant = np.zeros(nan.size, dtype=bool)
    # rows of a run follow each other: they are sorted by run
    for _, rows in _runs(kept):
        part = responses[rows]
        constant |= part.min(axis=0) == part.max(axis=0)
        part[:, nan] = 0
        _bold.standardize(part)
    responses[:, nan | constant] = 0
    status = pl.Series("status", ["used", "constant", "nan"]).gather(np.where(nan, 2, constant.astype(np.int64)))
    for reason in ("constant", "nan"):
        if n := int((status == reason).sum()):
            exclusions.add(source, f"{reason}_voxel", "voxels", n)
    none = pl.lit(None, pl.Float64)
    return SubjectData(
        subject=subject,
        voxels=_voxel_rows(subject, voxels, status),
        presentations=kept.with_columns(trial=pl.int_range(pl.len(), dtype=pl.Int32)).select(
            "trial", "session", "run", "video_id", onset_s=none, duration_s=none
        ),
        responses=responses,
        timeseries=ROI_TIMESERIES.empty(),
        exclusions=exclusions,
    )


def _not_alone(kept: pl.DataFrame, exclusions: Exclusions) -> pl.DataFrame:
    """Drop the presentations against which nothing of their run could be standardized."""
    alone = kept.filter(pl.len().over("run") == 1)
    for source, name in alone.select("source", "video_id").iter_rows():
        exclusions.add(source, "only_presentation_of_run", name)
    return kept.filter(pl.len().over("run") > 1)


def _runs(kept: pl.DataFrame) -> list[tuple[int, slice]]:
    runs, first, count = np.unique(kept["run"].to_numpy(), return_index=True, return_counts=True)
    return [(int(r), slice(int(a), int(a + n))) for r, a, n in zip(runs, first, count, strict=True)]


def _voxel_rows(subject: str, voxels: pl.DataFrame, status: pl.Series) -> pl.DataFrame:
    return voxels.with_columns(
        subject=pl.lit(subject), voxel=pl.int_range(pl.len(), dtype=pl.Int32), status=status
    ).select(pl.col(name).cast(dtype) for name, dtype in VOXELS.schema.items())
