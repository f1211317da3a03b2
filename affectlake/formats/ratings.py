"""Human ratings of videos on 34 categories and 14 dimensions, in the three shapes that users have them in.

What belongs here: recognising and reading the files. What does not: the names of the scales (:mod:`affectlake.scales`).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from affectlake.errors import InputError
from affectlake.formats._matlab import features_struct
from affectlake.formats._tabular import FIRST_ROW, check_file, read_cells, shown
from affectlake.formats.ids import AS_IS, IdSpelling, check_ids, respell
from affectlake.scales import CATEGORIES, DIMENSIONS

NAMES = (*CATEGORIES, *DIMENSIONS)
RANGES = {"category": (0.0, 1.0), "dimension": (1.0, 9.0)}
"""Lowest and highest value of each scale: share of raters, and points of the Likert scale."""

_SCALE = {**dict.fromkeys(CATEGORIES, "category"), **dict.fromkeys(DIMENSIONS, "dimension")}


def read_ratings(path: Path, *, id_rule: IdSpelling = AS_IS) -> pl.DataFrame:
    """Read ratings; which of the three formats it is shows in the file's content.

    - a CSV with ``video_id`` and one column for each of the 34 categories and 14 dimensions, in any order;
    - the CSV of Cowen & Keltner: ``Filename``, then the 34 + 14 columns, then 600 others that are not read;
    - MATLAB 5 features: struct ``L`` with ``feat`` (videos x names) and ``featname``, row i being video i, 1-based.

    Parameters
    ----------
    path : Path
        CSV (also gzipped) or ``.mat``.
    id_rule : IdSpelling
        How the file spells ids. Those of a ``.mat`` are its 1-based row numbers.

    Returns
    -------
    polars.DataFrame
        Columns ``video_id``, ``scale`` (category or dimension), ``name`` (as in :mod:`affectlake.scales`), all String,
        and ``value`` (Float64; categories 0..1, dimensions 1..9). In file order, names in the order of the scales.

    Raises
    ------
    InputError
        The file is missing or in none of these formats, lacks a column, holds an id twice, or a value is empty, no
        number or out of its scale's range. The message names row and column.
    """
    check_file(path)
    with path.open("rb") as file:
        matlab = file.read(6) == b"MATLAB"
    wide = _read_matlab(path) if matlab else _read_csv(path)
    wide = wide.with_columns(respell(wide["video_id"], id_rule))
    check_ids(wide["video_id"], where=str(path))
    names = [name for name in NAMES if name in wide.columns]
    _check_values(wide, names, path, first_row=1 if matlab else FIRST_ROW)
    long = wide.with_row_index("row").unpivot(names, index=["row", "video_id"], variable_name="name")
    order = {name: i for i, name in enumerate(NAMES)}
    return long.sort("row", pl.col("name").replace_strict(order, return_dtype=pl.Int32)).select(
        "video_id", pl.col("name").replace_strict(_SCALE, return_dtype=pl.String).alias("scale"), "name", "value"
    )


def _read_csv(path: Path) -> pl.DataFrame:
    cells = read_cells(path)
    if cells.columns[0] == "Filename":
        # by position: names further right are the same but for capitals (Awe, awe), and one reader's lower-casing
        # would silently take the wrong column
        cells = cells.select(cells.columns[: 1 + len(NAMES)]).rename({"Filename": "video_id"})
    spelt = {name: _spelling(name) for name in cells.columns if _spelling(name) in _SCALE}
    missing = [name for name in ("video_id", *NAMES) if name not in {"video_id", *spelt.values()}]
    if "video_id" not in cells.columns or missing:
        missing = missing if "video_id" in cells.columns else ["video_id", *missing]
        raise InputError(
            f"has no column {', '.join(repr(m) for m in missing)}",
            where=str(path),
            remedy="It needs video_id, the 34 categories and the 14 dimensions, spelt as in the documentation.",
        )
    if len(set(spelt.values())) < len(spelt):
        doubled = sorted({n for n in spelt.values() if list(spelt.values()).count(n) > 1})
        raise InputError(f"has more than one column for {shown(doubled)}", where=str(path))
    # strict=False makes a null of what is no number; the check of values names its row
    return cells.select(
        "video_id",
        *(pl.col(old).str.strip_chars().cast(pl.Float64, strict=False).alias(new) for old, new in spelt.items()),
    )


def _read_matlab(path: Path) -> pl.DataFrame:
    features, names = features_struct(path)
    unknown = [name for name in names if _spelling(name) not in _SCALE]
    if unknown or features.ndim != 2 or features.shape[1] != len(names):
        fact = (
            f"has features that are no rating scale: {shown(unknown)}"
            if unknown
            else f"L.feat is {' x '.join(map(str, features.shape))}, L.featname has {len(names)} names"
        )
        raise InputError(fact, where=str(path), remedy="Other features go into a model with `agent: features`.")
    columns = {_spelling(name): features[:, i].astype(float) for i, name in enumerate(names)}
    return pl.DataFrame({"video_id": [str(i + 1) for i in range(len(features))], **columns})


def _spelling(name: str) -> str:
    """One spelling for all files: ``Aesthetic Appreciation`` and ``Aesthetic_appreciation`` are one name.

    A lower-case name stays: ``admiration`` is a free-response term of Cowen & Keltner, not the category.
    """
    head, rest = name[:1], name[1:].replace(" ", "_")
    return head + rest.lower() if head.isupper() else name


def _check_values(wide: pl.DataFrame, names: list[str], path: Path, first_row: int) -> None:
    for name in names:
        low, high = RANGES[_SCALE[name]]
        # a NaN is not between anything
        bad = ~wide[name].is_between(low, high).fill_null(False) | wide[name].is_nan().fill_null(True)
        if bad.any():
            row = int(bad.arg_max() or 0)
            value = wide[name][row]
            hint = (
                "Categories are shares of raters: is this the file of 0-100 intensities?"
                if _SCALE[name] == "category" and value is not None and value > 1
                else "Leave out videos that were not rated."
            )
            raise InputError(
                f"{int(bad.sum())} values of column {name!r} are no number from {low:g} to {high:g}; the first is "
                f"{'empty or no number' if value is None else value} for video {wide['video_id'][row]!r}",
                where=f"{path}, row {row + first_row}",
                remedy=hint,
            )
