"""Regions of the brain: a labelled image with its table of labels, and which voxels of a grid belong to which region.

What belongs here: labels and grids. What does not: what the voxels measured (``timeseries.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake._nifti import make_image, read_image
from affectlake.errors import InputError
from affectlake.exclusions import Exclusions


@dataclass(frozen=True)
class Atlas:
    """A labelled image and its regions.

    Attributes
    ----------
    source : Path
        The image's file.
    image : ndarray of int32, shape (i, j, k)
        Label of each voxel, 0 where there is none.
    affine : ndarray of float64, shape (4, 4)
        Voxel indices to mm.
    rois : dict of str to tuple of int
        Labels of each region, in the table's order. A label may belong to several regions.
    exclusions : Exclusions
        Labels that only the image (``unnamed_label``, n voxels) or only the table (``absent_label``) has.
    """

    source: Path
    image: NDArray[np.int32]
    affine: NDArray[np.float64]
    rois: dict[str, tuple[int, ...]]
    exclusions: Exclusions

    def on_grid(self, shape: Sequence[int], affine: NDArray[np.float64]) -> tuple[NDArray[np.int32], Exclusions]:
        """Return the labels on another grid of the same space, by nearest neighbour.

        Parameters
        ----------
        shape : sequence of int
            The grid's (i, j, k).
        affine : ndarray of float64, shape (4, 4)

        Returns
        -------
        labels : ndarray of int32, shape (i, j, k)
        exclusions : Exclusions
            Regions that lost all their voxels: too small for the grid, or outside of it (``lost_in_resampling``).
        """
        lost = Exclusions()
        shape = tuple(int(n) for n in shape)
        if self.image.shape == shape and np.allclose(self.affine, affine, atol=1e-3):
            return self.image, lost
        from nilearn.image import resample_img

        moved = resample_img(
            make_image(self.image, self.affine),
            target_affine=affine,
            target_shape=shape,
            interpolation="nearest",
            force_resample=True,
            copy_header=True,
        )
        labels = np.asanyarray(moved.dataobj).astype(np.int32)
        before, after = set(np.unique(self.image).tolist()), set(np.unique(labels).tolist())
        for name, members in self.rois.items():
            if before.intersection(members) and not after.intersection(members):
                lost.add(self.source, "lost_in_resampling", name, int(np.isin(self.image, members).sum()))
        return labels, lost


def read_atlas(image: Path, table: Path, *, groups: Mapping[str, Sequence[str]] | None = None) -> Atlas:
    """Read a labelled NIfTI image and its table of labels.

    Parameters
    ----------
    image : Path
        NIfTI image of whole numbers.
    table : Path
        ``.tsv`` or ``.csv`` with at least the columns ``index`` and ``label`` (or ``name``, as nilearn has it). Indices
        of the same label (left and right, for example) make one region.
    groups : mapping of str to sequence of str, optional
        Regions as lists of labels; they then stand in the place of the table's own. Groups may overlap.

    Returns
    -------
    Atlas

    Raises
    ------
    InputError
        A file is missing or of another form, an index stands twice or is no whole number, no label of the image is in
        the table, or a group names a label that the table does not have.
    """
    data, affine = _read_image(image)
    labels = _read_table(table)
    exclusions = Exclusions()
    values, counts = np.unique(data[data != 0], return_counts=True)
    in_image = dict(zip(values.tolist(), counts.tolist(), strict=True))
    if not in_image.keys() & labels.keys():
        raise InputError(
            f"none of the image's {len(in_image)} labels is in the table {table.name}",
            where=str(image),
            remedy="Check that image and table belong together.",
        )
    for index in sorted(in_image.keys() - labels.keys()):
        exclusions.add(image, "unnamed_label", str(index), in_image[index])
    for index in sorted(labels.keys() - in_image.keys()):
        exclusions.add(table, "absent_label", f"{index} {labels[index]}")
    members: dict[str, list[int]] = {}
    for index, label in labels.items():
        members.setdefault(label, []).append(index)
    rois = {name: tuple(indices) for name, indices in members.items()}
    return Atlas(image, data, affine, rois if groups is None else _grouped(rois, groups, table), exclusions)


def _grouped(
    rois: Mapping[str, tuple[int, ...]], groups: Mapping[str, Sequence[str]], table: Path
) -> dict[str, tuple[int, ...]]:
    unknown = {label: name for name, labels in groups.items() for label in labels if label not in rois}
    if unknown:
        named = ", ".join(f"{label} (in {name})" for label, name in list(unknown.items())[:5])
        raise InputError(f"groups name labels that the table does not have: {named}", where=str(table))
    return {
        name: tuple(dict.fromkeys(index for label in labels for index in rois[label]))
        for name, labels in groups.items()
    }


def _read_image(path: Path) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    data, affine = read_image(path)
    if data.ndim == 4 and data.shape[3] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise InputError(f"an atlas is one image of labels, this one has shape {data.shape}", where=str(path))
    data = np.nan_to_num(data) if data.dtype.kind == "f" else data
    whole = np.rint(data).astype(np.int32)
    if not np.array_equal(whole, data):
        raise InputError(
            "values are not whole numbers, so they are not labels",
            where=str(path),
            remedy="Probabilistic atlases have a version of maximum probability: use that.",
        )
    return whole, affine


def _read_table(path: Path) -> dict[int, str]:
    """Label by index, in file order, without the background."""
    if not path.is_file():
        raise InputError("no such file", where=str(path), remedy="Check brain.atlas.labels in the study file.")
    try:
        frame = pl.read_csv(path, separator="," if path.suffix == ".csv" else "\t", infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(f"not a readable table ({error})", where=str(path)) from error
    named = "label" if "label" in frame.columns else "name"
    if "index" not in frame.columns or named not in frame.columns:
        raise InputError(
            f"columns index and label (or name) are needed; there are {', '.join(frame.columns)}", where=str(path)
        )
    labels: dict[int, str] = {}
    for line, (text, label) in enumerate(frame.select("index", named).iter_rows(), start=2):
        where = f"{path}, row {line}"
        if not (text or "").strip().lstrip("-").isdigit():
            raise InputError(f"index {text!r} is not a whole number", where=where)
        if not (label or "").strip():
            raise InputError(f"index {text} has no label", where=where)
        if int(text) in labels:
            raise InputError(f"index {text} stands twice", where=where)
        labels[int(text)] = label.strip()
    labels.pop(0, None)
    return labels
