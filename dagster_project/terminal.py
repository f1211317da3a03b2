"""What the commands share: the two streams, how rows are printed, and how the study is opened."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from resources.lake import Lake
    from resources.study import Study

WIDE = 200
"""Columns of a table that goes to a file or a pipe, which has no width of its own."""

_NESTED = 60
"""Characters of a list in a cell; the other formats have all of it."""

out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, soft_wrap=True)


class Format(StrEnum):
    """How a query's rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def plain(text: str) -> str:
    """Text that rich prints as it is."""
    from rich.markup import escape

    return escape(text)


def open_study() -> tuple[Study, Lake]:
    """The study that the environment names, and its lake."""
    from resources.lake import Lake
    from resources.study import lake_root, load_study

    study = load_study()
    return study, Lake(lake_root(study), study.name)


def check_keys(study: Study, models: Iterable[str], subjects: Iterable[str]) -> None:
    """Refuse models and subjects that the study does not have.

    Raises
    ------
    StudyError
        The message names those that there are.
    """
    from affectlake.errors import StudyError

    for asked, known in ((models, study.model_names), (subjects, study.subjects)):
        if unknown := sorted(set(asked) - set(known)):
            raise StudyError(
                f"has no {', '.join(unknown)}", where=str(study.path), remedy=f"It has {', '.join(known)}."
            )


def print_rows(frame: pl.DataFrame, format: Format) -> None:  # noqa: A002
    """Write rows to standard output, and nothing else."""
    if format is Format.csv:
        sys.stdout.write(_flat(frame).write_csv())
    elif format is Format.json:
        sys.stdout.write(frame.write_json() + "\n")
    elif format is Format.parquet:
        frame.write_parquet(sys.stdout.buffer)
    else:
        out.print(table_of(frame))


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists and structs as text, which is all that CSV can hold."""
    import polars as pl

    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(pl.col(name).map_elements(str, return_dtype=pl.String) for name in nested)


def table_of(frame: pl.DataFrame, title: str | None = None) -> Any:
    """Rows as a table of the terminal."""
    from rich.table import Table

    table = Table(title=title)
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        text = str(value)
        return plain(text if len(text) <= _NESTED else text[: _NESTED - 1] + "…")
    return f"{value:.3f}" if isinstance(value, float) else plain(str(value))
