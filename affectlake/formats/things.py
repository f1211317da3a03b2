"""Triplet files of the THINGS and SPoSE projects: three 0-based numbers a row, one of which is the odd one out.

Which column is the odd one is a convention of the file, not written in it: whoever reads says which.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import InputError
from affectlake.formats._tabular import check_file

Int32s = npt.NDArray[np.int32]
Odd = Literal["first", "last"]


def read_triplets(path: Path, *, odd: Odd) -> Int32s:
    """Read judgments from a text file or a ``.npy`` file.

    Parameters
    ----------
    path : Path
        Text, three numbers a line separated by spaces or tabs (also gzipped), or ``.npy`` of shape (n, 3).
    odd : {"first", "last"}
        The file's column of the odd one out. SPoSE, THINGS and VICE write it last.

    Returns
    -------
    int32 array of shape (n, 3)
        The odd one in the last column; the other two in the file's order.

    Raises
    ------
    InputError
        The file is missing or empty, or a row is not three different whole numbers >= 0. The message names the row,
        the first being row 1.
    """
    check_file(path)
    raw = _load_npy(path) if path.suffix == ".npy" else _load_text(path)
    if not len(raw):
        raise InputError("holds no triplet", where=str(path))
    whole = np.isfinite(raw).all(axis=1) & (raw == np.trunc(raw)).all(axis=1)
    in_range = (raw >= 0).all(axis=1) & (raw < 2**31).all(axis=1)
    same = (raw[:, 0] == raw[:, 1]) | (raw[:, 0] == raw[:, 2]) | (raw[:, 1] == raw[:, 2])
    bad = ~whole | ~in_range | same
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{int(bad.sum())} rows are not three different whole numbers from 0 up; the first is "
            f"{' '.join(f'{v:g}' for v in raw[row].tolist())}",
            where=f"{path}, row {row + 1}",
        )
    triplets = raw.astype(np.int32)
    return triplets if odd == "last" else np.ascontiguousarray(np.roll(triplets, -1, axis=1))


def _load_npy(path: Path) -> npt.NDArray[np.number]:
    array: npt.NDArray[np.number]
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"is no array file that can be read safely ({error})", where=str(path)) from None
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iuf":
        raise InputError(f"is {array.dtype} of shape {array.shape}, not numbers of shape (n, 3)", where=str(path))
    return array


def _load_text(path: Path) -> npt.NDArray[np.number]:
    try:
        # as float: the reference's own files write 3.000000000000000000e+00; whole numbers are exact up to 2**53
        frame = pl.read_csv(path, has_header=False, infer_schema=False, separator="\n", quote_char=None, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"cannot be read as text ({str(error).splitlines()[0]})", where=str(path)) from None
    lines = frame.to_series().fill_null("").str.strip_chars()
    numbered = pl.DataFrame({"line": lines}).with_row_index("row", offset=1).filter(pl.col("line") != "")
    cells = numbered.select("row", pl.col("line").str.replace_all(r"\s+", " ").str.split(" ").alias("cells"))
    width = cells["cells"].list.len()
    numbers = cells.select(
        pl.col("cells").list.get(i, null_on_oob=True).cast(pl.Float64, strict=False).alias(str(i)) for i in range(3)
    )
    bad = (width != 3) | numbers.select(pl.any_horizontal(pl.all().is_null())).to_series()
    if bad.any():
        row = int(bad.arg_max() or 0)
        raise InputError(
            f"{int(bad.sum())} rows are not three numbers; the first is {numbered['line'][row][:60]!r}",
            where=f"{path}, row {numbered['row'][row]}",
            remedy="A triplet file has three numbers a line, separated by spaces, and no header.",
        )
    array: npt.NDArray[np.number] = numbers.to_numpy()
    return array


def write_triplets(path: Path, triplets: npt.NDArray[np.integer]) -> None:
    """Write judgments as the reference implementations read them, the odd one last.

    Parameters
    ----------
    path : Path
        ``.npy`` for an int32 array, anything else for text with spaces.
    triplets : int array of shape (n, 3)
        Items, the odd one in the last column.
    """
    part = path.with_name(f".{path.name}.part")
    array = np.asarray(triplets, dtype=np.int32).reshape(-1, 3)
    if path.suffix == ".npy":
        with part.open("wb") as file:
            np.save(file, array, allow_pickle=False)
    else:
        pl.DataFrame(array, schema=["a", "b", "odd"], orient="row").write_csv(part, include_header=False, separator=" ")
    # a reader never sees half a file
    part.replace(path)
