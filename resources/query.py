"""Read-only SQL over the lake: DuckDB on Arrow datasets of the Delta tables.

The engine can reach nothing but the registered tables: no file, no network, no extension, no setting.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pyarrow as pa

from affectlake.errors import LakeError
from affectlake.tables import TABLES
from resources.lake import Lake
from resources.study import Study

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deltalake import DeltaTable
    from pyarrow.dataset import Dataset

MEMORY_LIMIT = "4GB"
TIME_LIMIT_S = 300.0


def query(
    lake: Lake,
    study: Study,
    statement: str,
    parameters: Sequence[object] | Mapping[str, object] | None = None,
    *,
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
    time_limit_s : float
        The statement is interrupted after so many seconds.

    Raises
    ------
    LakeError
        The statement is wrong, is not a query, asks for something outside the lake, or exceeds a limit.
    """
    connection = duckdb.connect(":memory:")
    try:
        statements = _parse(connection, statement)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise LakeError("only one SELECT is answered", remedy="The lake is written by materializing assets.")
        _register(connection, lake, statement)
        _register_study(connection, study)
        _lock(connection)
        return _run(connection, statement, parameters, time_limit_s)
    finally:
        connection.close()


def _parse(connection: duckdb.DuckDBPyConnection, statement: str) -> list[duckdb.Statement]:
    try:
        return connection.extract_statements(statement)
    except duckdb.Error as error:
        raise _refusal(error) from None


def _register(connection: duckdb.DuckDBPyConnection, lake: Lake, statement: str) -> None:
    """Make the tables known that the statement mentions."""
    words = set(re.findall(r"\w+", statement.lower()))
    for name, contract in TABLES.items():
        if name in words:
            delta = lake.open(name)
            connection.register(name, contract.empty().to_arrow() if delta is None else _dataset(delta))


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
        f"SET memory_limit = '{MEMORY_LIMIT}'",
        "SET temp_directory = ''",
        "SET python_enable_replacements = false",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(setting)


def _run(
    connection: duckdb.DuckDBPyConnection,
    statement: str,
    parameters: Sequence[object] | Mapping[str, object] | None,
    time_limit_s: float,
) -> pl.DataFrame:
    timer = threading.Timer(time_limit_s, connection.interrupt)
    timer.start()
    try:
        return pl.DataFrame(connection.sql(statement, params=parameters).to_arrow_table())
    except duckdb.InterruptException:
        raise LakeError(
            f"took longer than {time_limit_s:g} s and was stopped", remedy="Ask for less at once."
        ) from None
    except duckdb.Error as error:
        raise _refusal(error) from None
    finally:
        timer.cancel()


def _refusal(error: duckdb.Error) -> LakeError:
    return LakeError(" ".join(str(error).split()))
