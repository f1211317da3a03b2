"""From one number back to what it was computed from: versions, code, settings, judgments, prompts, files.

Builds a tree of plain values. What does not belong here: printing it (``explaining``), computing it again
(``recompute``).
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from affectlake import prompts
from affectlake.errors import LakeError
from affectlake.tables import STAMP_NAMES, TABLES, Table
from assets._judging import agent_of
from assets.recipes import RECIPES
from dagster_project.planning import state
from resources.lake import Lake
from resources.provenance import Key, Ledger, Recipe, partition_name
from resources.study import ServiceModel, Study

_EXAMPLES = 8


@dataclass(frozen=True)
class Node:
    """One partition of one table, in one version.

    Attributes
    ----------
    table, partition : str
    version : int or None
        Delta version in which it was read; None where nothing had been written.
    facts : dict
        What is known of it, plain JSON values.
    sources : tuple of Node
        What it was computed from.
    seen : bool
        True where the same node stands higher up in the tree with all its facts.
    """

    table: str
    partition: str
    version: int | None
    facts: dict[str, Any] = field(default_factory=dict)
    sources: tuple[Node, ...] = ()
    seen: bool = False

    def plain(self) -> dict[str, Any]:
        """The tree as JSON values."""
        own = {"table": self.table, "partition": self.partition, "version": self.version}
        if self.seen:
            return {**own, "see": "above"}
        return {**own, **self.facts, "computed_from": [s.plain() for s in self.sources]}


def recipe_of(table: str) -> Recipe:
    """What computes a table.

    Raises
    ------
    LakeError
        There is no such table, or it is a record of computations and not their result.
    """
    if table not in TABLES:
        near = difflib.get_close_matches(table, TABLES, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise LakeError(f"there is no table {table!r}", remedy=f"{hint}Known tables: {', '.join(TABLES)}.")
    for recipe in RECIPES:
        if table in recipe.outputs:
            return recipe
    known = ", ".join(t for r in RECIPES for t in r.outputs)
    raise LakeError("is written beside results and is none", where=f"table {table}", remedy=f"Choose among {known}.")


def find_row(lake: Lake, table: str, where: Mapping[str, str]) -> dict[str, Any]:
    """The one row of a table that has these values.

    Raises
    ------
    LakeError
        A column is none of the table's, or no row or several have the values; the message says which values there are.
    """
    contract = TABLES[table]
    found = lake.scan(table)
    for name, value in where.items():
        if name not in contract.column or contract.column[name].dtype.is_nested():
            raise LakeError(
                f"has no column {name!r} to look for",
                where=f"table {table}",
                remedy=f"Its key is {', '.join(contract.key)}.",
            )
        before, found = found, found.filter(pl.col(name).cast(pl.String) == value)
        if found.head(1).collect().is_empty():
            raise LakeError(
                f"has no row with {name}={value}", where=f"table {table}", remedy=f"There are {_values(before, name)}."
            )
    rows = found.head(2).collect()
    if rows.height > 1:
        free = [k for k in contract.key if k not in where and found.select(pl.col(k).n_unique()).collect().item() > 1]
        needed = ", ".join(f"{k}=... ({_values(found, k)})" for k in free)
        raise LakeError(
            f"{found.select(pl.len()).collect().item():,} rows have these values",
            where=f"table {table}",
            remedy=f"Add {needed}.",
        )
    return rows.row(0, named=True)


def _values(frame: pl.LazyFrame, column: str) -> str:
    """The first values of a column, for a message."""
    values = frame.select(pl.col(column).unique().sort()).head(_EXAMPLES + 1).collect()[column].cast(pl.String)
    listed = ", ".join(str(v) for v in values.head(_EXAMPLES)) or "none"
    return f"{listed}, ..." if len(values) > _EXAMPLES else listed


def partition_of(recipe: Recipe, row: Mapping[str, Any]) -> dict[str, str]:
    """The partition that a row belongs to."""
    return {dimension: str(row[dimension]) for dimension in recipe.dimensions}


class Explainer:
    """Walks back through the table ``materializations``."""

    def __init__(self, study: Study, lake: Lake) -> None:
        self.study, self.lake = study, lake
        self.ledger = Ledger(lake)
        self._computations = lake.scan("materializations").collect()
        self._seen: set[tuple[str, str, int | None]] = set()

    def computation(self, table: str, key: Key, version: int | None = None) -> dict[str, Any]:
        """The computation that wrote a partition, as of a version of its table; the newest where none is given.

        Raises
        ------
        LakeError
            None is recorded.
        """
        found = self._computations.filter(table=table, partition=partition_name(key))
        if version is not None:
            found = found.filter(pl.col("delta_version") <= version)
        if found.is_empty():
            raise LakeError("no computation of it is recorded", where=f"table {table} [{partition_name(key)}]")
        return found.sort("delta_version", "finished_at").row(-1, named=True)

    def node(self, table: str, key: Key, version: int | None = None) -> Node:
        """One partition with all that it was computed from."""
        done = self.computation(table, key, version)
        version = int(done["delta_version"]) if version is None else version
        mark = (table, partition_name(key), version)
        if mark in self._seen:
            return Node(*mark, seen=True)
        self._seen.add(mark)
        recipe = recipe_of(table)
        used = json.loads(done["source_versions"])
        sources = [
            self.node(source, k, used[source])
            for source in recipe.used(self.study, key)
            for k in recipe.upstream(source, key, self.study)
            if used.get(source) is not None and self._computed(source, k, used[source])
        ]
        return Node(*mark, self._facts(recipe, table, key, done), tuple(sources))

    def _computed(self, table: str, key: Key, version: int) -> bool:
        found = self._computations.filter(table=table, partition=partition_name(key))
        return not found.filter(pl.col("delta_version") <= version).is_empty()

    def _facts(self, recipe: Recipe, table: str, key: Key, done: Mapping[str, Any]) -> dict[str, Any]:
        newest = self.ledger.row(table, key)
        is_newest = newest is not None and newest["finished_at"] == done["finished_at"]
        facts: dict[str, Any] = {
            "written_as": int(done["delta_version"]),
            "newest_version": self.lake.version(table),
            "state": str(state(recipe, key, self.study, self.ledger)) if is_newest else "superseded",
            "rows": int(done["rows"]),
            "content": done["data_version"],
            "run_id": done["run_id"],
            "finished_at": done["finished_at"].isoformat(timespec="seconds"),
            "code_version": done["code_version"],
            "code_now": recipe.code_version,
            "settings": recipe.settings(self.study, key),
            "files": [hashed(file) for file in sorted(set(recipe.files(self.study, key)))],
        }
        return facts | (self._judged(key, int(done["delta_version"])) if table == "judgments" else {})

    def _judged(self, key: Key, version: int) -> dict[str, Any]:
        """What one model answered up to a version: counts by wording, what was not accepted, cost, and the wording."""
        answers = self.lake.scan("judgments", key, version)
        versions = (
            answers.group_by("prompt_version")
            .agg(
                judgments=pl.len(),
                stimulus_versions=pl.col("stimulus_version").n_unique(),
                asked=pl.col("model_asked").drop_nulls().unique().sort(),
                answered_by=pl.col("model_returned").drop_nulls().unique().sort(),
                tokens_in=pl.col("tokens_in").sum(),
                tokens_out=pl.col("tokens_out").sum(),
                usd=pl.col("cost_usd").sum(),
            )
            .sort("prompt_version")
        )
        lost = self.lake.scan("attempts", key).group_by("reason").agg(n=pl.len()).sort("reason").collect()
        facts: dict[str, Any] = {"judgments": versions.collect().to_dicts(), "not_accepted": dict(lost.iter_rows())}
        model = self.study.model(key["model"])
        if isinstance(model, ServiceModel):
            wording = agent_of(model, self.study, self.lake).prompt_version
            words = (prompts.SYSTEM, prompts.INSTRUCTION)
            if model.input != "captions":
                words = (prompts.MEDIA_SYSTEM, prompts.MEDIA_INSTRUCTION)
            facts["prompt"] = {"version": wording, "system": words[0], "instruction": words[1]}
        return facts


def hashed(file: Path) -> dict[str, Any]:
    """A source file with size and SHA-256, both None where it is not there."""
    digest = _sha256(file)
    return {"file": str(file), "bytes": file.stat().st_size if digest else None, "sha256": digest}


@cache
def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None


def shown_row(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's values without what stands in the tree anyway, its key first."""
    names: Iterable[str] = dict.fromkeys((*table.key, *table.column))
    return {name: row[name] for name in names if name not in STAMP_NAMES and row[name] is not None}
