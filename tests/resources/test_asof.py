"""Time travel: the tables as they were when a figure was made."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from affectlake.errors import LakeError
from affectlake.tables import CAPTIONS, RATINGS
from resources.asof import AsOf
from resources.lake import Lake
from resources.query import query as query_study
from resources.study import Study

STUDY = Study.model_validate({"name": "mine", "stimuli": {"manifest": "videos.csv"}})
BOTH = "SELECT (SELECT text FROM captions) AS text, (SELECT value FROM ratings) AS value"


def write(lake: Lake, text: str) -> None:
    lake.overwrite("captions", pl.DataFrame([("v", 0, text)], schema=CAPTIONS.schema, orient="row"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), "mine")
    write(lake, "first")
    return lake


def ask(lake: Lake, statement: str, *words: str) -> object:
    return query_study(lake, STUDY, statement, as_of=AsOf.parse(words)).row(0)


def between() -> str:
    time.sleep(0.02)
    now = datetime.now(UTC).isoformat()
    time.sleep(0.02)
    return now


def test_a_time_takes_each_table_as_it_was_also_in_a_copied_lake(lake: Lake, tmp_path: Path) -> None:
    rate = pl.DataFrame([("v", "category", "joy", 0.5)], schema=RATINGS.schema, orient="row")
    lake.overwrite("ratings", rate)
    then = between()
    write(lake, "second")
    lake.overwrite("ratings", rate.with_columns(value=pl.lit(0.75)))
    shutil.copytree(tmp_path / "lake", tmp_path / "copied", copy_function=shutil.copyfile)
    for here in (lake, Lake(str(tmp_path / "copied"), "mine")):
        assert ask(here, BOTH, then) == ("first", 0.5)
        assert ask(here, BOTH, then, "ratings=2") == ("first", 0.75)
        assert ask(here, BOTH) == ("second", 0.75)


def test_a_version_alone_is_that_of_the_one_table_that_is_asked(lake: Lake) -> None:
    write(lake, "second")
    one = "SELECT text FROM captions -- not ratings"
    assert ask(lake, one, "1") == ("first",)
    assert ask(lake, one, "captions=1") == ("first",)
    with pytest.raises(LakeError, match=r"version 1 of which table\? The statement reads captions, ratings"):
        ask(lake, BOTH, "1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("captions=9", "has no version 9; the newest is 1"),
        ("caption=1", "no table 'caption'"),
        ("yesterday", "does not know what 'yesterday' is"),
        ("2001-01-01", "captions: was not there at 2001-01-01T00:00:00"),
        ("20010101", "was not there at 2001-01-01"),
    ],
)
def test_what_was_not_there_or_is_not_understood_is_said(lake: Lake, words: str, message: str) -> None:
    with pytest.raises(LakeError, match=message):
        ask(lake, "SELECT text FROM captions", words)


def test_a_table_that_was_never_written_is_no_empty_table_of_the_past(lake: Lake) -> None:
    with pytest.raises(LakeError, match="ratings: has never been written"):
        ask(lake, "SELECT * FROM ratings", between())


def test_a_version_whose_files_are_gone_is_told(lake: Lake) -> None:
    write(lake, "second")
    DeltaTable(lake.uri("captions")).vacuum(0, dry_run=False, enforce_retention_duration=False)
    assert ask(lake, "SELECT text FROM captions") == ("second",)
    with pytest.raises(LakeError, match="files of this version are gone"):
        ask(lake, "SELECT text FROM captions", "captions=1")


def test_a_version_that_delta_has_forgotten_is_no_empty_table(lake: Lake, tmp_path: Path) -> None:
    for text in ("second", "third", "fourth"):
        write(lake, text)
    DeltaTable(lake.uri("captions")).create_checkpoint()
    for forgotten in range(3):
        (tmp_path / "lake" / "captions" / "_delta_log" / f"{forgotten:020d}.json").unlink()
    assert ask(lake, "SELECT text FROM captions") == ("fourth",)
    for version in ("0", "1", "2", "3"):
        with pytest.raises(LakeError, match=f"version {version} is not there, or not any more"):
            ask(lake, "SELECT text FROM captions", version)


def test_what_was_in_force_yesterday_is_found_however_long_ago_it_was_written(lake: Lake, tmp_path: Path) -> None:
    """Delta by itself drops commits of more than a month whenever it sums a log up."""
    for number in range(30):
        write(lake, f"text {number}")
    log, month_ago = tmp_path / "lake" / "captions" / "_delta_log", time.time() - 40 * 86_400
    for commit in log.glob("*.json"):
        lines = [json.loads(line) for line in commit.read_text().splitlines()]
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["timestamp"] = int(month_ago * 1000)
        commit.write_text("\n".join(json.dumps(line) for line in lines))
    for path in log.iterdir():
        os.utime(path, (month_ago, month_ago))
    fresh, yesterday = Lake(lake.root, "mine"), (datetime.now(UTC) - timedelta(days=1)).isoformat()
    summaries = len(list(log.glob("*.checkpoint.parquet")))
    for number in range(30):
        write(fresh, f"today {number}")
    assert len(list(log.glob("*.checkpoint.parquet"))) > summaries
    assert ask(fresh, "SELECT text FROM captions") == ("today 29",)
    assert ask(fresh, "SELECT text FROM captions", yesterday) == ("text 29",)
    assert ask(fresh, "SELECT text FROM captions", "captions=6") == ("text 4",)


def test_nothing_is_written_by_looking_back(lake: Lake, tmp_path: Path) -> None:
    write(lake, "second")
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    ask(lake, "SELECT text FROM captions", "1")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
