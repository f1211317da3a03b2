"""The command ``affectlake query``: SQL of the user's or of ``sql/``, as of now or of then."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.terminal import Format, err, open_study, print_rows

if TYPE_CHECKING:
    from sql import Named


def query_command(
    statement: Annotated[str | None, typer.Argument(help="A SELECT over the tables.")] = None,
    name: Annotated[str | None, typer.Option(help="A named query of sql/ instead.")] = None,
    param: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, bound to $NAME of the query.")] = None,
    as_of: Annotated[
        list[str] | None,
        typer.Option(help="Tables as they were: a time (UTC), TABLE=VERSION, or a version where one table is asked."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the named queries.")] = False,
    format: Annotated[Format, typer.Option(help="How to print the rows.")] = Format.table,  # noqa: A002 - the flag's name
) -> None:
    """Ask the tables in SQL; rows alone go to standard output."""
    import sql
    from resources.asof import AsOf
    from resources.query import query

    if list_:
        _list_queries(format)
        return
    if (statement is None) == (name is None):
        raise typer.BadParameter("give either a SELECT or --name")
    values = _values(param or [])
    asked: Named | None = None
    if name is not None:
        asked = sql.named(name)
        values = asked.bind(values)
    then = AsOf.parse(as_of or [])
    study, lake = open_study()
    _confine()
    print_rows(query(lake, study, asked.text if asked else str(statement), values or None, as_of=then), format)


def _list_queries(format: Format) -> None:  # noqa: A002
    import polars as pl

    import sql

    rows = [(q.name, q.question, ", ".join(q.parameters)) for q in map(sql.named, sql.names())]
    print_rows(pl.DataFrame(rows, schema=["name", "question", "parameters"], orient="row"), format)


def _values(words: list[str]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    if not all(name and equals for name, equals, _ in pairs):
        raise typer.BadParameter("--param takes NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _confine() -> None:
    """Limit the process, which answers one question: what the engine does not hold, the kernel does."""
    from resources.limits import GRACE_S, HEADROOM, confine
    from resources.query import MEMORY_BYTES, TIME_LIMIT_S

    def overdue() -> None:
        err.print(f"[bold red]error:[/] took longer than {TIME_LIMIT_S:g} s and was ended", highlight=False)
        sys.stdout.flush()

    confine(MEMORY_BYTES + HEADROOM, TIME_LIMIT_S + GRACE_S, overdue)
