"""ROI time series beside nilearn's NiftiLabelsMasker: time, equality, memory.

Claim (PERFORMANCE.md): on 300 volumes of 76 x 90 x 74 voxels and 370 labels at least 5 times as fast, sums in float64,
equal to 1e-6 relative, less than 100 MB over the base. Both sides run in processes of their own, one after the other,
with the file in the page cache; the image is random.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _memory import peak_mb

SHAPE, LABELS = (76, 90, 74), 370


def write(folder, volumes, kind, seed):
    import nibabel

    rng = np.random.default_rng(seed)
    axes = np.indices(SHAPE).reshape(3, -1)
    seeds = np.array([rng.integers(4, n - 4, LABELS) for n in SHAPE])
    nearest = np.zeros(axes.shape[1], np.int16)
    best = np.full(axes.shape[1], 60.0)  # squared voxels: what lies further from every seed belongs to none
    for label in range(LABELS):
        distance = ((axes - seeds[:, label, None]) ** 2).sum(0)
        nearer = distance < best
        nearest[nearer], best[nearer] = label + 1, distance[nearer]
    affine = np.diag([2.0, 2, 2, 1])
    nibabel.save(nibabel.Nifti1Image(nearest.reshape(SHAPE), affine), folder / "labels.nii.gz")
    data = np.empty((*SHAPE, volumes), dtype=kind, order="F")
    for v in range(volumes):
        data[..., v] = rng.normal(1000, 30, SHAPE)
    for suffix in (".nii", ".nii.gz"):
        nibabel.save(nibabel.Nifti1Image(data, affine), folder / f"bold{suffix}")


def ours(bold, labels):
    from affectlake._bold import roi_means, volumes
    from affectlake._nifti import read_image

    image = np.asarray(read_image(labels)[0]).astype(np.int32)
    inside = np.argwhere(image > 0).astype(np.int32)
    label = image[tuple(inside.T)]
    start = time.perf_counter()
    values = roi_means(volumes(bold, inside), np.ones(len(inside), bool), label, [(n,) for n in range(1, LABELS + 1)])
    spent = time.perf_counter() - start
    return values[:, np.isfinite(values).all(0)], spent


def theirs(bold, labels):
    from nilearn.maskers import NiftiLabelsMasker

    masker = NiftiLabelsMasker(labels, standardize=None, keep_masked_labels=False, dtype=None, reports=False)
    start = time.perf_counter()
    values = masker.fit_transform(bold)
    return values, time.perf_counter() - start


def child(side, bold, labels, out):
    """Imports and the page cache are warm and not counted; the peak is over what the imports took."""
    import nilearn.maskers  # noqa: F401

    base = peak_mb()
    values, spent = (ours if side == "ours" else theirs)(bold, labels)
    np.save(out, values)
    print(json.dumps({"s": spent, "mb": peak_mb() - base}))


def measure(side, bold, labels, folder, repeats):
    found = []
    for _ in range(repeats):
        command = [sys.executable, __file__, "--child", side, str(bold), str(labels), str(folder / f"{side}.npy")]
        found.append(
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        )
    return np.load(folder / f"{side}.npy"), min(f["s"] for f in found), max(f["mb"] for f in found)


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2], *(Path(p) for p in sys.argv[3:6]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=300)
    parser.add_argument("--kind", default="float32", choices=["float32", "int16"])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, args.volumes, args.kind, args.seed)
        for suffix in (".nii", ".nii.gz"):
            bold = folder / f"bold{suffix}"
            bold.read_bytes()
            mine, seconds, megabytes = measure("ours", bold, folder / "labels.nii.gz", folder, args.repeats)
            peer, peer_seconds, peer_megabytes = measure("theirs", bold, folder / "labels.nii.gz", folder, args.repeats)
            print(f"{suffix}, {args.kind}, {args.volumes} volumes, {mine.shape[1]} labels; best of {args.repeats}")
            print(f"affectlake {seconds:7.2f} s, {megabytes:.0f} MB over its imports")
            print(f"nilearn    {peer_seconds:7.2f} s, {peer_megabytes:.0f} MB")
            print(f"ratio      {peer_seconds / seconds:7.1f}")
            print(f"largest relative difference {np.abs(mine / peer - 1).max():.1e}")
    return None


if __name__ == "__main__":
    main()
