"""Read-only SQL over the lake: DuckDB on Arrow datasets of the Delta tables.

The engine can reach nothing but the registered tables: no file, no network, no extension, no setting.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pyarrow as pa

from affectlake.errors import LakeError
from affectlake.tables import TABLES
from resources.asof import AsOf, tables_read
from resources.lake import Lake
from resources.study import Study

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from deltalake import DeltaTable
    from pyarrow.dataset import Dataset

    Parameters = Sequence[object] | Mapping[str, object]

MEMORY_BYTES = 4 * 10**9
TIME_LIMIT_S = 300.0
ANSWER_LIMIT = 2**30
"""Bytes of an answer; the engine's memory limit does not count what it has handed over."""
_BATCH_ROWS = 100_000


def query(
    lake: Lake,
    study: Study,
    statement: str,
    parameters: Parameters | None = None,
    *,
    as_of: AsOf | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> pl.DataFrame:
    """Run one ``SELECT`` over the lake's tables.

    Parameters
    ----------
    lake : Lake
    study : Study
        Gives the tables ``study_models`` (model, control) and ``study_subjects`` (subject): rows of models and subjects
        that left the study stay in the lake, and the named queries leave them out by these.
    statement : str
        SQL in DuckDB's dialect; tables have the names of :mod:`affectlake.tables`.
    parameters : sequence or mapping, optional
        Values bound to the statement's placeholders.
    as_of : AsOf, optional
        Versions of the tables that are asked; the newest ones where absent.
    time_limit_s : float
        The statement is interrupted after so many seconds.

    Raises
    ------
    LakeError
        The statement is wrong, is not a query, asks for something outside the lake, or exceeds a limit.
    """
    check_select(statement)
    connection = connect(lake, study, tables_read(statement), as_of)
    try:
        return _run(connection, statement, parameters, time_limit_s)
    finally:
        connection.close()


def check_select(statement: str) -> None:
    """Refuse anything but one ``SELECT``.

    Raises
    ------
    LakeError
        The statement is several, another one, or none.
    """
    with duckdb.connect(":memory:") as connection:
        try:
            kinds = [s.type for s in connection.extract_statements(statement)]
        except duckdb.Error as error:
            raise refusal(error) from None
        except ValueError:  # the engine has kinds of statements that its Python side has no name for
            kinds = []
    if kinds != [duckdb.StatementType.SELECT]:
        raise LakeError("only one SELECT is answered", remedy="The lake is written by materializing assets.")


def connect(lake: Lake, study: Study, tables: Iterable[str], as_of: AsOf | None = None) -> duckdb.DuckDBPyConnection:
    """A connection that knows ``tables`` and the study's models and subjects, and can reach nothing else.

    Raises
    ------
    LakeError
        A table is another study's, or was not there as of then.
    """
    names = list(tables)
    then = (as_of or AsOf()).for_tables(names)
    connection = duckdb.connect(":memory:")
    try:
        for name in names:
            delta = then.open(lake, name)
            connection.register(name, TABLES[name].empty().to_arrow() if delta is None else _dataset(delta))
        _register_study(connection, study)
        _lock(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _dataset(delta: DeltaTable) -> Dataset:
    """A table as an Arrow dataset, into which DuckDB pushes columns and conditions.

    DuckDB 2.0 writes the texts of its conditions as string views, and pyarrow compares those with nothing else.
    """
    known = pa.schema(delta.schema().to_arrow())
    fields = [f.with_type(pa.string_view()) if pa.types.is_string(f.type) else f for f in known]
    return delta.to_pyarrow_dataset(schema=pa.schema(fields))


def _register_study(connection: duckdb.DuckDBPyConnection, study: Study) -> None:
    models = [(m.name, m.control) for m in study.models]
    rows = pl.DataFrame(models, schema={"model": pl.String, "control": pl.Boolean}, orient="row")
    connection.register("study_models", rows.to_arrow())
    subjects = pl.DataFrame({"subject": list(study.subjects)}, schema={"subject": pl.String})
    connection.register("study_subjects", subjects.to_arrow())


def _lock(connection: duckdb.DuckDBPyConnection) -> None:
    for setting in (
        f"SET memory_limit = '{MEMORY_BYTES}B'",
        "SET temp_directory = ''",
        "SET python_enable_replacements = false",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(setting)


def _run(
    connection: duckdb.DuckDBPyConnection, statement: str, parameters: Parameters | None, time_limit_s: float
) -> pl.DataFrame:
    timer = threading.Timer(time_limit_s, connection.interrupt)
    timer.start()
    try:
        return _fetch(connection.sql(statement, params=parameters))
    except duckdb.InterruptException:
        raise LakeError(
            f"took longer than {time_limit_s:g} s and was stopped", remedy="Ask for less at once."
        ) from None
    except (duckdb.Error, OSError, pa.ArrowException) as error:
        raise refusal(error) from None
    finally:
        timer.cancel()


def _fetch(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """The whole answer, unless it is too large."""
    reader = relation.to_arrow_reader(_BATCH_ROWS)
    batches, size = [], 0
    for batch in reader:
        batches.append(batch)
        size += batch.nbytes
        if size > ANSWER_LIMIT:
            raise LakeError(
                f"the answer is larger than {ANSWER_LIMIT / 2**30:g} GB",
                remedy="Ask for fewer rows or columns, or read the table with affectlake.open_lake().",
            )
    return pl.DataFrame(pa.Table.from_batches(batches, reader.schema))


def refusal(error: Exception) -> LakeError:
    """What the engine says, on one line; a version whose files are gone is called that."""
    text = " ".join(str(error).split())
    if "No such file" in text or "FileNotFound" in text:
        return LakeError(
            "the files of this version are gone: `affectlake maintain` removes those of old versions",
            remedy="Ask for a newer version.",
        )
    return LakeError(text)
