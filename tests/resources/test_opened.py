"""The lake in a notebook, in one line."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest

import affectlake
from affectlake.errors import LakeError
from affectlake.tables import CAPTIONS
from resources.lake import Lake
from resources.opened import OpenLake


def captions(*texts: str) -> pl.DataFrame:
    return pl.DataFrame([("v", n, t) for n, t in enumerate(texts)], schema=CAPTIONS.schema, orient="row")


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenLake:
    monkeypatch.delenv("AFFECTLAKE_LAKE", raising=False)
    (tmp_path / "study.yaml").write_text("name: mine\nstimuli: {manifest: videos.csv}\n")
    stored = Lake(str(tmp_path / "lake"), "mine")
    stored.overwrite("captions", captions("a dog"))
    stored.overwrite("captions", captions("a dog", "a cat"))
    return affectlake.open_lake(tmp_path)


def test_a_study_is_opened_by_its_file_its_folder_or_the_environment(
    lake: OpenLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTLAKE_STUDY", str(tmp_path / "study.yaml"))
    for opened in (lake, affectlake.open_lake(str(tmp_path / "study.yaml")), affectlake.open_lake()):
        assert opened.tables == ["captions"]
    assert "captions" in repr(lake)
    assert "captions" in dir(lake)


def test_tables_are_lazy_frames_by_name(lake: OpenLake) -> None:
    assert isinstance(lake["captions"], pl.LazyFrame)
    assert lake.captions.collect_schema() == CAPTIONS.schema
    assert lake.captions.collect().height == 2
    assert lake["ratings"].collect().height == 0
    assert lake.contract("captions").key == ("video_id", "caption")


def test_a_table_that_there_is_not_is_said(lake: OpenLake) -> None:
    with pytest.raises(LakeError, match="no table 'caption'"):
        lake["caption"]
    with pytest.raises(AttributeError, match="no table 'caption'"):
        _ = lake.caption


def test_sql_is_a_relation_that_goes_on_and_can_reach_nothing_else(lake: OpenLake) -> None:
    found = lake.sql("SELECT * FROM captions WHERE text = $text", text="a cat")
    assert isinstance(found, duckdb.DuckDBPyRelation)
    assert found.filter("caption = 1").project("text").pl()["text"].to_list() == ["a cat"]
    for statement in ("SELECT * FROM read_text('/etc/passwd')", "DROP TABLE captions", "SELECT * FROM lake"):
        with pytest.raises(LakeError):
            lake.sql(statement)


def test_named_queries_answer_here_too(lake: OpenLake) -> None:
    assert lake.query("roi_profile", model="m").height == 0


def test_the_past_is_another_lake(lake: OpenLake) -> None:
    then = lake.as_of(captions=1)
    assert then.captions.collect().height == 1
    assert then.sql("SELECT count(*) FROM captions").fetchall() == [(1,)]
    assert lake.captions.collect().height == 2
    assert "captions" in repr(then)
    with pytest.raises(LakeError, match="was not there"):
        lake.as_of("2001-01-01")["captions"]
    with pytest.raises(LakeError, match="by table"):
        lake.as_of("3")
