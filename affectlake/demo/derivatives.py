"""Write the demo's scans as a BIDS derivatives dataset with the names that fMRIPrep gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlake._nifti import make_image
from affectlake.demo import brain as sim
from affectlake.demo.space import Truth

SPACE = "MNI152NLin2009cAsym"
TASK = "videos"

_BROKEN_SUBJECT = 2
"""The subject some of whose voxels are constant or NaN on purpose (where the demo has that many)."""
_CONSTANT_VOXELS, _NAN_VOXELS = 4, 2

_README = """SYNTHETIC DATA. Nobody was scanned.

These images were drawn by affectlake.demo from a planted affective space, so that the right answer of every analysis
is known (../truth.json). The names are those of fMRIPrep; the brain is an ellipsoid with spheres for regions.
"""


def write_derivatives(
    root: Path, truth: Truth, *, seed: int, n_subjects: int, n_runs: int, done: Callable[[], None]
) -> dict[str, Any]:
    """Write atlas and subjects under ``root`` and return what was broken on purpose, by subject.

    ``done`` is called after each run. The same arguments give the same bytes with the same version of zlib.
    """
    root.mkdir(parents=True, exist_ok=True)
    brain = sim.build_brain()
    _write_dataset(root)
    _save(root / "atlas.nii.gz", brain.labels, brain.affine)
    rows = [f"{label}\t{name}" for label, name in enumerate(sim.REGIONS, start=1)]
    (root / "atlas.tsv").write_text("\n".join(["index\tlabel", *rows]) + "\n", encoding="utf-8")
    broken = {}
    for number in range(1, n_subjects + 1):
        found = _write_subject(root, brain, truth, number, seed=seed, n_runs=n_runs, done=done)
        if found:
            broken[f"sub-{number:02d}"] = found
    return broken


def _write_dataset(root: Path) -> None:
    description = {
        "Name": "SYNTHETIC demo study of affectlake",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": "CC0-1.0",
        "GeneratedBy": [{"Name": "affectlake.demo", "Description": "simulated, not measured"}],
    }
    (root / "dataset_description.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    (root / "README").write_text(_README, encoding="utf-8")


def _write_subject(
    root: Path, brain: sim.Brain, truth: Truth, number: int, *, seed: int, n_runs: int, done: Callable[[], None]
) -> dict[str, list[list[int]]]:
    rng = np.random.default_rng([seed, 4, number])
    drive = sim.tuning(brain, truth, seed, number)
    constant, nan = _bad_voxels(brain, rng) if number == _BROKEN_SUBJECT else ((), ())
    folder = root / f"sub-{number:02d}" / "func"
    folder.mkdir(parents=True, exist_ok=True)
    # Every subject sees the clips in another order, so that nothing can be joined by position.
    for run, clips in enumerate(np.array_split(rng.permutation(len(truth.ids)), n_runs), start=1):
        data = sim.bold(drive[clips], rng)
        data[:, list(constant)] = 1000
        if run == min(3, n_runs):
            data[:, list(nan)] = np.nan
        stem = f"sub-{number:02d}_task-{TASK}_run-{run:02d}"
        _write_run(folder, stem, brain, data, [truth.ids[clip] for clip in clips])
        done()
    ijk = np.argwhere(brain.mask)
    bad = {"constant": ijk[list(constant)].tolist(), "nan": ijk[list(nan)].tolist()}
    return bad if number == _BROKEN_SUBJECT else {}


def _bad_voxels(brain: sim.Brain, rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Choose constant and NaN voxels, half of each inside a planted region where they would do harm."""
    label = brain.labels[brain.mask]
    inside = rng.permutation(np.flatnonzero(label == sim.REGIONS.index("insula") + 1))
    outside = rng.permutation(np.flatnonzero(label == 0))
    half, few = _CONSTANT_VOXELS // 2, _NAN_VOXELS // 2
    constant = (*inside[:half].tolist(), *outside[:half].tolist())
    return constant, (*inside[half : half + few].tolist(), *outside[half : half + few].tolist())


def _write_run(folder: Path, stem: str, brain: sim.Brain, data: NDArray[np.float32], clips: list[str]) -> None:
    volumes = np.zeros((*brain.mask.shape, len(data)), dtype=np.float32, order="F")
    volumes[brain.mask] = data.T
    # NaN exists in floats only; everybody else's scans are integers, as scanners give them.
    stored = volumes if np.isnan(data).any() else volumes.astype(np.int16)
    name = f"{stem}_space-{SPACE}_desc"
    _save(folder / f"{name}-preproc_bold.nii.gz", stored, brain.affine, tr_s=sim.TR_S)
    _save(folder / f"{name}-brain_mask.nii.gz", brain.mask.astype(np.uint8), brain.affine)
    sidecar = {"RepetitionTime": sim.TR_S, "TaskName": TASK, "SkullStripped": False, "Description": "SYNTHETIC"}
    (folder / f"{name}-preproc_bold.json").write_text(json.dumps(sidecar, indent=2) + "\n", encoding="utf-8")
    lines = ["onset\tduration\ttrial_type\tstim_id"]
    for onset, clip in zip(sim.onsets(len(clips)), clips, strict=True):
        lines.append(f"{onset:g}\t{sim.STIMULUS_S:g}\tvideo\t{clip}")
    (folder / f"{stem}_events.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _save(path: Path, data: NDArray[Any], affine: NDArray[np.float64], *, tr_s: float | None = None) -> None:
    import nibabel

    image = make_image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"SYNTHETIC"
    if tr_s is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr_s))
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    # nibabel writes gzip members with time 0 and without a name: the same data give the same bytes.
    nibabel.save(image, path)
