"""From time series of regions that someone else made to responses per stimulus: every region is one voxel.

What belongs here: a subject whose data are one table. What does not: reading the table (``formats/series.py``), images
(``timeseries.py``), the rules of blocks (``_presented.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from affectlake import _bold
from affectlake._presented import Estimate, Estimator, Repeats, mark_kept, respond
from affectlake.brainframes import SubjectData, region_voxels, roi_frame
from affectlake.exclusions import Exclusions
from affectlake.formats.bids import Run
from affectlake.formats.series import read_regressors, read_series

__all__ = ["read_series_subject", "series_run"]


def series_run(subject: str, series: Path, events: Path, tr_s: float, names: Sequence[str] = ()) -> Run:
    """One table as the run that it is, for `affectlake.formats.bids.read_presentations`.

    Parameters
    ----------
    subject : str
    series : Path
        Table of one row a volume.
    events : Path
        Table of stimuli: onset and duration in seconds after the first volume, and the stimulus.
    tr_s : float
        Repetition time in seconds.
    names : sequence of str
        Names of the columns of ``series``, where it has none.

    Raises
    ------
    InputError
        The table cannot be read.
    """
    return Run(subject, "", 1, series, events, None, tr_s, len(read_series(series, names)[1]))


def read_series_subject(
    run: Run,
    presentations: pl.DataFrame,
    *,
    names: Sequence[str] = (),
    confounds: Sequence[tuple[Path, int]] = (),
    high_pass_s: float | None = None,
    duplicate_of: Mapping[str, str] | None = None,
    repeats: Repeats = "first",
    shift_s: float = 4.0,
    rest_s: float = 0.0,
    despike: bool = False,
    estimator: Estimator = "block",
) -> SubjectData:
    """Read one subject's table of regions to one response per presentation and region.

    A region that is constant or not finite is reported and used nowhere. Slow drifts and nuisance regressors are fitted
    together by least squares and taken out; they are not read where no region is usable. Blocks, shift, z-scores and
    duplicates follow `affectlake.timeseries.read_subject`.

    Parameters
    ----------
    run : Run
        From `series_run`.
    presentations : DataFrame
        From `affectlake.formats.bids.read_presentations`.
    names : sequence of str
        Names of the columns, where the table has none.
    confounds : sequence of (Path, int)
        Tables of regressors, each with the rows to skip at its head.
    high_pass_s : float, optional
        Drifts with a period longer than this are taken out, seconds.
    duplicate_of : mapping of str to str, optional
        Clip to its canonical clip.
    repeats : {"first", "all"}
        Which presentations of a clip and its duplicates are kept.
    shift_s, rest_s, despike, estimator
        As in `affectlake.timeseries.read_subject`.

    Returns
    -------
    SubjectData
        ``timeseries`` holds the usable regions as they are in the file.

    Raises
    ------
    InputError
        A table cannot be read or has another number of volumes.
    """
    exclusions = Exclusions()
    rois, raw = read_series(run.bold, names)
    nan, constant = _bold.unusable(raw.astype(np.float32))
    usable = ~(nan | constant)
    for roi, dead, missing in zip(rois, constant, nan, strict=True):
        if dead or missing:
            exclusions.add(run.bold, "nan_region" if missing else "constant_region", roi)
    shown = mark_kept(presentations, duplicate_of or {}, exclusions, repeats)
    data = np.where(usable, raw, 0).astype(np.float32)
    nuisance = [read_regressors(path, len(raw), skip=skip) for path, skip in confounds] if usable.any() else []
    how = Estimate(shift_s, rest_s, despike, high_pass_s, estimator)
    shown, responses = respond(data, shown, run.tr_s, nuisance, how, exclusions)
    status = pl.Series(["used", "constant", "nan"]).gather(np.where(nan, 2, constant.astype(np.int64)))
    return SubjectData(
        subject=run.subject,
        voxels=region_voxels(run.subject, rois, status),
        presentations=shown.with_columns(trial=pl.int_range(pl.len(), dtype=pl.Int32)).select(
            "trial", "session", "run", "video_id", "onset_s", "duration_s"
        ),
        responses=responses,
        timeseries=roi_frame(run.subject, run.session, run.run, rois, np.where(usable, raw, np.nan)),
        exclusions=exclusions,
    )
