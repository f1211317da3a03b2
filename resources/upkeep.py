"""Upkeep of the lake: merging small files, removing old versions, and forgetting models and subjects.

What belongs here: what changes files and never what a query of today returns, and the removal of rows that a person
asked for. When it happens is the matter of ``maintain`` and its schedule alone, never of a run.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from affectlake.tables import TABLES
from resources.lake import FILES, Lake, partition_predicate, retry_commit
from resources.provenance import DIMENSIONS
from resources.study import Study

SCHEMA = pl.Schema(
    {
        "table": pl.String,
        "files_before": pl.Int64,
        "files_after": pl.Int64,
        "files_removed": pl.Int64,
        "note": pl.String,
    }
)


def maintain(lake: Lake, *, keep_days: int) -> pl.DataFrame:
    """Merge small files and remove those of versions older than ``keep_days``; queries of today answer the same.

    A table that is being overwritten at this moment wins over the merge and is left for the next time.

    Parameters
    ----------
    lake : Lake
    keep_days : int
        Versions younger than this can still be read. Files that a killed writer left behind go at the same age.

    Returns
    -------
    polars.DataFrame
        One row a table: ``table``, ``files_before``, ``files_after`` (of the newest version), ``files_removed`` (from
        storage), ``note`` (why it was not merged).
    """
    rows = []
    for table in lake.tables():
        delta = _open(lake, table)
        before, note = _files(delta), None
        try:
            delta.optimize.compact(writer_properties=FILES)
        except CommitFailedError:
            note = "is being written; merged the next time"
            delta = _open(lake, table)
        removed = delta.vacuum(retention_hours=24 * keep_days, dry_run=False, full=True)
        rows.append((table, before, _files(delta), len(removed), note))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def gone(lake: Lake, study: Study) -> pl.DataFrame:
    """Models and subjects that have rows and that the study does not have (any more).

    Returns
    -------
    polars.DataFrame
        Columns ``dimension`` (model or subject), ``name`` and ``table``, one row for each partition found.
    """
    kept = {"model": set(study.model_names), "subject": set(study.subjects)}
    rows = []
    for table in lake.tables():
        for dimension in set(DIMENSIONS) & set(TABLES[table].partition_by):
            names = {p[dimension] for p in _open(lake, table).partitions()}
            rows += [(dimension, name, table) for name in names - kept[dimension]]
    found = pl.DataFrame(rows, schema={"dimension": pl.String, "name": pl.String, "table": pl.String}, orient="row")
    return found.sort("dimension", "name", "table")


def forget(lake: Lake, found: pl.DataFrame, *, purge: bool) -> int:
    """Delete the rows of ``found`` (rows of :func:`gone`), and what the lake knows of their computations.

    Without the second, a subject that comes back would count as computed and have no rows.

    Parameters
    ----------
    lake : Lake
    found : polars.DataFrame
    purge : bool
        Remove all earlier versions of the tables concerned at once, so that nothing of the rows is left on disk; what
        other versions held is then beyond `--as-of` as well.

    Returns
    -------
    int
        Rows deleted.
    """
    deleted, touched = 0, set(found["table"])
    for dimension, name, table in found.select("dimension", "name", "table").iter_rows():
        deleted += _delete(lake, table, partition_predicate({dimension: name}))
    names = set(found["name"])
    for table in ("materializations", "exclusions"):
        for partition in _partitions_of(lake, table, names):
            deleted += _delete(lake, table, partition_predicate({"partition": partition}))
            touched.add(table)
    for table in touched if purge else ():
        _purge(lake, table)
    return deleted


AT_ONCE = {"delta.logRetentionDuration": "interval 0 days", "delta.deletedFileRetentionDuration": "interval 0 days"}
USUAL = {"delta.logRetentionDuration": "interval 30 days", "delta.deletedFileRetentionDuration": "interval 7 days"}
"""Delta's own; the first has no effect where a table keeps its log."""


def _purge(lake: Lake, table: str) -> None:
    """Remove all earlier versions of a table from disk.

    Its log goes too: it names the partitions of removed files, with the smallest and the largest of their values.
    """
    _open(lake, table).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    retry_commit(lambda: _open(lake, table).alter.set_table_properties(AT_ONCE))
    delta = _open(lake, table)
    delta.create_checkpoint()
    delta.cleanup_metadata()
    retry_commit(lambda: _open(lake, table).alter.set_table_properties(USUAL))
    if lake.is_local():
        for folder in sorted(Path(lake.uri(table)).rglob("*=*"), reverse=True):
            # a writer may have begun to fill it
            with suppress(OSError):
                folder.rmdir()


def _partitions_of(lake: Lake, table: str, names: Collection[str]) -> list[str]:
    """Partitions that a table of the lake's own affairs tells of and that belong to one of ``names``."""
    known = lake.scan(table).select("partition").unique().collect()["partition"]
    return sorted(p for p in known if set(p.split("|")) & set(names))


def _delete(lake: Lake, table: str, predicate: str) -> int:
    return retry_commit(lambda: int(_open(lake, table).delete(predicate)["num_deleted_rows"] or 0))


def _open(lake: Lake, table: str) -> DeltaTable:
    """A table to write through: the lake's own, which readers share, would move on under them."""
    return DeltaTable(lake.uri(table))


def _files(delta: DeltaTable) -> int:
    return len(delta.file_uris())
