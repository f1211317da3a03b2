"""From what a table's partition was computed, and whether that is still what it would be computed from.

A *recipe* states, for the assets that are computed together, which tables, settings, files and code decide the result.
Its *fingerprint* for one partition is a hash over all of them, with tables entering by the hash of their content. The
fingerprint of the newest computation stands in the table ``materializations``; what is current is a comparison of the
two. Tables, not the orchestrator's database, hold the facts, so that a new machine with an old lake recomputes nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path

import polars as pl

from affectlake.exclusions import WHOLE
from affectlake.tables import MATERIALIZATIONS, TABLES
from resources.lake import Lake
from resources.study import Study

Key = Mapping[str, str]
"""A partition: ``{}``, ``{"model": ...}``, ``{"subject": ...}`` or both."""

DIMENSIONS = ("model", "subject")


@dataclass(frozen=True)
class Recipe:
    """What decides the result of assets that are computed together.

    Attributes
    ----------
    outputs : tuple of str
        Tables written; the first one's contract says by what the computation is partitioned.
    inputs : tuple of str
        Tables read.
    code : tuple of str
        Modules that decide the result; what they import of the science and of the assets counts as well, and what
        an agent imports of the agents.
    settings : callable
        ``(study, key)`` to plain values that decide the result.
    files : callable
        ``(study, key)`` to files outside the lake that decide it.
    uses : callable, optional
        ``(study, key)`` to the inputs that matter for this partition; all of them where absent.
    models : callable, optional
        Where the computation is over several models: which of them it reads; all where absent.
    media : callable
        ``(study, key)`` to True where the clips' files matter; else only which clips there are, their items and
        canonical clips.
    settled : callable
        ``(recipe, study, key, ledger)`` to True where a partition counts as current though an input has changed.
    may_wait : bool
        True where a run may end well and without a result, since others have not delivered yet.
    applies : callable
        False for a study that lacks the section that this needs: what is absent is not built.
    """

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    code: tuple[str, ...]
    settings: Callable[[Study, Key], object] = lambda study, key: None
    files: Callable[[Study, Key], Iterable[Path]] = lambda study, key: ()
    uses: Callable[[Study, Key], tuple[str, ...]] | None = None
    models: Callable[[Study], set[str]] | None = None
    media: Callable[[Study, Key], bool] = lambda study, key: False
    settled: Callable[[Recipe, Study, Key, Ledger], bool] = lambda recipe, study, key, ledger: False
    may_wait: bool = False
    applies: Callable[[Study], bool] = lambda study: True

    @property
    def name(self) -> str:
        """The first output names the computation."""
        return self.outputs[0]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Dagster partition dimensions of the outputs."""
        return dimensions(self.name)

    def used(self, study: Study, key: Key) -> tuple[str, ...]:
        """Inputs that matter for one partition."""
        return self.uses(study, key) if self.uses else self.inputs

    def upstream(self, table: str, key: Key, study: Study) -> list[dict[str, str]]:
        """Partitions of an input that one partition is computed from."""
        chosen = self.models(study) if self.models else None
        return [k for k in upstream_keys(table, key, study) if chosen is None or k.get("model") in (None, *chosen)]

    @property
    def code_version(self) -> str:
        """Hash of the code, without comments and docstrings."""
        return code_version(self.code)


@dataclass(frozen=True)
class Stamp:
    """What a computation was made from; ``fingerprint`` is empty where it cannot be told."""

    fingerprint: str
    code_version: str
    source_versions: str


def dimensions(table: str) -> tuple[str, ...]:
    """The Dagster partition dimensions of a table, in the order of a multi-partition key."""
    return tuple(d for d in DIMENSIONS if d in TABLES[table].partition_by)


def partition_name(key: Key) -> str:
    """One partition as Dagster and the table ``materializations`` write it: ``-``, ``m``, ``s`` or ``m|s``."""
    return "|".join(key[d] for d in DIMENSIONS if d in key) or WHOLE


def keys(dims: Iterable[str], study: Study) -> list[dict[str, str]]:
    """All partitions over ``dims``, in the order of the study file."""
    found: list[dict[str, str]] = [{}]
    for dim in dims:
        values = study.model_names if dim == "model" else study.subjects
        found = [{**key, dim: value} for key in found for value in values]
    return found


def upstream_keys(table: str, key: Key, study: Study) -> list[dict[str, str]]:
    """Partitions of ``table`` that the partition ``key`` of something downstream is computed from."""
    return [k for k in keys(dimensions(table), study) if all(key.get(d, v) == v for d, v in k.items())]


class Ledger:
    """The newest computation of every partition, as the table ``materializations`` tells it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        delta = lake.open("materializations")
        self._newest = {} if delta is None else _newest(lake, str(delta.metadata().id), delta.version())

    def read_again(self) -> Ledger:
        """The ledger as it is now."""
        return Ledger(self.lake)

    def fingerprint(self, table: str, key: Key) -> str | None:
        """Fingerprint of the newest computation of a partition, or None where there is none."""
        row = self._newest.get((table, partition_name(key)))
        return None if row is None else str(row["fingerprint"])

    def data_version(self, table: str, key: Key) -> str | None:
        """Hash of a partition's content, or None where it has not been computed."""
        row = self._newest.get((table, partition_name(key)))
        return None if row is None else str(row["data_version"])

    def content(self, table: str, key: Key, *, media: bool) -> str | None:
        """Hash of what matters of a partition's content, or None where it has not been computed."""
        version = self.data_version(table, key)
        return version if media or version is None or table != "videos" else self._clips

    def data_version_at(self, table: str, key: Key, version: int) -> str | None:
        """Hash of a partition's content in a version of its table, or None where it had not been computed."""
        of_partition = (pl.col("table") == table) & (pl.col("partition") == partition_name(key))
        rows = self.lake.scan("materializations").filter(of_partition, pl.col("delta_version") <= version)
        newest = rows.sort("finished_at", "delta_version").last().select("data_version").collect()
        return None if newest.is_empty() else str(newest.item())

    @cached_property
    def _clips(self) -> str:
        """Which clips there are, whatever is known of their files."""
        clips = self.lake.read("videos").select("video_id", "item", "duplicate_of", left=pl.col("status") == "left")
        return hashlib.blake2b(clips.write_json().encode(), digest_size=16).hexdigest()

    def row(self, table: str, key: Key) -> Mapping[str, object] | None:
        """The newest computation of a partition."""
        return self._newest.get((table, partition_name(key)))


_Rows = Mapping[tuple[str, str], Mapping[str, object]]
_read: dict[str, tuple[str, int, _Rows]] = {}
"""The ledger of each lake as this process read it last: a version of a table never changes."""


def _newest(lake: Lake, table_id: str, version: int) -> _Rows:
    """The newest computation of every partition in one version of the table; read again for another version only."""
    known = _read.get(lake.root)
    if known is None or known[:2] != (table_id, version):
        rows = lake.scan("materializations", version=version).sort("finished_at", "delta_version").collect()
        known = (table_id, version, {(r["table"], r["partition"]): r for r in rows.iter_rows(named=True)})
        _read[lake.root] = known
    return known[2]


def fingerprint(
    recipe: Recipe, key: Key, study: Study, ledger: Ledger, as_of: Mapping[str, int] | None = None
) -> str | None:
    """Hash of what the partition ``key`` would be computed from now, or None where an input is not there yet.

    A computation over all models or subjects (one with fewer dimensions than its input) takes those that are there.
    Tables named in ``as_of`` enter with their content in that version.
    """

    def content(table: str, k: Key) -> str | None:
        if as_of and table in as_of:
            return ledger.data_version_at(table, k, as_of[table])
        return ledger.content(table, k, media=recipe.media(study, key))

    versions: dict[str, object] = {}
    for table in recipe.used(study, key):
        wanted = recipe.upstream(table, key, study)
        found = {partition_name(k): content(table, k) for k in wanted}
        have = {name: version for name, version in found.items() if version is not None}
        over_all = set(dimensions(table)) - set(key)
        if not have if over_all else len(have) < len(wanted):
            return None
        versions[table] = have
    ingredients = {
        "code": recipe.code_version,
        "settings": recipe.settings(study, key),
        "files": sorted({file_fingerprint(f) for f in recipe.files(study, key)}),
        "tables": versions,
    }
    return hashlib.blake2b(json.dumps(ingredients, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


def stamp(recipe: Recipe, key: Key, study: Study, lake: Lake) -> Stamp:
    """What a computation that starts now is made from."""
    sources = {table: lake.version(table) for table in recipe.used(study, key)}
    made_from = fingerprint(recipe, key, study, Ledger(lake))
    return Stamp(made_from or "", recipe.code_version, json.dumps(sources, sort_keys=True))


def record(lake: Lake, table: str, key: Key, made_from: Stamp, content: str, rows: int, version: int, run: str) -> None:
    """Write down that a partition was computed."""
    row = {
        "table": table,
        "partition": partition_name(key),
        "fingerprint": made_from.fingerprint,
        "data_version": content,
        "code_version": made_from.code_version,
        "source_versions": made_from.source_versions,
        "delta_version": version,
        "rows": rows,
        "run_id": run,
        "finished_at": datetime.now(UTC),
    }
    lake.append("materializations", pl.DataFrame([row], schema=MATERIALIZATIONS.schema), run)


def file_fingerprint(path: Path) -> str:
    """Name, size and time of change of a file: cheap. A change that keeps all three (``cp -p``) is not seen."""
    try:
        status = path.stat()
    except OSError:
        return f"{path.name}:absent"
    return f"{path.name}:{status.st_size}:{status.st_mtime_ns}"


@cache
def code_version(modules: tuple[str, ...]) -> str:
    """Hash of modules and of those that they import and that decide results, without comments and docstrings."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tree in sorted(_with_imports(modules).items()):
        digest.update(name.encode() + tree.encode())
    return digest.hexdigest()


def _with_imports(modules: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        tree, imported = _parse(name)
        found[name] = tree
        todo.extend(imported)
    return found


@cache
def _parse(module: str) -> tuple[str, tuple[str, ...]]:
    """The code of a module without docstrings, and the modules that it imports anywhere and that decide results."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    tree.body = [s for s in tree.body if not _is_for_types(s)] or [ast.Pass()]
    imported = {candidate for node in ast.walk(tree) for candidate in _imported(node) if _decides(candidate, module)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return ast.dump(tree), tuple(sorted(imported))


_FOLLOWED = ("affectlake.", "assets.")
_AGENTS = "resources.agents."
_NO_RESULT = (
    "assets._plots",
    "affectlake.tables",
    "affectlake.errors",
    "affectlake.exclusions",
    "assets._work",
    "assets._checks",
    "affectlake.checks",
    "assets.recipes",
    "resources.agents.protocol",
)
"""Contracts, messages and lists: they decide no value of a result, and nearly everything imports them."""


def _decides(candidate: str, importer: str) -> bool:
    """Whether what is imported is part of the importer's code: judgments stand between agents and all that follows."""
    followed = candidate.startswith(_FOLLOWED) or (candidate.startswith(_AGENTS) and importer.startswith(_AGENTS))
    return followed and candidate not in _NO_RESULT


def _is_for_types(statement: ast.stmt) -> bool:
    """Whether a statement is there for a type checker only: what it imports is never run."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        return [node.module, *(name for name in inner if _exists(name))]
    return []


@cache
def _exists(module: str) -> bool:
    if not module.startswith((*_FOLLOWED, _AGENTS)):
        return False
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
