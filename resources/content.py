"""What a table says, as one hash: the same in whatever order, blocks and layout of memory it is read."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import polars as pl

from affectlake.tables import Table

_LETTERS = 3
"""First letters by which texts are parted: those that lead a key are hashes in hexadecimal."""


def data_version(table: Table, frame: pl.DataFrame) -> str:
    """Hash of what the rows say, whatever their order and without the columns that say how they came to be."""
    content = ContentHash(table)
    content.update(frame)
    return content.hexdigest()


def said(table: Table) -> list[str]:
    """The columns that say something, and not how it came to be."""
    return [name for name in table.column if name not in table.volatile]


class ContentHash:
    """Takes a table block by block; every row of a block has to come, by the table's key, after those before.

    Parameters
    ----------
    table : Table
        The contract.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        # each column has hashes of its own, so that it does not matter where one block ends and another one begins
        self._sinks: dict[str, hashlib.blake2b] = {}
        self.update(table.empty())

    def update(self, block: pl.DataFrame) -> None:
        """Take the next rows, in any order."""
        ordered = block.select(said(self._table)).sort(self._table.key)
        for name in ordered.columns:
            self._add(name, ordered[name])

    def hexdigest(self) -> str:
        """The hash of all that came."""
        whole = hashlib.blake2b(digest_size=16)
        for name in sorted(self._sinks):
            whole.update(name.encode() + b"\0" + self._sinks[name].digest())
        return whole.hexdigest()

    def _add(self, path: str, values: pl.Series) -> None:
        """Take what values are. Their bytes in memory differ with their history: a null's, masks without a null."""
        self._sink(path, "null").update(values.is_null().to_numpy().tobytes())
        values, dtype = values.drop_nulls(), values.dtype
        content = self._sink(path, "values")
        if dtype == pl.String:
            self._sink(path, "lengths").update(values.str.len_bytes().to_numpy().tobytes())
            content.update(values.str.join("").item().encode())
        elif dtype == pl.Binary:
            self._sink(path, "lengths").update(values.bin.size().to_numpy().tobytes())
            for value in values:
                content.update(value)
        elif isinstance(dtype, pl.List):
            self._sink(path, "lengths").update(values.list.len().to_numpy().tobytes())
            self._add(f"{path}[]", values.filter(values.list.len() > 0).explode())
        elif isinstance(dtype, pl.Struct):
            for field in dtype.fields:
                self._add(f"{path}.{field.name}", values.struct.field(field.name))
        else:
            content.update(values.to_physical().to_numpy().tobytes())

    def _sink(self, path: str, part: str) -> hashlib.blake2b:
        return self._sinks.setdefault(f"{path} {part}", hashlib.blake2b(digest_size=16))


def parts(frame: pl.LazyFrame, column: str, rows: int, weight: pl.Expr | None = None) -> list[pl.Expr]:
    """Conditions that part a frame by one column into blocks, in the order of that column.

    Parameters
    ----------
    frame : LazyFrame
        Is read twice, for its ends and for counts, and never held.
    column : str
        Whole numbers spread over their range, or hashes as text; no nulls. Rows of one value are never parted.
    rows : int
        Rows that a block may hold; a value with more of them, or a cluster of values, makes a larger one.
    weight : Expr, optional
        How much some rows count, as an aggregate; by default, how many they are.
    """
    values, weight = pl.col(column), pl.len() if weight is None else weight
    ends = frame.select(low=values.min(), high=values.max(), total=weight)
    low, high, total = ends.collect(engine="streaming").row(0)
    if low is None:
        return []
    if isinstance(low, str):
        start = values.str.head(_LETTERS)
    else:
        # bins of equal width hold about as many rows each: an eighth of a block
        width = max(1, (high - low + 1) * min(rows, 8 * total) // (8 * total))
        start = (values - low) // width * width + low
    starts: list[int | str] = []
    held = 0
    counts = frame.group_by(start=start).agg(n=weight).sort("start")
    for value, n in counts.collect(engine="streaming").iter_rows():
        if not starts or held + n > rows:
            starts.append(value)
            held = 0
        held += n
    dtype = frame.collect_schema()[column]
    bounds = [pl.lit(value, dtype) for value in starts]
    return [
        values >= first if following is None else (values >= first) & (values < following)
        for first, following in pairwise([*bounds, None])
    ]
