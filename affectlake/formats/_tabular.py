"""Delimited text as users have it: gzipped or not, with or without a byte order mark, every cell read as text.

What belongs here: getting the cells of a file into a frame of strings, and saying where in the file a cell stands. What
does not: what the cells mean (the modules beside this one).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from affectlake.errors import InputError

FIRST_ROW = 2
"""Row of the first record as a spreadsheet numbers it: the header is row 1."""


def read_cells(path: Path, required: tuple[str, ...] = ()) -> pl.DataFrame:
    """Read a CSV file as text, so that ``0017`` stays ``0017``.

    Parameters
    ----------
    path : Path
        CSV, UTF-8, also gzipped.
    required : tuple of str
        Columns that must be there.

    Returns
    -------
    polars.DataFrame
        String columns named by the header; empty cells are null.

    Raises
    ------
    InputError
        The file is missing, is no CSV in UTF-8, or lacks a required column.
    """
    check_file(path)
    try:
        frame = pl.read_csv(path, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot be read as a table of comma-separated values in UTF-8 ({reason})",
            where=str(path),
            remedy="Save it as CSV with commas, one header row and the encoding UTF-8.",
        ) from None
    frame = frame.rename({name: name.strip() for name in frame.columns})
    missing = [name for name in required if name not in frame.columns]
    if missing:
        raise InputError(
            f"has no column {', '.join(repr(m) for m in missing)}; its columns are {shown(frame.columns, 8)}",
            where=str(path),
            remedy="Are the cells separated by something else than commas?" if frame.width == 1 else None,
        )
    return frame


def check_file(path: Path) -> None:
    """Say so where ``path`` is no readable file.

    Raises
    ------
    InputError
        There is no such file.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=str(path), remedy="Mend the path in the study file.")


def shown(values: list[str] | pl.Series, n: int = 3) -> str:
    """The first values, for an error message."""
    listed = [str(v) if len(str(v)) <= 40 else f"{str(v)[:37]}..." for v in list(values[:n])]
    return ", ".join(listed) + (", ..." if len(values) > n else "")


def rows(mask: pl.Series, n: int = 5) -> str:
    """Rows of the file, as a spreadsheet numbers them, where ``mask`` is true."""
    numbers = [str(i + FIRST_ROW) for i in mask.arg_true()[: n + 1]]
    text = ", ".join(numbers[:n]) + (", ..." if len(numbers) > n else "")
    return f"row {text}" if len(numbers) == 1 else f"rows {text}"
