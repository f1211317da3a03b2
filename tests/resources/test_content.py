"""What a table says is one hash, however it is read; and a table is parted into blocks without losing a row."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain, pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlake.tables import EMBEDDINGS, TABLES, Table
from resources.content import ContentHash, data_version, parts

FRAMES, ATTEMPTS = TABLES["frames"], TABLES["attempts"]


def made_up(table: Table, n: int) -> pl.DataFrame:
    """Rows with keys in order and, of every type that tables have, values with nulls and empty ones among them."""

    def column(dtype: pl.DataType, name: str) -> list[object]:
        places = range(n)
        if name == table.leading:
            return [f"{i:04d}" if dtype == pl.String else i for i in places]
        if name in table.partition_by:
            return ["m"] * n
        if dtype == pl.String:
            return [None if i % 5 == 1 and name not in table.key else "ä" * (i % 4) for i in places]
        if dtype == pl.Binary:
            return [bytes(range(i % 7)) for i in places]
        if isinstance(dtype, pl.List):
            return [[0.5 * i] * (i % 3) for i in places]
        return [None if i % 4 == 2 and name not in table.key else i % 2 for i in places]

    values = {c.name: pl.Series(c.name, column(c.dtype, c.name), strict=False).cast(c.dtype) for c in table.columns}
    return pl.DataFrame(values)


@given(st.sampled_from([FRAMES, ATTEMPTS, EMBEDDINGS]), st.lists(st.integers(0, 30), max_size=6))
def test_the_hash_is_the_same_however_a_table_is_cut_into_blocks(table: Table, cuts: list[int]) -> None:
    frame = made_up(table, 30)
    content = ContentHash(table)
    for start, end in pairwise(sorted({0, 30, *cuts})):
        content.update(frame[start:end].sample(fraction=1, shuffle=True, seed=start))
    assert content.hexdigest() == data_version(table, frame)


@pytest.mark.parametrize("table", [FRAMES, ATTEMPTS, EMBEDDINGS], ids=lambda table: table.name)
def test_the_hash_tells_any_change_of_a_value_that_says_something(table: Table) -> None:
    frame = made_up(table, 30)
    seen = {data_version(table, frame), data_version(table, frame[1:]), data_version(table, table.empty())}
    changed = 0
    for name, dtype in table.schema.items():
        other = pl.Series(name, [frame[name][4]], dtype=dtype)
        moved = pl.concat([frame[name][:3], other, frame[name][4:]])
        if moved.equals(frame[name], null_equal=True) or name in table.key:
            continue
        version = data_version(table, frame.with_columns(moved))
        assert (version in seen) == (name in table.volatile), name
        seen.add(version)
        changed += name not in table.volatile
    assert changed


def test_a_value_that_moves_to_its_neighbour_is_another_content() -> None:
    """``ab`` and ``c`` are not ``a`` and ``bc``; nor is a null at another row the same null."""
    frame = made_up(ATTEMPTS, 4)
    versions = {
        data_version(ATTEMPTS, frame.with_columns(pl.Series("raw", raw, dtype=pl.String)))
        for raw in (["ab", "c", "", ""], ["a", "bc", "", ""], ["ab", "c", None, ""], ["ab", "c", "", None])
    }
    assert len(versions) == 4


IDS = st.lists(st.integers(-(2**62), 2**62 - 1) | st.integers(0, 100), max_size=60)


@given(IDS, st.integers(1, 20) | st.just(250_000), st.integers(1, 3))
def test_every_row_is_in_exactly_one_block_and_blocks_come_in_order(ids: list[int], rows: int, weight: int) -> None:
    frame = pl.DataFrame({"id": pl.Series(ids, dtype=pl.Int64), "n": pl.Series([weight] * len(ids), dtype=pl.Int64)})
    found = [frame.filter(part)["id"].to_list() for part in parts(frame.lazy(), "id", rows, pl.col("n").sum())]
    assert sorted(chain(*found)) == sorted(ids)
    assert all(max(before) < min(after) for before, after in pairwise(found))


def test_blocks_of_spread_ids_are_as_large_as_they_may_be() -> None:
    ids = pl.select(id=pl.int_range(0, 100_000) * 977 % 1_000_003)
    for column in (ids, ids.select(pl.col("id").hash(0).map_elements(lambda h: f"{h:016x}", pl.String))):
        heights = [column.filter(part).height for part in parts(column.lazy(), "id", 10_000)]
        assert sum(heights) == 100_000
        assert max(heights) <= 10_000
        assert len(heights) <= 13


def test_the_command_gives_memory_back_sooner_unless_the_user_says_otherwise() -> None:
    show = "import dagster_project, os, sys; print('polars' in sys.modules, os.environ['_RJEM_MALLOC_CONF'])"
    for mine, said in ((None, "False dirty_decay_ms:100,muzzy_decay_ms:0"), ("narenas:3", "False narenas:3")):
        environment = {k: v for k, v in os.environ.items() if k != "_RJEM_MALLOC_CONF"}
        environment |= {} if mine is None else {"_RJEM_MALLOC_CONF": mine}
        command = [sys.executable, "-c", show]
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == said
