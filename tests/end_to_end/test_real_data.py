"""The real ratings and captions of the paper's clips, read from where they lie; skipped where they are absent."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import sql
import studies
from affectlake.tables import JUDGMENTS
from dagster_project.planning import Selection
from dagster_project.runner import Outcome
from resources.query import query

from .conftest import Finished

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not (DATA / "cowen-keltner").is_dir(), reason=f"the real ratings and captions are not in {DATA}"
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The shipped study file beside a link to the data: nothing is copied."""
    folder = tmp_path_factory.mktemp("cowen-keltner")
    (folder / "study.yaml").write_text(studies.template("cowen-keltner").read_text())
    (folder / "data").symlink_to(DATA)
    return Finished(folder, Outcome())


@pytest.fixture(scope="module")
def judged(study: Finished) -> Finished:
    assert study.run(Selection(frozenset({"judgments"}))).failed == {}
    return study


def test_the_2180_clips_are_read_and_every_row_of_the_files_is_accounted_for(judged: Finished) -> None:
    assert judged.lake.read("videos").height == 2180
    assert judged.lake.read("ratings").height == 2180 * 48
    assert judged.lake.read("captions")["video_id"].n_unique() == 1883
    left_out = judged.lake.read("exclusions")
    unrated = left_out.filter((pl.col("stage") == "ratings") & (pl.col("reason") == "unknown_id"))
    assert sorted(unrated["what"]) == ["0859", "0866", "1363", "1673", "2184"]


def test_category_and_dimension_choices_agree_as_often_as_published(judged: Finished) -> None:
    found = query(judged.lake, judged.study, sql.read("agreement"))
    pair = (pl.col("model_a") == "human-category") & (pl.col("model_b") == "human-dimension")
    assert found.filter(pair)["agreement"].item() == pytest.approx(0.53, abs=0.01)


def test_a_model_judges_what_it_can_perceive(judged: Finished) -> None:
    read = judged.lake.read("captions").join(judged.lake.read("videos"), on="video_id")["item"]
    shown = judged.lake.read("judgments", {"model": "minilm"}).select("a", "b", "c")
    assert set(shown.unpivot()["value"]) <= set(read)
    by_model = judged.lake.read("judgments").group_by("model").len()
    assert dict(by_model.iter_rows())["human-dimension"] == 220_000


def test_no_answer_is_made_of_a_tie(judged: Finished) -> None:
    ties = judged.lake.read("attempts", {"model": "human-category"})
    assert set(ties["reason"]) == {"invalid"}
    assert 0.0003 < ties.height / 220_000 < 0.003
    key = [c for c in JUDGMENTS.key if c != "model"]
    assert judged.lake.read("judgments", {"model": "human-category"}).join(ties, on=key, how="semi").is_empty()


def test_raw_ratings_name_their_category_as_often_as_published(judged: Finished) -> None:
    models = frozenset({"raw-category", "raw-dimension"})
    assert judged.run(Selection(frozenset({"embedding_quality"}), models)).failed == {}
    top3 = dict(judged.lake.read("embedding_quality").select("model", "top3_27").iter_rows())
    assert top3["raw-category"] == pytest.approx(0.978, abs=0.002)
    assert top3["raw-dimension"] == pytest.approx(0.455, abs=0.002)


@pytest.mark.long
def test_three_spaces_are_learnt_from_200000_judgments_each(judged: Finished) -> None:
    assert judged.run().failed == {}
    quality = {r["model"]: r for r in judged.lake.read("embedding_quality").iter_rows(named=True)}
    assert quality["human-category"]["accuracy"] > 0.9
    assert quality["human-dimension"]["accuracy"] > 0.88
    assert quality["minilm"]["accuracy"] > 0.75
    assert quality["minilm"]["coverage"] == pytest.approx(1883 / 2180)
