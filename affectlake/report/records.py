"""What a reader who defends the results asks for: methods, what was left out, and from what everything was computed."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

import polars as pl

from affectlake.report.blocks import Fold, Section, Table, Text, cell
from affectlake.report.numbers import count, plural
from affectlake.report.results import Results

_EXAMPLES = 5


def methods(results: Results) -> Section | None:
    """The methods text, with the study's own settings."""
    blocks = [Text(text, heading) for heading, text in results.facts.methods]
    return Section("methods", "Methods", blocks)


def left_out(results: Results) -> Section:
    """Questions without an answer, and inputs that were not used."""
    blocks: list[Any] = []
    attempts = results.table("attempts")
    if attempts.height:
        blocks.append(_attempts(attempts))
    exclusions = results.table("exclusions")
    if exclusions.height:
        blocks.append(_exclusions(exclusions))
    clips = results.table("videos").filter(~pl.col("status").is_in(["present", "no_media"]))
    if clips.height:
        blocks.append(_clips(clips))
    if not blocks:
        blocks.append(Text("Nothing: every question was answered and every input was used."))
    return Section("left-out", "What was left out", blocks)


def _attempts(attempts: pl.DataFrame) -> Table:
    found = attempts.group_by("model", "reason", maintain_order=True).agg(
        pl.len().alias("n"), pl.col("final").sum().alias("given_up"), pl.col("raw").drop_nulls().unique().sort().head(3)
    )
    rows = [
        [
            cell(r["model"]),
            cell(r["reason"]),
            cell(count(r["n"]), r["n"]),
            cell(count(r["given_up"]), r["given_up"]),
            cell("; ".join(_short(text) for text in r["raw"])),
        ]
        for r in found.iter_rows(named=True)
    ]
    return Table(
        "Answers that did not count as judgments, as they came.",
        ("model", "reason", "#answers", "#questions given up", "such as"),
        rows,
    )


def _exclusions(rows: pl.DataFrame) -> Table:
    found = rows.group_by("stage", "partition", "reason", maintain_order=True).agg(
        pl.col("n").sum(), pl.col("what"), pl.col("source").unique().sort()
    )
    body = [
        [
            cell(r["stage"]),
            cell("" if r["partition"] == "-" else r["partition"]),
            cell(r["reason"].replace("_", " ")),
            cell(count(r["n"]), r["n"]),
            cell(_some(r["what"])),
            cell(_some([PurePath(s).name for s in r["source"]], 2)),
        ]
        for r in found.iter_rows(named=True)
    ]
    heads = ("table", "partition", "reason", "#rows", "what", "from")
    return Table("Inputs that were not used, and why.", heads, body)


def _clips(rows: pl.DataFrame) -> Table:
    body = [
        [cell(r["video_id"]), cell(r["status"]), cell(_short(r["detail"] or ""))] for r in rows.iter_rows(named=True)
    ]
    return Table("Clips whose media cannot be used, or that left the study.", ("clip", "status", "why"), body)


def _some(values: list[str], n: int = _EXAMPLES) -> str:
    more = len(values) - n
    return ", ".join(_short(v) for v in values[:n]) + (f" and {more:,} more" if more > 0 else "")


def _short(text: str, width: int = 60) -> str:
    return text if len(text) <= width else text[: width - 1] + "\u2026"


def provenance(results: Results) -> Section | None:
    """The newest computation of every partition of every table."""
    rows = results.table("materializations").filter(pl.col("table") != "report")
    if rows.is_empty():
        return None
    newest = rows.sort("finished_at", "delta_version").group_by("table", "partition", maintain_order=True).last()
    by_table = newest.group_by("table", maintain_order=True).agg(
        pl.len().alias("partitions"),
        pl.col("rows").sum(),
        pl.col("delta_version").max(),
        pl.col("code_version").unique(),
        pl.col("finished_at").max(),
    )
    body = [
        [
            cell(r["table"]),
            cell(count(r["partitions"]), r["partitions"]),
            cell(count(r["rows"]), r["rows"]),
            cell(r["delta_version"], r["delta_version"]),
            cell(", ".join(sorted(r["code_version"]))),
            cell(f"{r['finished_at']:%Y-%m-%d %H:%M}"),
        ]
        for r in by_table.iter_rows(named=True)
    ]
    heads = ("table", "#partitions", "#rows", "#Delta version", "code version", "newest (UTC)")
    summary = Table("The tables that this report is drawn from.", heads, body)
    fold = Fold(f"Every computation ({plural(newest.height, 'partition')})", [_partitions(newest)])
    return Section("provenance", "From exactly what was this computed?", [summary, fold])


def _partitions(rows: pl.DataFrame) -> Table:
    body = [
        [
            cell(r["table"]),
            cell("" if r["partition"] == "-" else r["partition"]),
            cell(count(r["rows"]), r["rows"]),
            cell(r["delta_version"], r["delta_version"]),
            cell(_sources(r["source_versions"])),
            cell(r["code_version"]),
            cell(r["run_id"][:8]),
            cell(f"{r['finished_at']:%Y-%m-%d %H:%M}"),
        ]
        for r in rows.sort("table", "partition").iter_rows(named=True)
    ]
    heads = ("table", "partition", "#rows", "#version", "computed from", "code", "run", "finished (UTC)")
    return Table("The newest computation of every partition.", heads, body)


def _sources(versions: str) -> str:
    found = json.loads(versions or "{}")
    return ", ".join(f"{table} {version}" for table, version in found.items() if version is not None)
