"""Confounds of a run as fMRIPrep writes them: which columns, and what stands where there is no value.

What belongs here: one table. What does not: where it lies (``_bids_runs.py``), taking it out of the data
(``affectlake._nuisance``).
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake.errors import InputError
from affectlake.formats._bids_events import read_text
from affectlake.formats._tabular import shown


def read_confounds(path: Path, patterns: Sequence[str], n_volumes: int) -> NDArray[np.float64]:
    """Read the columns of a table of confounds that the patterns name.

    Parameters
    ----------
    path : Path
        ``*_desc-confounds_timeseries.tsv``, or under an older name.
    patterns : sequence of str
        Names of columns; ``*`` and ``?`` stand for anything (``trans_*``, ``cosine*``, ``a_comp_cor_0[0-4]``).
    n_volumes : int
        Volumes of the run.

    Returns
    -------
    ndarray of float64, shape (n_volumes, n_columns)
        In the file's order. The first row of a difference has no value (n/a): it gets the column's mean, which takes
        nothing out.

    Raises
    ------
    InputError
        A pattern names no column, rows and volumes differ in number, or a value is missing elsewhere.
    """
    table = read_text(path)
    chosen = [name for name in table.columns if any(fnmatchcase(name, pattern) for pattern in patterns)]
    idle = [p for p in patterns if not any(fnmatchcase(name, p) for name in table.columns)]
    if idle:
        raise InputError(
            f"no column {idle[0]}; there are {shown(table.columns, 40)}",
            where=str(path),
            remedy="Set brain.confounds to columns of the table; * stands for anything.",
        )
    if table.height != n_volumes:
        raise InputError(f"has {table.height} rows, the image has {n_volumes} volumes", where=str(path))
    values = table.select(pl.col(chosen).cast(pl.Float64, strict=False)).to_numpy().astype(np.float64)
    wrong = ~np.isfinite(values)
    wrong[0] &= np.array([table[name][0] is not None for name in chosen])
    if wrong.any():
        row, column = (int(n) for n in np.argwhere(wrong)[0])
        raise InputError(
            f"{chosen[column]} has {table[chosen[column]][row] or 'n/a'!r}, not a number",
            where=f"{path}, row {row + 2}",
            remedy="Only the first volume may lack a value. Leave the column out of brain.confounds.",
        )
    return np.where(np.isfinite(values), values, values[1:].mean(axis=0))
