"""Responses that were estimated elsewhere: a matrix of one row a presentation, and tables of its rows and columns.

What belongs here: files to frames and arrays. What does not: what is made of them (``responsematrix.py``).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake.errors import InputError
from affectlake.formats._bids_events import read_text
from affectlake.formats._bids_runs import natural
from affectlake.formats._tabular import check_file, shown

PLACE = {"i": pl.Int32, "j": pl.Int32, "k": pl.Int32, "x": pl.Float64, "y": pl.Float64, "z": pl.Float64}
"""Columns of the table of voxels, each of which may be left out."""


def read_matrix(path: Path, *, dataset: str = "responses") -> NDArray[np.float32]:
    """Read a matrix of responses.

    Parameters
    ----------
    path : Path
        ``.npy``, ``.parquet`` (one column a voxel) or ``.h5`` / ``.hdf5``.
    dataset : str
        Name of the matrix inside an HDF5 file.

    Returns
    -------
    ndarray of float32, shape (n_presentations, n_voxels)
        Of an ``.npy`` file in that type the pages of the file, read when they are used.

    Raises
    ------
    InputError
        The file is missing, cannot be read, or holds no matrix of numbers.
    """
    check_file(path)
    try:
        found = _load(path, dataset)
    except (OSError, ValueError, KeyError, EOFError, pl.exceptions.PolarsError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"cannot be read as a matrix ({reason})", where=str(path), remedy="It may be .npy, .parquet or .h5."
        ) from None
    if found.ndim != 2 or found.dtype.kind not in "fiu" or 0 in found.shape:
        raise InputError(
            f"is {found.dtype} of shape {found.shape}, numbers of shape (presentations, voxels) are wanted",
            where=str(path),
        )
    return found.astype(np.float32, copy=False)


def _load(path: Path, dataset: str) -> NDArray[np.generic]:
    if path.suffix == ".npy":
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_numpy()
    import h5py

    with h5py.File(path) as file:
        if dataset not in file:
            raise KeyError(f"no dataset {dataset}; there are {', '.join(file)}")
        return np.asarray(file[dataset])


def read_stimuli(path: Path, stimulus_column: str) -> pl.DataFrame:
    """Read who was shown what: one row a row of the matrix.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.tsv`` with the stimulus and, where there are, ``session``, ``run`` and ``trial``. A column
        ``row`` (0-based row of the matrix) says which row is meant; without it the tables go line by line.
    stimulus_column : str
        Column that names the stimulus.

    Returns
    -------
    DataFrame
        ``row``, ``session`` (String, empty where there is none), ``run`` (Int32, 1-based over all sessions, in natural
        order of session and run), ``trial`` (Int64), ``stimulus`` (text as written, null for n/a), ``line``.

    Raises
    ------
    InputError
        A column is missing, a trial or row is not a whole number, or rows are not 0, 1, ... each once.
    """
    raw = read_text(path)
    if stimulus_column not in raw.columns:
        raise InputError(
            f"no column {stimulus_column}; there are {', '.join(raw.columns)}",
            where=str(path),
            remedy="Set brain.stimulus_column to the column that names the clip.",
        )
    n = raw.height
    text = {name: raw[name].fill_null("") if name in raw.columns else None for name in ("session", "run")}
    session = text["session"] if text["session"] is not None else pl.Series([""] * n, dtype=pl.String)
    run = text["run"] if text["run"] is not None else pl.Series(["1"] * n, dtype=pl.String)
    return pl.DataFrame(
        {
            "row": _places(path, raw),
            "session": session,
            "run": number_runs(session.to_list(), run.to_list()),
            "trial": _whole(path, raw, "trial"),
            "stimulus": raw[stimulus_column].str.strip_chars(),
            "line": pl.int_range(2, n + 2, eager=True),
        },
        schema_overrides={"session": pl.String, "stimulus": pl.String},
    )


def number_runs(session: list[str], run: list[str]) -> pl.Series:
    """Number the runs over all sessions, from 1, in natural order of their labels."""
    pairs = sorted(set(zip(session, run, strict=True)), key=lambda pair: (natural(pair[0]), natural(pair[1])))
    number = {pair: n for n, pair in enumerate(pairs, start=1)}
    return pl.Series("run", [number[pair] for pair in zip(session, run, strict=True)], dtype=pl.Int32)


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """Files sorted so that session 10 comes after session 9."""
    return sorted(paths, key=lambda path: natural(path.name))


def _places(path: Path, raw: pl.DataFrame, column: str = "row") -> pl.Series:
    places = _whole(path, raw, column)
    if sorted(places) != list(range(raw.height)):
        raise InputError(f"column {column} is not 0, 1, ..., {raw.height - 1}, each once", where=str(path))
    return places


def _whole(path: Path, raw: pl.DataFrame, column: str) -> pl.Series:
    """A column of whole numbers; the order of the lines where there is none."""
    if column not in raw.columns:
        return pl.int_range(0, raw.height, eager=True, dtype=pl.Int64)
    found = raw[column].str.strip_chars().cast(pl.Int64, strict=False)
    if found.null_count():
        line = int(found.is_null().arg_max() or 0)
        raise InputError(f"{column} {raw[column][line]!r} is not a whole number", where=f"{path}, row {line + 2}")
    return found


def read_voxels(path: Path) -> pl.DataFrame:
    """Read what the columns of the matrix are.

    Parameters
    ----------
    path : Path
        ``.csv`` or ``.tsv`` with ``rois`` (names joined by ``;``, empty for none) and, where known, ``i``, ``j``, ``k``
        (voxel indices) and ``x``, ``y``, ``z`` (mm). A column ``column`` (0-based column of the matrix) says which one
        is meant; without it the tables go line by line.

    Returns
    -------
    DataFrame
        ``i``, ``j``, ``k``, ``x_mm``, ``y_mm``, ``z_mm``, ``rois``, in order of the matrix's columns.

    Raises
    ------
    InputError
        There is no column ``rois``, a coordinate is not a number, or columns are not 0, 1, ... each once.
    """
    raw = read_text(path)
    if "rois" not in raw.columns:
        raise InputError(f"no column rois; there are {shown(raw.columns, 8)}", where=str(path))
    columns = {}
    for name, dtype in PLACE.items():
        given = raw[name] if name in raw.columns else pl.Series([None] * raw.height, dtype=pl.String)
        number = given.str.strip_chars().cast(dtype, strict=False)
        wrong = number.is_null() & given.is_not_null()
        if wrong.any():
            line = int(wrong.arg_max() or 0)
            raise InputError(f"{name} {given[line]!r} is not a number", where=f"{path}, row {line + 2}")
        columns[name if name in "ijk" else f"{name}_mm"] = number
    names = raw["rois"].fill_null("").str.split(";").list.eval(pl.element().str.strip_chars())
    rois = names.list.eval(pl.element().filter(pl.element() != ""))
    frame = pl.DataFrame({"place": _places(path, raw, "column"), **columns, "rois": rois})
    return frame.sort("place").drop("place")
