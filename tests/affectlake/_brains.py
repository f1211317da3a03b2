"""Tiny BIDS derivatives with known contents, written with nibabel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
AFFINE[:3, 3] = (-10, -20, -30)
SHAPE = (4, 5, 3)


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE, tr_s: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(data, affine, dtype=data.dtype)
    if tr_s is not None:
        image.header.set_zooms((3, 3, 3, tr_s))
        image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, path)
    return path


def noise(n_volumes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1000, 10, (*SHAPE, n_volumes)).astype(np.float32)


def write_events(path: Path, rows: Sequence[tuple[object, object, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["onset\tduration\ttrial_type\tstim_id", *(f"{o}\t{d}\tvideo\t{s}" for o, d, s in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_run(
    root: Path,
    run: int,
    data: np.ndarray,
    events: Sequence[tuple[object, object, str]] | None,
    *,
    subject: str = "sub-01",
    session: str = "",
    mask: np.ndarray | None = None,
    tr_s: float = 2.0,
    space: str = "T1w",
) -> Path:
    """Write one run with the names of a recent fMRIPrep and return its image."""
    folder = root / subject / (f"ses-{session}" if session else "") / "func"
    stem = f"{subject}_" + (f"ses-{session}_" if session else "") + f"task-videos_run-{run}"
    bold = save(folder / f"{stem}_space-{space}_desc-preproc_bold.nii.gz", data, tr_s=tr_s)
    inside = np.ones(SHAPE, dtype=np.uint8) if mask is None else mask.astype(np.uint8)
    save(folder / f"{stem}_space-{space}_desc-brain_mask.nii.gz", inside)
    (folder / f"{stem}_space-{space}_desc-preproc_bold.json").write_text(json.dumps({"RepetitionTime": tr_s}))
    if events is not None:
        write_events(folder / f"{stem}_events.tsv", events)
    return bold
