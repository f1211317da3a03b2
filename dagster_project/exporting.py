"""The command ``affectlake export``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dagster_project.terminal import open_study, out, plain


class Part(StrEnum):
    """What can be exported."""

    embeddings = "embeddings"
    judgments = "judgments"
    rdms = "rdms"
    scores = "scores"
    maps = "maps"
    methods = "methods"


def export_command(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    only: Annotated[list[Part] | None, typer.Option(help="Only this part; may stand several times.")] = None,
) -> None:
    """Write the results in the layouts of SPoSE, THINGS, rsatoolbox and BIDS, with methods text and citation."""
    from dagster_project.export import PARTS, export

    study, lake = open_study()
    for line in export(study, lake, folder, [part for part in PARTS if only is None or part in only]):
        out.print(plain(line), highlight=False)
    out.print(f"wrote {plain(str(folder))}", highlight=False)
