"""Score maps as NIfTI files: what every voxel scored, in the subject's own space, for the viewers that people use.

What belongs here: which maps there are and what their files are called. What does not: images (`affectlake.maps`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from affectlake.errors import LakeError
from affectlake.maps import placed, subject_volume
from resources.lake import Lake
from resources.study import Study

STATISTICS = {
    "r": pl.col("r"),
    "alpha": pl.col("alpha"),
    # outside the brain a map is 0, which must not read as "significant"
    "neglog10p": -pl.col("p").log10(),
    "neglog10q": -pl.col("q").log10(),
}
"""Statistic in the file's name, and how it comes from the table ``voxel_scores``."""


def write_maps(
    study: Study, lake: Lake, folder: Path, models: Iterable[str], subjects: Iterable[str]
) -> Iterator[Path]:
    """Write ``FOLDER/SUBJECT/SUBJECT_model-MODEL_stat-STATISTIC_statmap.nii.gz`` of every voxel score.

    Parameters
    ----------
    study : Study
    lake : Lake
    folder : Path
        Made where it is not there; files of the same name are replaced.
    models, subjects : iterable of str
        Those of the study that maps are wanted of.

    Yields
    ------
    Path
        Each file, when it has been written.

    Raises
    ------
    LakeError
        No voxel with a place has a score yet.
    """
    some = False
    for subject in subjects:
        voxels = lake.read("voxels", {"subject": subject})
        if not placed(voxels):
            continue
        for model in models:
            scores = lake.read("voxel_scores", {"subject": subject, "model": model})
            for statistic in _statistics(scores):
                some = True
                yield _write(folder / subject, f"{subject}_model-{model}", voxels, scores, statistic)
    if not some:
        raise LakeError(
            "no voxel that has a place has been scored",
            where=str(study.path),
            remedy="Run `affectlake run --select voxel_scores` first; scans that are regions only have no maps.",
        )


def _statistics(scores: pl.DataFrame) -> list[str]:
    """The statistics that there are: p and q are null where the study asks for no null."""
    return [name for name, value in STATISTICS.items() if scores.height and scores.select(value).drop_nulls().height]


def _write(folder: Path, stem: str, voxels: pl.DataFrame, scores: pl.DataFrame, statistic: str) -> Path:
    import nibabel

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}_stat-{statistic}_statmap.nii.gz"
    nibabel.save(
        subject_volume(voxels, scores.select("voxel", STATISTICS[statistic].alias(statistic)), statistic), path
    )
    return path
