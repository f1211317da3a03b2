"""Time travel: which version of each table a question is about.

Delta keeps the versions of a table until ``affectlake maintain`` removes their files. A moment is resolved by the times
that stand in the commits, which a copied lake keeps, not by those of files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from affectlake.errors import LakeError
from affectlake.tables import TABLES
from resources.lake import Lake

if TYPE_CHECKING:
    from deltalake import DeltaTable

_REMEDY = "Give a time such as 2026-03-01T12:00, TABLE=VERSION, or a version where one table is asked."


@dataclass(frozen=True)
class AsOf:
    """What the tables are looked at as of; a table without a version of its own is taken at the moment, else as it is.

    Attributes
    ----------
    moment : datetime, optional
        The newest version of each table that was written no later.
    versions : mapping of str to int
        Versions by table; these come before the moment.
    lone : int, optional
        Version of the one table that a statement reads; versions of different tables have nothing in common.
    """

    moment: datetime | None = None
    versions: Mapping[str, int] = field(default_factory=dict)
    lone: int | None = None

    @classmethod
    def parse(cls, words: Iterable[str]) -> AsOf:
        """Read what stands after ``--as-of``: times, ``TABLE=VERSION`` and whole numbers.

        Raises
        ------
        LakeError
            A word is none of these, or names a table that there is not.
        """
        moment, versions, lone = None, {}, None
        for word in words:
            table, equals, number = word.partition("=")
            if equals and number.isdecimal():
                if table not in TABLES:
                    raise LakeError(f"there is no table {table!r}", remedy=f"Known tables: {', '.join(TABLES)}.")
                versions[table] = int(number)
            elif word.isdecimal() and len(word) < 8:  # eight digits are a day
                lone = int(word)
            else:
                moment = _moment(word)
        return cls(moment, versions, lone)

    def for_tables(self, tables: Iterable[str]) -> AsOf:
        """The same for a statement that reads ``tables``: a version without a name belongs to its only one.

        Raises
        ------
        LakeError
            There is such a version, and the statement reads no table or several.
        """
        if self.lone is None:
            return self
        read = sorted(tables)
        if len(read) != 1:
            listed = ", ".join(read) or "no table"
            raise LakeError(f"version {self.lone} of which table? The statement reads {listed}", remedy=_REMEDY)
        return AsOf(self.moment, {read[0]: self.lone, **self.versions})

    def open(self, lake: Lake, table: str) -> DeltaTable | None:
        """The table as it was; None where nothing is asked of it and it has not been written.

        Raises
        ------
        LakeError
            The table was not there then, or has no such version.
        """
        delta = lake.open(table)
        if table not in self.versions and self.moment is None:
            return delta
        if delta is None:
            raise LakeError("has never been written", where=f"table {table}")
        return lake.open(table, self._version(delta, table))

    def _version(self, delta: DeltaTable, table: str) -> int:
        if table in self.versions:
            wanted, newest = self.versions[table], delta.version()
            if wanted > newest:
                raise LakeError(f"has no version {wanted}; the newest is {newest}", where=f"table {table}")
            return wanted
        written = {int(c["version"]): _time(c["timestamp"]) for c in delta.history()}
        known = [version for version, time in written.items() if self.moment is not None and time <= self.moment]
        if not known:
            first = written[min(written)].isoformat(timespec="seconds")
            raise LakeError(
                f"was not there at {self.moment:%Y-%m-%dT%H:%M:%S%z}; its oldest version that is still listed is of "
                f"{first}",
                where=f"table {table}",
                remedy="Ask for a later time.",
            )
        return max(known)


def _moment(word: str) -> datetime:
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise LakeError(f"--as-of does not know what {word!r} is", remedy=_REMEDY) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def tables_read(statement: str) -> list[str]:
    """Tables whose names stand in a statement, comments apart, in the order of the contracts."""
    code = re.sub(r"--[^\n]*|/\*.*?\*/", " ", statement, flags=re.DOTALL)
    words = set(re.findall(r"\w+", code.lower()))
    return [name for name in TABLES if name in words]
