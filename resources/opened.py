"""The lake in a notebook: tables as polars frames and DuckDB relations, now and as of then. Read-only."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from pathlib import Path

import duckdb
import polars as pl

import sql
from affectlake.errors import LakeError
from affectlake.tables import TABLES, Table
from resources.asof import AsOf
from resources.lake import Lake
from resources.query import check_select, connect, query, refusal
from resources.study import Study, lake_root, load_study


class OpenLake:
    """The tables of one study.

    ``lake["encoding_scores"]`` and ``lake.encoding_scores`` are polars LazyFrames; ``lake.sql("SELECT ...")`` is a
    DuckDB relation, ``lake.query("leaderboard")`` the rows of a named query.
    """

    def __init__(self, study: Study, lake: Lake, as_of: AsOf | None = None) -> None:
        self.study, self._lake, self._as_of = study, lake, as_of or AsOf()

    @property
    def tables(self) -> list[str]:
        """Tables that have been written."""
        return self._lake.tables()

    def contract(self, table: str) -> Table:
        """What a table's rows, columns, units and keys are."""
        self._lake.uri(table)
        return TABLES[table]

    def __getitem__(self, table: str) -> pl.LazyFrame:
        """A table as a lazy frame; without rows where it has not been written."""
        delta = self._as_of.open(self._lake, table)
        return self._lake.scan(table, version=None if delta is None else delta.version())

    def __getattr__(self, table: str) -> pl.LazyFrame:
        if table not in TABLES:
            raise AttributeError(f"there is no table {table!r}; known tables: {', '.join(TABLES)}")
        return self[table]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *TABLES]

    def __repr__(self) -> str:
        then = "" if self._as_of == AsOf() else f" as of {self._as_of.moment or dict(self._as_of.versions)}"
        return f"<lake of {self.study.name} at {self._lake.root}{then}: {', '.join(self.tables)}>"

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return connect(self._lake, self.study, self.tables, self._as_of)

    def sql(self, statement: str, **parameters: object) -> duckdb.DuckDBPyRelation:
        """One ``SELECT`` as a relation, which goes on: ``.filter(...)``, ``.pl()``, ``.df()``, ``.arrow()``.

        Parameters
        ----------
        statement : str
            SQL in DuckDB's dialect over the tables, ``study_models`` and ``study_subjects``.
        **parameters
            Values of ``$name``, bound.

        Raises
        ------
        LakeError
            The statement is wrong, is not a query, or asks for something outside the lake.
        """
        check_select(statement)
        try:
            return self._connection.sql(statement, params=parameters or None)
        except duckdb.Error as error:
            raise refusal(error) from None

    def query(self, name: str, **parameters: str) -> pl.DataFrame:
        """The rows of a named query of ``sql/``.

        Raises
        ------
        LakeError
            There is none of that name, or a parameter is missing or unknown.
        """
        named = sql.named(name)
        values = named.bind(parameters)
        return query(self._lake, self.study, named.text, values or None, as_of=self._as_of)

    def as_of(self, when: str | datetime | None = None, **versions: int) -> OpenLake:
        """The tables as they were at a time (UTC where it names no zone), or in versions: ``as_of(judgments=6)``.

        Raises
        ------
        LakeError
            The time cannot be read, or there is no such table.
        """
        for table in versions:
            self._lake.uri(table)
        moment = AsOf.parse([str(when)]).moment if when is not None else None
        if when is not None and moment is None:
            raise LakeError(f"{when!r} is no time", remedy="Versions are given by table, as in as_of(judgments=6).")
        return OpenLake(self.study, self._lake, AsOf(moment, versions))


def open_lake(study: str | Path | Study | None = None) -> OpenLake:
    """Open the lake of a study file; of the one that AFFECTLAKE_STUDY names, else the demo's, where none is given."""
    found = study if isinstance(study, Study) else load_study(None if study is None else _file(Path(study)))
    return OpenLake(found, Lake(lake_root(found), found.name))


def _file(path: Path) -> Path:
    return path / "study.yaml" if path.is_dir() else path
