"""A subject's arrays as rows of the tables ``voxels``, ``responses`` and ``roi_timeseries``, and back.

What belongs here: shapes of tables. What does not: how the numbers came about (``timeseries.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake.errors import ContractError
from affectlake.exclusions import Exclusions
from affectlake.tables import RESPONSES, ROI_TIMESERIES, VOXELS

BLOCK = 4096
"""Voxels in one row of the table ``responses``."""

_ROW = ("trial", "session", "run", "video_id")


@dataclass(frozen=True)
class SubjectData:
    """Everything that is read from one subject's scans, whatever their format.

    Attributes
    ----------
    subject : str
    voxels : DataFrame
        Rows of the table ``voxels``; row = voxel.
    presentations : DataFrame
        ``trial`` (0-based row of ``responses``), ``session``, ``run``, ``video_id`` (canonical), ``onset_s``,
        ``duration_s``.
    responses : ndarray of float32, shape (n_presentations, n_voxels)
        Z-scored within runs; 0 for unusable voxels, so that a column is a voxel's number.
    timeseries : DataFrame
        Rows of the table ``roi_timeseries``.
    exclusions : Exclusions
        Voxels, presentations and regions that were not used.
    """

    subject: str
    voxels: pl.DataFrame
    presentations: pl.DataFrame
    responses: NDArray[np.float32]
    timeseries: pl.DataFrame
    exclusions: Exclusions

    def responses_frame(self) -> pl.DataFrame:
        """The responses as rows of the table ``responses``."""
        return responses_frame(self.subject, self.presentations, self.responses)


def voxels_frame(
    subject: str,
    ijk: NDArray[np.int32],
    affine: NDArray[np.float64],
    labels: NDArray[np.int32],
    rois: Mapping[str, Sequence[int]],
    status: pl.Series,
) -> pl.DataFrame:
    """Build the table ``voxels`` of a subject.

    Parameters
    ----------
    subject : str
    ijk : ndarray of int32, shape (n_voxels, 3)
        Voxel indices; the row is the voxel's number.
    affine : ndarray of float64, shape (4, 4)
        Indices to mm.
    labels : ndarray of int32, shape (n_voxels,)
        Atlas label, 0 for none.
    rois : mapping of str to sequence of int
        Labels of each region.
    status : Series of String
        ``used``, ``constant`` or ``nan``.
    """
    present, place = np.unique(labels, return_inverse=True)
    names = [[name for name, members in rois.items() if label in members] for label in present.tolist()]
    mm = ijk @ affine[:3, :3].T + affine[:3, 3]
    return pl.DataFrame(
        {
            "subject": pl.repeat(subject, len(ijk), eager=True),
            "voxel": np.arange(len(ijk), dtype=np.int32),
            **{axis: ijk[:, k] for k, axis in enumerate("ijk")},
            **{f"{axis}_mm": mm[:, k] for k, axis in enumerate("xyz")},
            # gathered from one list a label: a Python list a voxel takes seconds for a whole brain
            "rois": pl.Series(names, dtype=pl.List(pl.String)).gather(place),
            "status": status,
        },
        schema=VOXELS.schema,
    )


def region_voxels(subject: str, rois: Sequence[str], status: pl.Series) -> pl.DataFrame:
    """Build the table ``voxels`` of a subject whose regions are all that is known: one voxel each, without a place.

    Parameters
    ----------
    subject : str
    rois : sequence of str
        Names; the row is the voxel's number.
    status : Series of String
        ``used``, ``constant`` or ``nan``.
    """
    frame = pl.DataFrame({"voxel": range(len(rois)), "rois": [[roi] for roi in rois], "status": status})
    return frame.select(
        pl.col(name).cast(dtype)
        if name in frame.columns
        else pl.lit(subject if name == "subject" else None, dtype).alias(name)
        for name, dtype in VOXELS.schema.items()
    )


def responses_frame(subject: str, presentations: pl.DataFrame, responses: NDArray[np.float32]) -> pl.DataFrame:
    """Build the table ``responses`` of a subject.

    Parameters
    ----------
    subject : str
    presentations : DataFrame
        ``trial``, ``session``, ``run`` and ``video_id`` of each row of ``responses``.
    responses : ndarray of float32, shape (n_presentations, n_voxels)
        A column is a voxel's number.
    """
    frames = [RESPONSES.empty()]
    for block in range(-(-responses.shape[1] // BLOCK)):
        values = np.ascontiguousarray(responses[:, block * BLOCK : (block + 1) * BLOCK], dtype=np.float32)
        frames.append(
            presentations.select(
                pl.lit(subject).alias("subject"),
                "session",
                "run",
                "trial",
                "video_id",
                pl.lit(block, pl.Int32).alias("voxel_block"),
                pl.Series("values", values, dtype=pl.Array(pl.Float32, values.shape[1])).arr.to_list(),
            )
        )
    return pl.concat(frames)


def response_matrix(frame: pl.DataFrame) -> tuple[pl.DataFrame, NDArray[np.float32]]:
    """Read one subject's rows of the table ``responses`` back, whatever their order.

    Parameters
    ----------
    frame : DataFrame
        Rows of one subject.

    Returns
    -------
    presentations : DataFrame
        ``trial``, ``session``, ``run``, ``video_id``, in order of trial.
    responses : ndarray of float32, shape (n_presentations, n_voxels)
        A column is a voxel's number.

    Raises
    ------
    ContractError
        There are rows of several subjects, or a presentation lacks a block.
    """
    where = f"table {RESPONSES.name}"
    if frame["subject"].n_unique() > 1:
        raise ContractError("rows of several subjects make no matrix", where=where, remedy="Filter by subject.")
    presentations = frame.select(_ROW).unique().sort("trial")
    blocks = []
    for number, part in enumerate(frame.sort("voxel_block", "trial").partition_by("voxel_block", maintain_order=True)):
        complete = part["voxel_block"][0] == number and part["trial"].equals(presentations["trial"])
        if not complete or part["values"].list.len().n_unique() > 1:
            raise ContractError(f"block {number} lacks presentations or voxels", where=where)
        blocks.append(part["values"].explode().to_numpy().reshape(part.height, -1))
    return presentations, np.hstack(blocks) if blocks else np.empty((0, 0), dtype=np.float32)


def roi_frame(subject: str, session: str, run: int, rois: Sequence[str], means: NDArray[np.float64]) -> pl.DataFrame:
    """Build the rows of one run in the table ``roi_timeseries``; regions without a usable voxel (NaN) have none.

    Parameters
    ----------
    subject, session : str
    run : int
    rois : sequence of str
        Names of the columns of ``means``.
    means : ndarray of float64, shape (n_volumes, n_rois)
    """
    there = np.flatnonzero(np.isfinite(means).all(axis=0)).tolist()
    n = len(means)
    return pl.DataFrame(
        {
            "subject": np.full(n * len(there), subject),
            "session": np.full(n * len(there), session),
            "run": np.full(n * len(there), run, dtype=np.int32),
            "volume": np.tile(np.arange(n, dtype=np.int32), len(there)),
            "roi": [rois[k] for k in there for _ in range(n)],
            "value": means[:, there].T.ravel().astype(np.float32),
        },
        schema=ROI_TIMESERIES.schema,
    )
