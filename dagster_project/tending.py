"""The commands that tend the lake: ``affectlake maintain`` and ``affectlake forget``."""

from __future__ import annotations

from typing import Annotated

import typer

from dagster_project.terminal import Format, err, open_study, out, plain, print_rows


def maintain_command(
    format: Annotated[Format, typer.Option(help="How to print the rows.")] = Format.table,  # noqa: A002 - the flag's name
) -> None:
    """Merge small files and remove versions older than `automation.keep_days`; no query of today changes."""
    from resources.upkeep import maintain

    study, lake = open_study()
    print_rows(maintain(lake, keep_days=study.automation.keep_days), format)


def forget_command(
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Leave nothing on disk: all earlier versions of these tables go as well.")
    ] = False,
) -> None:
    """Delete the rows of models and subjects that the study file no longer has."""
    from resources.upkeep import forget, gone

    study, lake = open_study()
    found = gone(lake, study)
    if found.is_empty():
        out.print("the lake holds no model and no subject that the study does not have")
        return
    for dimension, name in found.select("dimension", "name").unique().sort("dimension", "name").iter_rows():
        tables = found.filter(dimension=dimension, name=name)["table"].to_list()
        out.print(f"{dimension} {plain(name)}: {', '.join(tables)}", highlight=False)
    if purge:
        err.print("--as-of and explain will not reach back beyond now in these tables")
    if not yes and not typer.confirm("Delete these rows?"):
        raise typer.Exit(1)
    deleted = forget(lake, found, purge=purge)
    out.print(
        f"deleted {deleted:,} rows; run `affectlake run` to draw comparisons and the report anew", highlight=False
    )
    if not purge:
        days = study.automation.keep_days
        out.print(f"files of earlier versions hold them until `affectlake maintain` finds them {days} days old")
