"""Score maps as NIfTI files and pictures: what every voxel scored, in the subject's own space.

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
    "neglog10pmax": -pl.col("p_max").log10(),
}
"""Statistic in the file's name, and how it comes from the table ``voxel_scores``."""

SEARCHLIGHT = {"rho": pl.col("rho")}
"""The same of the table ``searchlight_scores``."""

DRAWN = {"r": "cross-validated r", "rho": "searchlight's correlation of similarities"}
"""Statistics that pictures are drawn of, and what they are."""


def write_maps(
    study: Study,
    lake: Lake,
    folder: Path,
    models: Iterable[str],
    subjects: Iterable[str],
    *,
    pictures: bool = False,
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
    pictures : bool
        Draw r and rho too: as glass brains (``..._glassbrain.png``), and where the images lie in MNI space on the
        cortex (``..._surface.png``).

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
        light = lake.read("searchlight_scores", {"subject": subject})
        for model in models:
            encoding = lake.read("voxel_scores", {"subject": subject, "model": model})
            found = [(encoding, STATISTICS), (light.filter(pl.col("model") == model), SEARCHLIGHT)]
            for scores, name, value in ((s, n, v) for s, known in found for n, v in _statistics(s, known).items()):
                some = True
                values = scores.select("voxel", value.alias(name))
                stem = folder / subject / f"{subject}_model-{model}_stat-{name}"
                yield _write(stem, voxels, values, name)
                if pictures and name in DRAWN:
                    yield from _draw(study, subject, model, stem, voxels, values, name)
    if not some:
        raise LakeError(
            "no voxel that has a place has been scored",
            where=str(study.path),
            remedy="Run `affectlake run --select voxel_scores` first; scans that are regions only have no maps.",
        )


def _statistics(scores: pl.DataFrame, known: dict[str, pl.Expr]) -> dict[str, pl.Expr]:
    """The statistics that there are: p and q are null where the study asks for no null."""
    return {n: value for n, value in known.items() if scores.height and scores.select(value).drop_nulls().height}


def _write(stem: Path, voxels: pl.DataFrame, values: pl.DataFrame, statistic: str) -> Path:
    import nibabel

    stem.parent.mkdir(parents=True, exist_ok=True)
    path = stem.with_name(f"{stem.name}_statmap.nii.gz")
    nibabel.save(subject_volume(voxels, values, statistic), path)
    return path


def _draw(
    study: Study, subject: str, model: str, stem: Path, voxels: pl.DataFrame, values: pl.DataFrame, statistic: str
) -> Iterator[Path]:
    from affectlake import pictures

    title = f"{DRAWN[statistic]} of {model} in {subject}{' (SYNTHETIC data)' if study.synthetic else ''}"
    drawn = {"glassbrain": pictures.glass_brain}
    if in_mni_space(study, subject):
        drawn["surface"] = pictures.surface
    for name, draw in drawn.items():
        if (figure := draw(voxels, values, statistic, title)) is not None:
            path = stem.with_name(f"{stem.name}_{name}.png")
            figure.savefig(path, dpi=150)
            yield path


def in_mni_space(study: Study, subject: str) -> bool:
    """Whether the subject's images say by their name that they lie in MNI space."""
    from affectlake.formats.bids import find_runs, image_space
    from resources.brains import BidsBrain

    brain = study.brain
    if not isinstance(brain, BidsBrain):
        return False
    runs = find_runs(study.resolve(brain.root), subject, space=brain.space, task=brain.task)
    return image_space(runs[0].bold).startswith("MNI")
