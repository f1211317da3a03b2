"""The scans of Haxby et al. 2001 as a study: names of BIDS for their images, a list of what was shown, regions.

What belongs here: writing the study's files. What does not: its study file (`studies/haxby.yaml`), reading it back.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from affectlake._nifti import make_image, read_image
from affectlake.errors import InputError

CATEGORIES = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")
_SUBJECT, _TASK = "sub-001", "objects"
_MASKS = {"ventral_temporal": "vt", "gray_matter": "gray", "white_matter": "white", "other": "brain"}
"""Region and its mask; a voxel belongs to the first that has it."""


def write_haxby(folder: Path, data: Path) -> int:
    """Write what the study `studies/haxby.yaml` names into its folder, and link the data there.

    Every block is a stimulus of its own, because each category was shown in every run: split by category nothing would
    be left to train on.

    Parameters
    ----------
    folder : Path
        Of the study; gets ``videos.csv``, ``categories.csv``, ``category_ids.txt``, ``derivatives`` (names of fMRIPrep
        that lead to the images, and an atlas made of the masks) and the link ``data``.
    data : Path
        Folder that holds ``haxby``.

    Returns
    -------
    int
        Blocks.

    Raises
    ------
    InputError
        The images are not there, or ``folder/data`` is something else.
    """
    source = data / "haxby" / "sub001"
    runs = sorted((source / "BOLD").glob("task001_run*"))
    if not runs:
        raise InputError("no run of Haxby et al. 2001", where=str(source / "BOLD"), remedy="Check --data.")
    link(folder / "data", data)
    func = folder / "derivatives" / _SUBJECT / "func"
    func.mkdir(parents=True, exist_ok=True)
    shown = pl.concat([_write_run(func, source, run, number) for number, run in enumerate(runs, start=1)])
    shown.select("video_id").write_csv(folder / "videos.csv")
    one_hot = [(shown["trial_type"] == name).cast(pl.Int8).alias(name) for name in CATEGORIES]
    pl.DataFrame(one_hot).write_csv(folder / "categories.csv")
    (folder / "category_ids.txt").write_text("\n".join(shown["video_id"]) + "\n", encoding="utf-8")
    _write_atlas(folder / "derivatives", source / "masks" / "25mm")
    return shown.height


def link(path: Path, data: Path) -> None:
    """Make ``path`` a link to the user's copy of the data.

    Raises
    ------
    InputError
        It is there already and is something else.
    """
    if path.exists() and path.resolve() != data.resolve():
        raise InputError("is there already and is not the data", where=str(path), remedy="Choose another folder.")
    if not path.exists():
        path.symlink_to(data.resolve(), target_is_directory=True)


def _write_run(func: Path, source: Path, run: Path, number: int) -> pl.DataFrame:
    stem = f"{_SUBJECT}_task-{_TASK}_run-{number:02d}"
    for name, target in (
        ("desc-preproc_bold.nii.gz", run / "bold_25mm.nii.gz"),
        ("desc-brain_mask.nii.gz", source / "masks" / "25mm" / "brain.nii.gz"),
    ):
        path = func / f"{stem}_{name}"
        path.unlink(missing_ok=True)
        path.symlink_to(target.resolve())
    events = pl.read_csv(run / "bold_events.tsv", separator="\t")
    events = events.with_columns(video_id=pl.format("run{}-{}", pl.lit(f"{number:02d}"), "trial_type"))
    events.write_csv(func / f"{stem}_events.tsv", separator="\t")
    return events


def _write_atlas(folder: Path, masks: Path) -> None:
    import nibabel

    brain, affine = read_image(masks / "brain.nii.gz")
    labels = np.zeros(brain.shape[:3], dtype=np.int16)
    for label, name in enumerate(_MASKS.values(), start=1):
        inside = read_image(masks / f"{name}.nii.gz")[0].reshape(labels.shape) > 0
        labels[inside & (labels == 0)] = label
    nibabel.save(make_image(labels, affine), folder / "atlas.nii.gz")
    rows = [f"{label}\t{name}" for label, name in enumerate(_MASKS, start=1)]
    (folder / "atlas.tsv").write_text("\n".join(["index\tlabel", *rows]) + "\n", encoding="utf-8")
