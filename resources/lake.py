"""The lake: Delta tables under one root, written by their contracts.

What belongs here: creating, reading and writing tables, safe against concurrent writers. What does not: what the tables
mean (:mod:`affectlake.tables`) and when they are written (``assets``).

Found by experiment on delta-rs 1.6 (see the tests): a predicate overwrite of one partition never disturbs another one;
the table must exist before the first one, or rows are not checked against the predicate; appends may lose a race
against an overwrite and are simply tried again.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from affectlake.errors import ContractError, LakeError
from affectlake.tables import TABLES, Table
from resources.content import ContentHash, parts, said
from resources.objectstore import is_object_store, store_errors

T = TypeVar("T")
Partition = Mapping[str, str]

_LABEL = "affectlake study "
_COMMIT_ATTEMPTS = 8


def retry_commit(write: Callable[[], T], attempts: int = _COMMIT_ATTEMPTS) -> T:
    """Run ``write`` again after a lost race for a commit, with a growing, random pause.

    Raises
    ------
    LakeError
        The race was lost ``attempts`` times.
    """
    for attempt in range(attempts):
        try:
            return write()
        except CommitFailedError as error:
            lost = error
        time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - a pause, not a secret
    raise LakeError(
        f"another writer won {attempts} times in a row ({lost})",
        remedy="Run again when fewer runs write to this table.",
    )


def partition_predicate(partition: Partition) -> str:
    """SQL predicate that selects exactly one partition; the only place where one is built."""
    if not partition:
        raise LakeError("a predicate needs at least one partition column")
    for column in partition:
        if not re.fullmatch(r"[a-z_]+", column):
            raise LakeError(f"{column!r} is not the name of a partition column")
    return " AND ".join(
        f"{column} = '{value.replace(chr(39), chr(39) * 2)}'" for column, value in sorted(partition.items())
    )


BLOCK_ROWS = 20_000
"""Rows that are hashed at a time."""

FILES = WriterProperties(compression="ZSTD", max_row_group_size=131_072)
"""Rows of a group are unpacked together: who reads a block of a long table unpacks no more than that around it."""

LOG = {"delta.checkpointInterval": "20", "delta.enableExpiredLogCleanup": "false"}
"""Each opening reads the commits since the last summary of a log: 100, as is usual, take 30 MB of a run that asks. With
a summary Delta drops commits of more than a month, the one that was in force yesterday among them; ours stay."""


class Lake:
    """Delta tables under one root.

    Parameters
    ----------
    root : str
        A local folder or the address of a folder in an object store (``s3://bucket/lake``). Credentials of an object
        store come from the environment and are never kept here.
    study : str
        Name of the study that the lake belongs to; another study's lake is refused.

    Every method that touches an object store raises :class:`~affectlake.errors.LakeError` where it refuses.
    """

    def __init__(self, root: str, study: str) -> None:
        self.root, self.study = root.rstrip("/"), study

    def uri(self, table: str) -> str:
        """Address of a table."""
        if table not in TABLES:
            raise LakeError(f"there is no table {table!r}", remedy=f"Known tables: {', '.join(TABLES)}.")
        return f"{self.root}/{table}"

    def open(self, table: str, version: int | None = None) -> DeltaTable | None:
        """The Delta table, or None where nothing has been written yet. Readers share it: nobody writes through it.

        Raises
        ------
        LakeError
            The table is another study's, or ``version`` is not there (any more).
        """
        try:
            with store_errors(self.root):
                newest = version is None and self.is_local()
                delta = _newest(self.uri(table)) if newest else DeltaTable(self.uri(table), version=version)
        except DeltaError as error:
            if version is not None:
                raise LakeError(
                    f"version {version} is not there, or not any more ({str(error).splitlines()[0]})",
                    where=f"table {table}",
                    remedy="Ask for a newer version; `affectlake maintain` removes old ones.",
                ) from None
            if isinstance(error, TableNotFoundError):
                return None
            raise
        owner = (delta.metadata().description or "").removeprefix(_LABEL).partition(":")[0]
        if owner != self.study:
            raise LakeError(
                f"this lake belongs to the study {owner!r}, not to {self.study!r}",
                where=self.uri(table),
                remedy="Set AFFECTLAKE_LAKE to another folder, or use the study file that the lake was made with.",
            )
        return delta

    def version(self, table: str) -> int | None:
        """Newest Delta version of a table, or None where nothing has been written yet."""
        delta = self.open(table)
        return None if delta is None else delta.version()

    def scan(self, table: str, partition: Partition | None = None, version: int | None = None) -> pl.LazyFrame:
        """A table as a lazy frame pinned to one version and pruned to ``partition``; empty where it does not exist."""
        delta = self.open(table, version)
        if delta is None:
            return TABLES[table].empty().lazy()
        frame = pl.scan_delta(delta)
        for column, value in (partition or {}).items():
            frame = frame.filter(pl.col(column) == value)
        return frame

    def read(self, table: str, partition: Partition | None = None) -> pl.DataFrame:
        """A table, or one partition of it, in memory and in the order of its key."""
        return self.scan(table, partition).collect().sort(TABLES[table].key)

    def content(self, table: str, partition: Partition | None = None) -> tuple[str, int]:
        """The data version of a partition and its rows, with one block of it in memory at a time."""
        contract = TABLES[table]
        frame, leading = self.scan(table, partition).select(said(contract)), contract.leading
        content, n = ContentHash(contract), 0
        for condition in [pl.lit(True)] if leading is None else parts(frame, leading, BLOCK_ROWS):
            block = frame.filter(condition).collect()
            content.update(block)
            n += block.height
        return content.hexdigest(), n

    def overwrite(self, table: str, frame: pl.DataFrame, partition: Partition | None = None, run_id: str = "") -> int:
        """Replace one partition, or the whole of an unpartitioned table; returns the new Delta version.

        Raises
        ------
        ContractError
            The frame breaks the table's contract or holds rows of another partition; nothing was written.
        """
        contract = TABLES[table]
        frame = contract.validate(frame)
        partition = dict(partition or {})
        if set(partition) != set(contract.partition_by):
            raise LakeError(
                f"is partitioned by {contract.partition_by or 'nothing'}, not by {tuple(partition) or 'nothing'}",
                where=f"table {table}",
            )
        _check_partition(contract, frame, partition)
        self._ensure(contract)
        predicate = partition_predicate(partition) if partition else None

        def write() -> None:
            write_deltalake(
                self.uri(table),
                frame,
                mode="overwrite",
                predicate=predicate,
                commit_properties=_commit(run_id),
                writer_properties=FILES,
            )

        self._write(write)
        return self._version_after(table)

    def append(self, table: str, frame: pl.DataFrame, run_id: str = "") -> int:
        """Add the rows whose key is new; returns how many were.

        The anti-join reads the partitions and the range of first keys that ``frame`` touches, so that a chunk sorted by
        key costs the same however long the table is, and holds the keys of its own rows, so that one row that comes
        late does not bring the whole table into memory. It is not atomic with the write: one writer a partition.
        """
        contract = TABLES[table]
        frame = contract.validate(frame)
        if not contract.append:
            raise LakeError("is overwritten by partition, never appended to", where=f"table {table}")
        if frame.is_empty():
            return 0
        self._ensure(contract)
        new = frame.join(self._known_keys(contract, frame), on=contract.key, how="anti", nulls_equal=True)
        if new.height:
            self._write(
                lambda: write_deltalake(
                    self.uri(table), new, mode="append", commit_properties=_commit(run_id), writer_properties=FILES
                )
            )
        return new.height

    def _known_keys(self, contract: Table, frame: pl.DataFrame) -> pl.DataFrame:
        known = self.scan(contract.name)
        for column in contract.partition_by:
            known = known.filter(pl.col(column).is_in(frame[column].unique().implode()))
        if (leading := contract.leading) is not None:
            known = known.filter(pl.col(leading).is_between(pl.lit(frame[leading].min()), pl.lit(frame[leading].max())))
            known = known.filter(pl.col(leading).is_in(frame[leading].unique().implode()))
        return known.select(contract.key).collect()

    def _ensure(self, contract: Table) -> None:
        """Create the table with its constraints, unless it stands already."""
        delta = self.open(contract.name)
        wanted = dict(contract.constraints)
        if delta is None:
            found = Schema.from_arrow(contract.empty().schema).fields
            fields = [Field(f.name, f.type, nullable=contract.column[f.name].nullable) for f in found]
            self._write(
                lambda: DeltaTable.create(
                    self.uri(contract.name),
                    schema=Schema(fields),
                    partition_by=list(contract.partition_by),
                    mode="ignore",
                    name=contract.name,
                    configuration=LOG,
                    description=f"{_LABEL}{self.study}: {contract.doc}",
                )
            )
        elif set(delta.schema().to_arrow().names) != {c.name for c in contract.columns}:
            raise LakeError(
                "was written by another version of affectlake with other columns",
                where=self.uri(contract.name),
                remedy="Use a new lake (set AFFECTLAKE_LAKE) or the affectlake version that wrote this one.",
            )
        if wanted and (delta is None or _lacking(delta, wanted)):
            self._write(lambda: self._constrain(contract.name, wanted))

    def _write(self, write: Callable[[], object]) -> None:
        with store_errors(self.root):
            retry_commit(write)

    def _constrain(self, table: str, wanted: Mapping[str, str]) -> None:
        delta = DeltaTable(self.uri(table))
        if missing := _lacking(delta, wanted):
            delta.alter.add_constraint(missing)

    def _version_after(self, table: str) -> int:
        version = self.version(table)
        if version is None:
            raise LakeError("vanished after it was written", where=self.uri(table))
        return version

    def is_local(self) -> bool:
        """True where the root is a folder of this machine."""
        return not is_object_store(self.root)

    def tables(self) -> list[str]:
        """Names of the tables that have been written, in the order of the contracts."""
        return [name for name in TABLES if self.open(name) is not None]

    def prepare(self) -> None:
        """Make the root folder where it is local, and refuse another study's lake."""
        if self.is_local():
            Path(self.root).mkdir(parents=True, exist_ok=True)
        self.open("materializations")


_opened: dict[str, tuple[DeltaTable, object]] = {}
"""Local tables as this process read their logs last, with what told their newest commit."""


def _newest(uri: str) -> DeltaTable:
    """The newest version of a local table; its log, which takes 20 ms, is read again only where it has grown."""
    delta, mark = _opened.get(uri, (None, None))
    if delta is None or mark is None or mark != _mark(uri, delta.version()):
        delta = DeltaTable(uri)
        _opened[uri] = delta, _mark(uri, delta.version())
    return delta


def _mark(uri: str, version: int) -> object:
    """What tells a version from another table's at the same place; None where it is not the newest, or not known."""
    if _log_entry(uri, version + 1).exists():
        return None
    try:
        commit = _log_entry(uri, version).stat()
    except OSError:
        return None
    return commit.st_ino, commit.st_mtime_ns, commit.st_size


def _log_entry(uri: str, version: int) -> Path:
    return Path(uri) / "_delta_log" / f"{version:020d}.json"


def _lacking(delta: DeltaTable, wanted: Mapping[str, str]) -> dict[str, str]:
    """The constraints that a table does not have yet."""
    have = delta.metadata().configuration
    return {k: v for k, v in wanted.items() if f"delta.constraints.{k}" not in have}


def _check_partition(contract: Table, frame: pl.DataFrame, partition: Partition) -> None:
    for column, value in partition.items():
        foreign = frame.filter(pl.col(column) != value)
        if foreign.height:
            raise ContractError(
                f"{foreign.height} rows belong to {foreign[column][0]!r}, but partition {value!r} is being written",
                where=f"table {contract.name}, column {column}",
            )


def _commit(run_id: str) -> CommitProperties:
    return CommitProperties(custom_metadata={"dagster_run_id": run_id} if run_id else None)
