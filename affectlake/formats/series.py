"""Time series of regions as text tables: rows are the volumes of one run, columns are regions or regressors.

What belongs here: cells to numbers. What does not: what is made of them (``roiseries.py``), or what was shown
(``bids.py``, whose events these studies have too).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectlake.errors import InputError
from affectlake.formats._tabular import check_file, shown

_MISSING = {"n/a", "na", ""}


def read_series(path: Path, names: Sequence[str] = ()) -> tuple[list[str], NDArray[np.float64]]:
    """Read a table of numbers separated by blanks, tabs or commas.

    Parameters
    ----------
    path : Path
        UTF-8 text. An empty cell (of a table with tabs or commas), ``n/a`` or ``NaN`` is a missing value.
    names : sequence of str
        Names of the columns, for a table without a line of names.

    Returns
    -------
    names : list of str
    values : ndarray of float64, shape (n_volumes, n_columns)
        NaN where a value is missing.

    Raises
    ------
    InputError
        The file is missing, empty or no text; a line has more or fewer cells than the others; a cell is no number;
        a name stands twice; or there are names neither in the file nor given, in both, or not one a column.
    """
    check_file(path)
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(f"is no text in UTF-8 ({error})", where=str(path)) from None
    if not lines:
        raise InputError("is empty", where=str(path))
    separator = next((s for s in ("\t", ",") if s in lines[0].strip()), None)
    rows = [[cell.strip().strip('"') for cell in line.strip(" \r\n").split(separator)] for line in lines]
    titled = not any(_is_number(cell) for cell in rows[0])
    found = _names(path, rows[0] if titled else None, names, len(rows[0]))
    values = [_numbers(path, n, row, len(found)) for n, row in enumerate(rows[titled:], start=1 + titled)]
    if not values:
        raise InputError("has names of columns and no row", where=str(path))
    return found, np.array(values, dtype=np.float64)


def _names(path: Path, title: list[str] | None, given: Sequence[str], width: int) -> list[str]:
    if title is not None and given:
        raise InputError(f"names its columns itself ({shown(title)})", where=str(path), remedy="Leave out brain.rois.")
    names = title if title is not None else list(given)
    if not names:
        raise InputError(
            f"its {width} columns have no names", where=str(path), remedy="Name them in the study file: brain.rois."
        )
    if len(names) != width:
        raise InputError(f"has {width} columns, {len(names)} names are given", where=str(path))
    if len(set(names)) < len(names):
        raise InputError(f"a name stands for two columns: {shown(names, 20)}", where=str(path))
    return names


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.lower() in _MISSING
    return True


def _numbers(path: Path, line: int, row: list[str], width: int) -> list[float]:
    where = f"{path}, row {line}"
    if len(row) != width:
        raise InputError(f"has {len(row)} cells, the first row has {width}", where=where)
    wrong = next((cell for cell in row if not _is_number(cell)), None)
    if wrong is not None:
        raise InputError(f"{wrong!r} is not a number", where=where)
    return [np.nan if cell.lower() in _MISSING else float(cell) for cell in row]


def read_regressors(path: Path, n_volumes: int, *, skip: int = 0) -> NDArray[np.float64]:
    """Read nuisance regressors, with or without a line of names.

    Parameters
    ----------
    path : Path
        As for `read_series`.
    n_volumes : int
        Volumes of the series that they belong to.
    skip : int
        Rows at the head that belong to volumes which the series do not have.

    Returns
    -------
    ndarray of float64, shape (n_volumes, n_regressors)

    Raises
    ------
    InputError
        As for `read_series`; also where rows and volumes differ in number or a value is missing.
    """
    check_file(path)
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline().strip()
    cells = first.split("\t" if "\t" in first else "," if "," in first else None)
    unnamed = [str(n) for n in range(len(cells))] if any(_is_number(c.strip()) for c in cells) else []
    values = read_series(path, unnamed)[1][skip:]
    if len(values) != n_volumes:
        raise InputError(
            f"has {len(values)} rows{f' after the first {skip}' if skip else ''}, the series has {n_volumes} volumes",
            where=str(path),
            remedy="Set brain.confounds skip to the number of volumes that were dropped at the start.",
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0].tolist()
        raise InputError(
            "a regressor has a missing or infinite value",
            where=f"{path}, row {row + skip + 1}, column {column + 1}",
            remedy="fMRIPrep leaves n/a where a difference has no predecessor: fill in 0 or leave the column out.",
        )
    return values
