"""From the data of a run to one response a presentation: whatever the format, the same rules.

What belongs here: which presentations count, blocks, z-scores. What does not: where data and presentations come from
(``timeseries.py``, ``roiseries.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake import _bold
from affectlake._nuisance import drifts, take_out
from affectlake._single_trials import single_trials
from affectlake.exclusions import Exclusions

Repeats = Literal["first", "all"]
"""Which presentations of a clip and its duplicates are kept."""

Estimator = Literal["block", "glm"]
"""Mean over the block, or a general linear model of each presentation."""


@dataclass(frozen=True)
class Estimate:
    """How a run's data become one response a presentation.

    Attributes
    ----------
    shift_s : float
        Haemodynamic delay in seconds, rounded to whole volumes.
    rest_s : float
        Rest after each block that belongs to it, in seconds.
    despike : bool
        Clip each voxel to +- 3 standard deviations of its run, after nuisance and drifts are taken out.
    high_pass_s : float or None
        Drifts slower than this period are taken out, seconds.
    estimator : {"block", "glm"}
        The model takes Glover's response in the place of ``shift_s`` and ``rest_s``, and drifts and nuisance into its
        design.
    """

    shift_s: float = 4.0
    rest_s: float = 2.0
    despike: bool = False
    high_pass_s: float | None = None
    estimator: Estimator = "block"


def mark_kept(
    shown: pl.DataFrame, duplicate_of: Mapping[str, str], exclusions: Exclusions, repeats: Repeats
) -> pl.DataFrame:
    """Resolve duplicates to their canonical clip and mark the presentations that are kept: the first of each, or all.

    The others stay in the frame until blocks are cut: they end the block before them as any presentation does.
    """
    resolved = shown.with_columns(shown=pl.col("video_id"), video_id=pl.col("video_id").replace(dict(duplicate_of)))
    resolved = resolved.sort("run", "onset_s", maintain_order=True)
    resolved = resolved.with_columns(kept=pl.col("video_id").is_first_distinct() | pl.lit(repeats == "all"))
    for source, name in resolved.filter(~pl.col("kept")).select("source", "shown").iter_rows():
        exclusions.add(source, "duplicate_presentation", name)
    return resolved


def respond(
    data: NDArray[np.float32],
    shown: pl.DataFrame,
    tr_s: float,
    nuisance: Sequence[NDArray[np.float64]],
    how: Estimate,
    exclusions: Exclusions,
) -> tuple[pl.DataFrame, NDArray[np.float32]]:
    """One run's presentations that have a response, and the responses, z-scored over the run.

    Parameters
    ----------
    data : ndarray of float32, shape (n_volumes, n_voxels)
        Changed in place where something is taken out or clipped.
    shown : DataFrame
        From `mark_kept`, of this run.
    tr_s : float
        Repetition time in seconds.
    nuisance : sequence of ndarray of float64, shape (n_volumes, n_regressors)
        Taken out of the data, or into the model's design.
    how : Estimate
    exclusions : Exclusions
        Gets presentations after the run's end and the only one of a run.

    Returns
    -------
    presentations : DataFrame
    responses : ndarray of float32, shape (n_presentations, n_voxels)
    """
    onset, duration = shown["onset_s"].to_numpy(), shown["duration_s"].to_numpy()
    blocks = _bold.block_volumes(onset, duration, len(data), tr_s, how.shift_s, how.rest_s)
    inside, kept = blocks[:, 0] < blocks[:, 1], shown["kept"].to_numpy()
    for source, name in shown.filter(kept & ~inside).select("source", "video_id").iter_rows():
        exclusions.add(source, "outside_run", name)
    wanted = kept & inside
    if wanted.sum() == 1:
        # Against what would one presentation be standardized?
        row = int(np.flatnonzero(wanted)[0])
        exclusions.add(shown["source"][row], "only_presentation_of_run", shown["video_id"][row])
        wanted = np.zeros_like(wanted)
    if how.estimator == "glm":
        if how.despike:
            _bold.despike(data)
        values = single_trials(data, onset, duration, wanted, tr_s, how.high_pass_s, nuisance)
    else:
        take_out(data, [drifts(len(data), tr_s, how.high_pass_s), *nuisance])
        if how.despike:
            _bold.despike(data)
        values = _bold.block_means(data, blocks[wanted])
    _bold.standardize(values)
    return shown.filter(wanted), values
