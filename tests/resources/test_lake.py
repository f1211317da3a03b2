"""The lake: what a write guarantees, one partition at a time, with others writing too."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from affectlake.errors import ContractError, LakeError
from affectlake.tables import EMBEDDINGS, JUDGMENTS, RUN_SCORES, TABLES
from resources.content import data_version
from resources.lake import Lake, partition_predicate


def scores(subject: str, model: str, r: float = 0.5, runs: int = 3) -> pl.DataFrame:
    rows = [(subject, model, "amygdala", run, 40, r, r) for run in range(runs)]
    return pl.DataFrame(rows, schema=RUN_SCORES.schema, orient="row")


def answers(model: str, ids: list[int], odd: str = "c") -> pl.DataFrame:
    n = len(ids)
    frame = pl.DataFrame(
        {
            "triplet_id": pl.Series(ids, dtype=pl.Int64),
            "a": [0] * n,
            "b": [1] * n,
            "c": [2] * n,
            "odd": ["abc".index(odd)] * n,
        }
    )
    filled = {
        "model": model,
        "presented": "abc",
        "repeat": 0,
        "prompt_version": "v",
        "stimulus_version": "s",
        "judged_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    frame = frame.with_columns(pl.lit(v).alias(k) for k, v in filled.items())
    empty = {c: pl.lit(None) for c in JUDGMENTS.schema if c not in frame.columns}
    return frame.with_columns(**empty).select(pl.col(c).cast(t) for c, t in JUDGMENTS.schema.items())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), "mine")


def test_a_partition_is_replaced_and_its_neighbours_stay(lake: Lake) -> None:
    for subject in ("s1", "s2"):
        for model in ("m1", "m2"):
            lake.overwrite("run_scores", scores(subject, model), {"subject": subject, "model": model})
    lake.overwrite("run_scores", scores("s1", "m1", r=0.9, runs=1), {"subject": "s1", "model": "m1"})
    found = lake.read("run_scores").group_by("subject", "model").agg(pl.len(), pl.col("mean_r").max())
    assert sorted(found.rows()) == [
        ("s1", "m1", 1, 0.9),
        ("s1", "m2", 3, 0.5),
        ("s2", "m1", 3, 0.5),
        ("s2", "m2", 3, 0.5),
    ]


def test_rows_of_another_partition_are_refused_even_by_the_first_write(lake: Lake) -> None:
    with pytest.raises(ContractError, match="'s2', but partition 's1'"):
        lake.overwrite("run_scores", scores("s2", "m1"), {"subject": "s1", "model": "m1"})
    assert lake.version("run_scores") is None


def test_a_write_without_its_partition_is_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match="is partitioned by"):
        lake.overwrite("run_scores", scores("s1", "m1"), {"subject": "s1"})


def test_an_empty_result_empties_its_partition_only(lake: Lake) -> None:
    for subject in ("s1", "s2"):
        lake.overwrite("run_scores", scores(subject, "m"), {"subject": subject, "model": "m"})
    lake.overwrite("run_scores", RUN_SCORES.empty(), {"subject": "s1", "model": "m"})
    assert lake.read("run_scores")["subject"].unique().to_list() == ["s2"]


@pytest.mark.parametrize("value", ["x' OR '1'='1", "o'neil", "a b", "../..", "x'; DROP TABLE t --"])
def test_a_hostile_partition_value_selects_itself_alone(lake: Lake, value: str) -> None:
    lake.overwrite("run_scores", scores("s1", "m"), {"subject": "s1", "model": "m"})
    lake.overwrite("run_scores", scores(value, "m"), {"subject": value, "model": "m"})
    lake.overwrite("run_scores", RUN_SCORES.empty(), {"subject": value, "model": "m"})
    assert lake.read("run_scores").equals(scores("s1", "m"))


def test_a_predicate_is_never_empty_and_its_columns_are_names() -> None:
    with pytest.raises(LakeError):
        partition_predicate({})
    with pytest.raises(LakeError):
        partition_predicate({"1 = 1 OR subject": "s"})


def test_a_wrong_frame_is_refused_with_table_column_and_rows_and_nothing_is_written(lake: Lake) -> None:
    key = {"subject": "s1", "model": "m1"}
    lake.overwrite("run_scores", scores("s1", "m1"), key)
    before = lake.version("run_scores")
    wrong = {
        "column mean_r": scores("s1", "m1", r=float("nan")),
        "column n": scores("s1", "m1").with_columns(n=pl.lit(None, dtype=pl.Int32)),
        "is of type Int64": scores("s1", "m1").with_columns(pl.col("run").cast(pl.Int64)),
        "missing \\['roi'\\]": scores("s1", "m1").drop("roi"),
        "unknown \\['extra'\\]": scores("s1", "m1").with_columns(extra=1),
        "stands more than once in 6 rows": pl.concat([scores("s1", "m1")] * 2),
    }
    for message, frame in wrong.items():
        with pytest.raises(ContractError, match=message) as caught:
            lake.overwrite("run_scores", frame, key)
        assert "run_scores" in str(caught.value)
    assert lake.version("run_scores") == before


def test_a_nan_inside_a_vector_is_refused(lake: Lake) -> None:
    frame = EMBEDDINGS.empty().select("model", "video_id", "item")
    frame = pl.DataFrame({"model": ["m"], "video_id": ["v"], "item": [0]}, schema=frame.schema).with_columns(
        vector=pl.Series([[1.0, float("nan")]], dtype=pl.List(pl.Float32)),
        n_judgments=pl.lit(None, dtype=pl.Int32),
        prompt_version=pl.lit(None, dtype=pl.String),
        code_version=pl.lit("c"),
        source_versions=pl.lit("{}"),
    )
    with pytest.raises(ContractError, match="column vector"):
        lake.overwrite("embeddings", frame, {"model": "m"})


def test_appending_the_same_rows_again_adds_nothing(lake: Lake) -> None:
    assert lake.append("judgments", answers("m", [1, 2, 3])) == 3
    assert lake.append("judgments", answers("m", [2, 3, 4])) == 1
    assert lake.append("judgments", answers("other", [1])) == 1
    assert lake.read("judgments", {"model": "m"})["triplet_id"].to_list() == [1, 2, 3, 4]


def test_one_row_that_comes_late_does_not_bring_the_rows_between_into_memory(lake: Lake) -> None:
    lake.append("judgments", answers("m", list(range(1000))))
    late = answers("m", [0, 998, 999, 1000])
    assert lake._known_keys(JUDGMENTS, late).height == 3
    assert lake.append("judgments", late) == 1


def test_an_appended_table_is_never_overwritten_by_accident_and_the_other_way_round(lake: Lake) -> None:
    with pytest.raises(LakeError, match="never appended"):
        lake.append("run_scores", scores("s", "m"))


def test_a_constraint_of_the_table_holds_for_every_writer(lake: Lake) -> None:
    lake.append("judgments", answers("m", [1]))
    bad = answers("m", [2]).with_columns(odd=pl.lit(9, dtype=pl.Int32))
    with pytest.raises(Exception, match="odd"):
        lake.append("judgments", bad)
    assert lake.read("judgments").height == 1


def test_another_studys_lake_is_refused(lake: Lake) -> None:
    lake.append("judgments", answers("m", [1]))
    with pytest.raises(LakeError, match="belongs to the study 'mine', not to 'yours'"):
        Lake(lake.root, "yours").read("judgments")


def test_a_table_that_was_never_written_reads_as_empty(lake: Lake) -> None:
    assert lake.read("videos").schema == TABLES["videos"].schema
    assert lake.tables() == []


def test_a_scan_keeps_the_version_that_it_was_made_of(lake: Lake) -> None:
    lake.append("judgments", answers("m", [1]))
    scan = lake.scan("judgments")
    lake.append("judgments", answers("m", [2]))
    assert scan.collect().height == 1


def test_what_another_program_commits_or_puts_in_the_place_of_a_table_is_seen_at_once(lake: Lake) -> None:
    key = {"subject": "s1", "model": "m1"}
    lake.overwrite("run_scores", scores("s1", "m1"), key)
    assert lake.read("run_scores").height == 3
    folder, version = Path(lake.uri("run_scores")), lake.version("run_scores")
    before = folder.with_name("before")
    shutil.copytree(folder, before)
    DeltaTable(str(folder)).delete("run = 0")
    assert lake.version("run_scores") == (version or 0) + 1
    assert lake.read("run_scores").height == 2
    shutil.rmtree(folder)
    assert lake.read("run_scores").is_empty()
    before.rename(folder)
    assert lake.version("run_scores") == version
    assert lake.read("run_scores").height == 3


def test_a_scan_of_a_partition_reads_its_files_only(lake: Lake) -> None:
    lake.append("judgments", answers("m", [1]))
    lake.append("judgments", answers("n", [1]))
    for file in Path(lake.root).rglob("model=n/*.parquet"):
        file.unlink()
    assert lake.scan("judgments", {"model": "m"}).collect().height == 1


def test_the_data_version_is_of_the_content_not_of_its_order_or_history(lake: Lake) -> None:
    frame = answers("m", [1, 2, 3])
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1)
    later = frame.with_columns(judged_at=pl.lit(datetime(2027, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")))
    version = data_version(JUDGMENTS, frame)
    assert data_version(JUDGMENTS, shuffled) == version
    assert data_version(JUDGMENTS, later) == version
    assert data_version(JUDGMENTS, answers("m", [1, 2, 3], odd="a")) != version


def test_the_data_version_of_texts_and_nulls_is_of_their_values(lake: Lake) -> None:
    contract = TABLES["attempts"]
    rows = [
        ("m", f"key {i}", 0, i, "abc", 0, "p", "s", "refused", True, f"a rather long answer, number {i}")
        for i in range(50)
    ]
    names = contract.schema.names()[:11]
    frame = pl.DataFrame(rows, schema={n: contract.schema[n] for n in names}, orient="row").with_columns(
        tokens_in=pl.lit(None, dtype=pl.Int32),
        tokens_out=pl.lit(None, dtype=pl.Int32),
        cost_usd=pl.lit(None, dtype=pl.Float64),
        attempted_at=pl.lit(datetime(2026, 1, 1, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")),
    )
    scores = TABLES["voxel_scores"]
    some = pl.DataFrame(
        {
            "subject": "s",
            "model": "m",
            "voxel": range(50),
            "r": 0.5,
            "alpha": 1.0,
            "p": [i / 50 for i in range(50)],
            "q": 0.5,
            **dict.fromkeys(set(scores.schema) - {"subject", "model", "voxel", "r", "alpha", "p", "q"}, 0.5),
        }
    ).with_columns(pl.when(pl.col("voxel") % 3 > 0).then("p").alias("p"))
    some = some.select(pl.col(c).cast(t) for c, t in scores.schema.items())
    for table, content in ((contract, frame), (scores, some)):
        version = data_version(table, content)
        for seed in range(5):
            assert data_version(table, content.sample(fraction=1, shuffle=True, seed=seed)) == version
        lake.append(table.name, content) if table.append else lake.overwrite(
            table.name, content, {"subject": "s", "model": "m"}
        )
        assert data_version(table, lake.read(table.name)) == version


def test_the_data_version_is_the_same_whether_a_table_is_read_whole_or_in_blocks(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lake.content("judgments", {"model": "m"}) == (data_version(JUDGMENTS, JUDGMENTS.empty()), 0)
    # rows of one triplet stand together, also where a block would end between them
    again = answers("m", [3, 9, 5], odd="c").with_columns(presented=pl.lit("cab"))
    frame = pl.concat([answers("m", [7, 3, 9, 1]), again])
    lake.append("judgments", frame)
    lake.append("judgments", answers("n", [1, 2]))
    assert lake.content("judgments", {"model": "m"}) == (data_version(JUDGMENTS, frame), 7)
    changed = frame.with_columns(odd=pl.when(pl.col("triplet_id") == 9).then("b").otherwise("odd"))
    for rows in (1, 2, 3, 6):
        monkeypatch.setattr("resources.lake.BLOCK_ROWS", rows)
        assert lake.content("judgments", {"model": "m"}) == (data_version(JUDGMENTS, frame), 7)
        assert data_version(JUDGMENTS, changed) != data_version(JUDGMENTS, frame)


def _write(root: str, subject: str, times: int) -> None:
    lake = Lake(root, "mine")
    for i in range(times):
        lake.overwrite("run_scores", scores(subject, "m", r=i / times), {"subject": subject, "model": "m"})


def test_writers_of_different_partitions_lose_nothing_to_each_other_from_the_first_write_on(lake: Lake) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write, args=(lake.root, f"s{i}", 5)) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [w.exitcode for w in writers] == [0] * 4
    assert lake.read("run_scores").group_by("subject").len()["len"].to_list() == [3] * 4
    assert set(lake.read("run_scores")["mean_r"]) == {0.8}


def _append_for_ever(root: str) -> None:
    lake, first = Lake(root, "mine"), 0
    while True:
        lake.append("judgments", answers("m", list(range(first, first + 2000))))
        first += 2000


def test_a_writer_killed_at_any_moment_leaves_whole_commits_only(lake: Lake) -> None:
    lake.append("judgments", answers("m", [10**9]))
    spawn = multiprocessing.get_context("spawn")
    for pause in (0.0, 0.02, 0.05):
        writer = spawn.Process(target=_append_for_ever, args=(lake.root,))
        before = lake.read("judgments").height
        writer.start()
        while lake.read("judgments").height == before:
            time.sleep(0.05)
        time.sleep(pause)
        os.kill(writer.pid or 0, signal.SIGKILL)
        writer.join()
        found = lake.read("judgments")
        assert (found.height - 1) % 2000 == 0
        assert not found.select(JUDGMENTS.key).is_duplicated().any()


def test_tables_say_whose_they_are_and_what_a_row_is(lake: Lake) -> None:
    lake.append("judgments", answers("m", [1]))
    metadata = DeltaTable(lake.uri("judgments")).metadata()
    assert metadata.name == "judgments"
    assert "mine" in metadata.description
    assert JUDGMENTS.doc in metadata.description
