"""BData, the format of bdpy and BrainDecoderToolbox2: samples in rows, voxels and labels in columns of one matrix.

Keys say what the columns are: their rows of ``metadata/value`` are 1 at the columns of that key, or hold a value for
each voxel. What belongs here: HDF5 and MATLAB files in both spellings. What does not: what is made of the responses
(``responsematrix.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake.errors import InputError
from affectlake.formats._bdata_files import BFile, open_bdata
from affectlake.formats._tabular import shown

__all__ = ["BData", "fit_affine", "read_bdata"]

TOLERANCE_MM = 0.05
"""How far x, y, z may lie from what the indices say: coordinates are written in single precision."""


@dataclass(frozen=True)
class BData:
    """One subject's samples, over all of its files.

    Attributes
    ----------
    responses : ndarray of float32, shape (n_samples, n_voxels)
    samples : DataFrame
        ``row``, ``session``, ``run`` (1-based over all files), ``trial`` (order in the run), ``stimulus`` (text, null
        where there is none), ``line`` (1-based sample of its file), ``source``.
    labels : DataFrame
        Every label column as text, for the check of numberings.
    voxels : DataFrame
        ``i``, ``j``, ``k``, ``x_mm``, ``y_mm``, ``z_mm`` (null where not given), ``rois``.
    affine : ndarray of float64, shape (4, 4), or None
        Indices to mm by least squares; None where the file lacks indices or positions, or they lie in one plane.
    """

    responses: NDArray[np.float32]
    samples: pl.DataFrame
    labels: pl.DataFrame
    voxels: pl.DataFrame
    affine: NDArray[np.float64] | None


def read_bdata(
    paths: Sequence[Path], *, stimulus_column: str, groups: Mapping[str, Sequence[str]] | None = None
) -> BData:
    """Read one subject's files.

    Each file's Session, Run and Block may start anew; runs are numbered on over files in the order given, and within a
    file over sessions. Samples of a run follow each other in order of Block, then in the file's order.

    Parameters
    ----------
    paths : sequence of Path
        ``.h5`` or ``.mat`` in order of acquisition.
    stimulus_column : str
        Key of the label column that names the stimulus, such as ``stimulus_name``. Numbers are named by ``vmap`` where
        the file has one for the key.
    groups : mapping of str to sequence of str, optional
        Regions as lists of the file's region keys. Without it every region key is a region.

    Returns
    -------
    BData

    Raises
    ------
    InputError
        A file is no BData, lacks a key, differs from the first in its voxels, or its positions contradict its indices.
    """
    if not paths:
        raise InputError("no files to read")
    first = open_bdata(paths[0])
    keys = region_keys(first, groups)
    voxels = _voxels(first, keys)
    affine = _affine(paths[0], voxels)
    matrices, samples, labels, runs = [], [], [], 0
    for path in paths:
        file = first if path == paths[0] else open_bdata(path)
        if not _voxels(file, region_keys(file, groups)).equals(voxels):
            raise InputError(f"its voxels are not those of {paths[0].name}", where=str(path))
        table = _samples(file, stimulus_column).with_columns(pl.col("run") + runs)
        runs = int(table["run"].max())  # type: ignore[arg-type]
        matrices.append(file.voxel_data())
        samples.append(table)
        labels.append(file.label_texts())
    together = pl.concat(samples).with_columns(row=pl.int_range(pl.len()))
    matrix = matrices[0] if len(matrices) == 1 else np.concatenate(matrices)
    return BData(matrix, together, pl.concat(labels, how="diagonal"), voxels, affine)


def region_keys(file: BFile, groups: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
    """Regions of the file, each with its keys.

    Raises
    ------
    InputError
        A group names a key that the file does not have, or there is no region at all.
    """
    found = file.region_keys()
    if groups is None:
        if not found:
            raise InputError("has no region: no key whose description contains ROI", where=str(file.path))
        return {key: [key] for key in found}
    unknown = [(name, key) for name, members in groups.items() for key in members if key not in file.keys]
    if unknown:
        name, key = unknown[0]
        raise InputError(
            f"has not {len(unknown)} keys of brain.groups, such as {key} (of {name}); it has {shown(found)}",
            where=str(file.path),
        )
    return {name: list(members) for name, members in groups.items()}


def _voxels(file: BFile, regions: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    n = int(file.is_voxel.sum())
    columns = {}
    for axis in "ijk":
        columns[axis] = pl.Series(file.voxel_values(f"voxel_{axis}", n)).fill_nan(None).round().cast(pl.Int32)
    for axis in "xyz":
        columns[f"{axis}_mm"] = pl.Series(file.voxel_values(f"voxel_{axis}", n)).fill_nan(None)
    members = np.array(
        [np.any([file.voxel_values(key, n) == 1 for key in keys], axis=0) for keys in regions.values()]
    ).T
    # few combinations of regions stand for all voxels: a list a voxel takes seconds for a whole brain
    present, place = np.unique(np.packbits(members, axis=1), axis=0, return_inverse=True)
    bits = np.unpackbits(present, axis=1, count=len(regions)).astype(bool)
    names = [[name for name, there in zip(regions, row, strict=True) if there] for row in bits]
    rois = pl.Series("rois", names, dtype=pl.List(pl.String)).gather(place.ravel())
    return pl.DataFrame({**columns, "rois": rois})


def _affine(path: Path, voxels: pl.DataFrame) -> NDArray[np.float64] | None:
    places = voxels.select("i", "j", "k", "x_mm", "y_mm", "z_mm").drop_nulls().to_numpy().astype(np.float64)
    found = fit_affine(places[:, :3], places[:, 3:])
    if found is None:
        return None
    residual = np.abs(places[:, :3] @ found[:3, :3].T + found[:3, 3] - places[:, 3:]).max()
    if residual > TOLERANCE_MM:
        raise InputError(
            f"voxel_x, _y, _z lie up to {residual:.3g} mm from any grid of voxel_i, _j, _k",
            where=str(path),
            remedy="The rows of coordinates belong to other voxels or to another space.",
        )
    return found


def fit_affine(ijk: NDArray[np.float64], xyz: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Indices to mm by least squares.

    Parameters
    ----------
    ijk, xyz : ndarray of float64, shape (n_voxels, 3)

    Returns
    -------
    ndarray of float64, shape (4, 4), or None
        None where the voxels do not span three dimensions.
    """
    design = np.column_stack([ijk, np.ones(len(ijk))])
    if len(ijk) < 4 or np.linalg.matrix_rank(design) < 4:
        return None
    affine = np.eye(4)
    affine[:3] = np.linalg.lstsq(design, xyz, rcond=None)[0].T
    return affine


def _samples(file: BFile, stimulus_column: str) -> pl.DataFrame:
    """One row a sample: its session, run in the file, place in the run and stimulus."""
    from affectlake.formats.matrices import number_runs

    labels = file.label_texts()
    if stimulus_column not in labels.columns:
        raise InputError(
            f"no label {stimulus_column}; there are {shown(labels.columns, 20)}",
            where=str(file.path),
            remedy="Set brain.stimulus_column to the key of the column that names the clip.",
        )
    n = labels.height
    lone = pl.Series(["1"] * n, dtype=pl.String)
    session, run, block = (labels[key] if key in labels.columns else lone for key in ("Session", "Run", "Block"))
    frame = pl.DataFrame(
        {
            "session": session.fill_null(""),
            "run": number_runs(session.fill_null("").to_list(), run.fill_null("").to_list()),
            "stimulus": labels[stimulus_column],
            "line": pl.int_range(1, n + 1, eager=True),
            "block": block.cast(pl.Float64, strict=False),
        }
    )
    order = pl.struct("block", "line").rank("ordinal").over("run").cast(pl.Int64)
    return frame.select("session", "run", "stimulus", "line", trial=order, source=pl.lit(str(file.path)))
