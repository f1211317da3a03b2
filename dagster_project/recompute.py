"""Computes a partition again from the recorded versions of its sources, in a lake of its own, and compares."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import dagster as dg
import polars as pl

from affectlake.errors import LakeError
from affectlake.tables import TABLES
from dagster_project.explain import Explainer
from dagster_project.planning import Batch
from dagster_project.runner import Launcher
from resources.asof import AsOf
from resources.content import data_version
from resources.lake import Lake
from resources.provenance import Key, Ledger, Recipe, Stamp, record
from resources.study import ServiceModel, Study

Verdict = Literal["different", "rounding", "equal"]
"""Worst first. Sums over threads are not the same to the last bit on another machine."""

_ROUNDING = 1e-6
_OWN_PAST = ("videos", "triplets", "embedding_runs")
"""Tables whose computation goes on from what they held before."""
_BESIDE = {"embeddings": ("attempts",)}
"""Tables that a computation looks at beside its inputs."""


@dataclass(frozen=True)
class Compared:
    """One table's partition beside the same computed again."""

    table: str
    rows: int
    missing: int
    """Rows that did not come again."""
    extra: int
    """Rows that were not there before."""
    differences: dict[str, Any]
    """By column that differs: the largest absolute difference of its numbers, else how many rows differ."""

    close: bool
    """True where the numbers that differ do so by less than one part in a million of the column's largest."""

    @property
    def verdict(self) -> Verdict:
        """Whether the two are the same."""
        if not (self.missing or self.extra or self.differences):
            return "equal"
        return "rounding" if self.close and not (self.missing or self.extra) else "different"

    def plain(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "table": self.table,
            "verdict": self.verdict,
            "rows": self.rows,
            "missing": self.missing,
            "extra": self.extra,
            "differences": self.differences,
        }


@dataclass
class Recomputed:
    """What came of computing a partition again."""

    tables: list[Compared] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is not as it was, in sentences."""

    @property
    def verdict(self) -> Verdict:
        """The worst of the tables."""
        found = {t.verdict for t in self.tables}
        return next(v for v in get_args(Verdict) if v in found or v == "equal")


def recompute(explainer: Explainer, recipe: Recipe, key: Key) -> Recomputed:
    """Compute one partition of one recipe again and compare all tables that it writes.

    Raises
    ------
    LakeError
        It would ask a service again, or the computation failed.
    """
    study, lake, outcome = explainer.study, explainer.lake, Recomputed()
    if recipe.name == "judgments" and isinstance(study.model(key["model"]), ServiceModel):
        raise LakeError(
            f"judgments of {key['model']} cannot be computed again: that would ask the service once more, and pay",
            remedy="`affectlake explain embeddings ... --recompute` goes on from its answers.",
        )
    done = explainer.computation(recipe.name, key)
    with _scratch(study) as scratch:
        _copy_sources(explainer, recipe, key, done, scratch, outcome.notes)
        with dg.DagsterInstance.ephemeral() as instance:
            problems = Launcher(study, instance, scratch.root).run(Batch((recipe,), key))
        if problems:
            raise LakeError(f"could not be computed again: {'; '.join(problems.values())}", where=recipe.name)
        _say_what_changed(recipe, key, done, scratch, outcome.notes)
        for table in recipe.outputs:
            version = int(explainer.computation(table, key)["delta_version"])
            before = _read(lake, table, key, version, outcome.notes)
            outcome.tables.append(compare(table, before, scratch.read(table, key)))
    return outcome


@contextmanager
def _scratch(study: Study) -> Iterator[Lake]:
    with tempfile.TemporaryDirectory(prefix="affectlake-recompute-") as folder:
        lake = Lake(str(Path(folder) / "lake"), study.name)
        lake.prepare()
        yield lake


def _copy_sources(
    explainer: Explainer, recipe: Recipe, key: Key, done: dict[str, Any], scratch: Lake, notes: list[str]
) -> None:
    """Fill the scratch lake with what the computation read, as it was."""
    lake, versions = explainer.lake, json.loads(done["source_versions"])
    for table in recipe.used(explainer.study, key):
        if versions.get(table) is not None:
            for k in recipe.upstream(table, key, explainer.study):
                _copy(lake, scratch, table, k, versions[table], notes)
    for table in _BESIDE.get(recipe.name, ()):
        if lake.open(table) is not None:
            then = AsOf(moment=done["finished_at"])
            delta = then.open(lake, table)
            _copy(lake, scratch, table, key, 0 if delta is None else delta.version(), notes)
    for table in set(_OWN_PAST) & set(recipe.outputs):
        _copy(lake, scratch, table, key, int(done["delta_version"]) - 1, notes)


def _copy(lake: Lake, scratch: Lake, table: str, key: Key, version: int, notes: list[str]) -> None:
    frame = _read(lake, table, key, version, notes)
    if TABLES[table].append:
        scratch.append(table, frame)
    else:
        scratch.overwrite(table, frame, key)
    made_from = Stamp("", "", "{}")
    copied = scratch.version(table) or 0
    record(scratch, table, key, made_from, data_version(TABLES[table], frame), frame.height, copied, "copy")


def _read(lake: Lake, table: str, key: Key, version: int, notes: list[str]) -> pl.DataFrame:
    """A partition in a version; as it is now, with a note, where the files of that version are gone."""
    try:
        return lake.scan(table, key, version).collect().sort(TABLES[table].key)
    except (OSError, pl.exceptions.PolarsError, LakeError) as error:
        if "No such file" not in str(error) and not isinstance(error, FileNotFoundError | LakeError):
            raise
    note = f"version {version} of {table} cannot be read any more (vacuumed); version {lake.version(table)} is used"
    if note not in notes:
        notes.append(note)
    return lake.read(table, key)


def _say_what_changed(recipe: Recipe, key: Key, done: dict[str, Any], scratch: Lake, notes: list[str]) -> None:
    """Compare the ingredients: the fingerprint covers code, settings, files and the content of all sources."""
    if done["code_version"] != recipe.code_version:
        notes.append(f"the code has changed: {done['code_version']} then, {recipe.code_version} now")
        return
    again = Ledger(scratch).fingerprint(recipe.name, key)
    if again != done["fingerprint"] and not notes:
        notes.append("the study's settings, or the size or time of change of its files, are not those of then")


def compare(table: str, before: pl.DataFrame, again: pl.DataFrame) -> Compared:
    """Compare two partitions by key, without the columns that say how a row came to be."""
    contract = TABLES[table]
    values = [c for c in contract.columns if c.name not in (*contract.key, *contract.volatile)]
    both = before.join(again, on=contract.key, how="inner", suffix=" again", nulls_equal=True)
    differences: dict[str, Any] = {}
    close = True
    for column in values:
        old, new = both[column.name], both[f"{column.name} again"]
        differing = int(old.ne_missing(new).sum())
        if differing and column.dtype.is_numeric() and old.is_null().equals(new.is_null()):
            numbers = old.cast(pl.Float64)
            gap = _largest(numbers - new.cast(pl.Float64))
            differences[column.name] = gap
            close = close and gap <= _ROUNDING * _largest(numbers)
        elif differing:
            differences[column.name] = f"{differing} rows"
            close = False
    missing, extra = before.height - both.height, again.height - both.height
    return Compared(table, before.height, missing, extra, differences, close)


def _largest(numbers: pl.Series) -> float:
    return float(numbers.abs().max() or 0.0)  # type: ignore[arg-type]
