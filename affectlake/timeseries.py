"""From BOLD images to ROI time series and responses per stimulus: one pass over the files, one run in memory at a time.

What belongs here: what happens to a subject's runs, in which order. What does not: arithmetic on one run
(``_bold.py``), frames of tables (``brainframes.py``), file names and events (``formats/bids.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake import _bold
from affectlake._nifti import open_image, read_image
from affectlake._presented import Estimate, Estimator, Repeats, mark_kept, respond
from affectlake.atlas import Atlas
from affectlake.brainframes import SubjectData, response_matrix, roi_frame, voxels_frame
from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats.bids import Run, read_confounds

__all__ = ["SubjectData", "read_subject", "response_matrix"]


@dataclass
class _Voxels:
    """The subject's voxels, and what is known of them so far."""

    shape: tuple[int, ...]
    affine: NDArray[np.float64]
    ijk: NDArray[np.int32]
    labels: NDArray[np.int32]
    nan: NDArray[np.bool_]
    constant: NDArray[np.bool_]

    @property
    def usable(self) -> NDArray[np.bool_]:
        return ~(self.nan | self.constant)

    @property
    def status(self) -> pl.Series:
        return pl.Series(["used", "constant", "nan"]).gather(np.where(self.nan, 2, self.constant.astype(np.int64)))


def read_subject(
    runs: Sequence[Run],
    atlas: Atlas,
    presentations: pl.DataFrame,
    *,
    duplicate_of: Mapping[str, str] | None = None,
    repeats: Repeats = "first",
    shift_s: float = 4.0,
    rest_s: float = 2.0,
    despike: bool = False,
    high_pass_s: float | None = None,
    estimator: Estimator = "block",
    confounds: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> SubjectData:
    """Read a subject's runs to ROI time series and to one response per presentation and voxel.

    Voxels are those inside the mask of every run (all of the image where no run has a mask). One that is constant or
    not finite in any run is used nowhere. ROI time series are means over usable voxels of the data as they are. A
    response is the mean over a block, which lasts from onset to onset + duration + ``rest_s`` but not past the next
    presentation, ``shift_s`` later, all in whole volumes, or the estimate of a general linear model (``estimator``);
    then it is z-scored over the run's presentations. Of the presentations of a clip and its duplicates the first is
    kept, or all (``repeats``).

    Parameters
    ----------
    runs : sequence of Run
        Of one subject, from `affectlake.formats.bids.find_runs`.
    atlas : Atlas
    presentations : DataFrame
        From `affectlake.formats.bids.read_presentations`; joined to ``runs`` by run number.
    duplicate_of : mapping of str to str, optional
        Clip to its canonical clip.
    repeats : {"first", "all"}
        Which presentations of a clip and its duplicates are kept.
    shift_s : float
        Haemodynamic delay in seconds, rounded to whole volumes.
    rest_s : float
        Rest after each block that belongs to it, in seconds.
    despike : bool
        Clip each voxel to +- 3 standard deviations of its run, before responses are estimated.
    high_pass_s : float, optional
        Drifts with a period longer than this are taken out, seconds.
    estimator : {"block", "glm"}
        ``glm``: least squares, one model a presentation, with Glover's response in the place of ``shift_s`` and
        ``rest_s``.
    confounds : sequence of str
        Columns of the runs' tables of confounds to take out (``trans_*``); ``*`` and ``?`` stand for anything.
    progress : callable, optional
        Called with runs done and runs in all.

    Returns
    -------
    SubjectData

    Raises
    ------
    InputError
        Images cannot be read, lie on different grids or have no voxel in all masks; a run has no table of confounds
        where some are asked for, or lacks one of them.
    """
    if not runs:
        raise InputError("no runs to read")
    exclusions = Exclusions()
    shown = mark_kept(presentations, duplicate_of or {}, exclusions, repeats)
    voxels = _find_voxels(runs, atlas, exclusions)
    how = Estimate(shift_s, rest_s, despike, high_pass_s, estimator)
    tables, responses, means, used = [], [], [], []
    for done, run in enumerate(runs, start=1):
        table, values, mean = _read_run(run, voxels, atlas, shown, how, _nuisance(run, confounds), exclusions)
        tables.append(table)
        responses.append(values)
        means.append(mean)
        used.append(voxels.usable)
        if progress is not None:
            progress(done, len(runs))
    _mend_means(runs, voxels, atlas, means, used)
    return _assemble(runs, atlas, voxels, pl.concat(tables), np.concatenate(responses), means, exclusions)


def _find_voxels(runs: Sequence[Run], atlas: Atlas, exclusions: Exclusions) -> _Voxels:
    """Voxels in the mask of every run, in C order of i, j, k, with their labels."""
    shape, affine = _grid(runs[0].bold)
    everywhere, anywhere = np.ones(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for run in runs:
        _check_grid(run.bold, shape, affine, runs[0].bold)
        if run.mask is None:
            continue
        _check_grid(run.mask, shape, affine, runs[0].bold)
        inside = read_image(run.mask)[0].reshape(shape) > 0
        everywhere &= inside
        anywhere |= inside
    if not everywhere.any():
        raise InputError(
            "no voxel lies inside the mask of every run", where=str(runs[0].mask), remedy="Look at the masks."
        )
    cut = int((anywhere & ~everywhere).sum())
    if cut:
        exclusions.add(runs[0].bold.parent, "outside_a_mask", "voxels in the masks of some runs only", cut)
    labels, lost = atlas.on_grid(shape, affine)
    exclusions.update(atlas.exclusions)
    exclusions.update(lost)
    ijk = np.argwhere(everywhere).astype(np.int32)
    none = np.zeros(len(ijk), dtype=bool)
    return _Voxels(shape, affine, ijk, labels[everywhere], none, none.copy())


def _grid(path: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    image = open_image(path)
    return tuple(int(n) for n in image.shape[:3]), np.asarray(image.affine, dtype=np.float64)


def _check_grid(path: Path, shape: tuple[int, ...], affine: NDArray[np.float64], first: Path) -> None:
    found, its_affine = _grid(path)
    if found != shape or not np.allclose(its_affine, affine, atol=1e-3):
        raise InputError(
            f"the grid differs from that of {first.name}: {found} voxels against {shape}, or another affine",
            where=str(path),
            remedy="All images of a subject must share one space and resolution; set brain.space.",
        )


def _read_run(
    run: Run,
    voxels: _Voxels,
    atlas: Atlas,
    presentations: pl.DataFrame,
    how: Estimate,
    nuisance: Sequence[NDArray[np.float64]],
    exclusions: Exclusions,
) -> tuple[pl.DataFrame, NDArray[np.float32], NDArray[np.float64]]:
    """The run's presentations that have a response, the responses, and the means of regions.

    A function of its own so that the run's data are gone when it returns: two runs would be twice the memory.
    """
    data = _bold.load_run(run.bold, voxels.ijk)
    nan, constant = _bold.unusable(data)
    voxels.nan |= nan
    voxels.constant |= constant
    means = _bold.roi_means(data, voxels.usable, voxels.labels, list(atlas.rois.values()))
    shown, values = respond(data, presentations.filter(run=run.run), run.tr_s, nuisance, how, exclusions)
    return shown, values, means


def _nuisance(run: Run, patterns: Sequence[str]) -> list[NDArray[np.float64]]:
    if not patterns:
        return []
    if run.confounds is None:
        raise InputError(
            "has no table of confounds (*_desc-confounds_timeseries.tsv)",
            where=str(run.bold),
            remedy="Put it beside the image, or leave out brain.confounds.",
        )
    return [read_confounds(run.confounds, patterns, run.n_volumes)]


def _mend_means(
    runs: Sequence[Run],
    voxels: _Voxels,
    atlas: Atlas,
    means: list[NDArray[np.float64]],
    used: Sequence[NDArray[np.bool_]],
) -> None:
    """Read runs again whose means hold voxels that turned out unusable in a later run: seldom, and in ROIs only."""
    rois = list(atlas.rois.values())
    inside = np.isin(voxels.labels, [label for members in rois for label in members])
    for k, run in enumerate(runs):
        if (inside & (used[k] != voxels.usable)).any():
            means[k] = _bold.roi_means(_bold.volumes(run.bold, voxels.ijk), voxels.usable, voxels.labels, rois)


def _assemble(
    runs: Sequence[Run],
    atlas: Atlas,
    voxels: _Voxels,
    shown: pl.DataFrame,
    responses: NDArray[np.float32],
    means: Sequence[NDArray[np.float64]],
    exclusions: Exclusions,
) -> SubjectData:
    subject, folder = runs[0].subject, runs[0].bold.parent
    responses[:, ~voxels.usable] = 0
    for status in ("constant", "nan"):
        n = int((voxels.status == status).sum())
        if n:
            exclusions.add(folder, f"{status}_voxel", "voxels", n)
    for name, members in atlas.rois.items():
        if not (np.isin(voxels.labels, members) & voxels.usable).any():
            exclusions.add(folder, "no_usable_voxel", name)
    presentations = shown.with_columns(trial=pl.int_range(pl.len(), dtype=pl.Int32)).select(
        "trial", "session", "run", "video_id", "onset_s", "duration_s"
    )
    timeseries = [roi_frame(subject, r.session, r.run, list(atlas.rois), m) for r, m in zip(runs, means, strict=True)]
    return SubjectData(
        subject=subject,
        voxels=voxels_frame(subject, voxels.ijk, voxels.affine, voxels.labels, atlas.rois, voxels.status),
        presentations=presentations,
        responses=responses,
        timeseries=pl.concat(timeseries),
        exclusions=exclusions,
    )
