"""The named queries about judges give the numbers that the report's panel shows."""

from __future__ import annotations

import polars as pl
import pytest

import sql
from affectlake import drift
from affectlake.judge_measures import measure
from affectlake.tables import ATTEMPTS, VIDEOS
from resources.lake import Lake
from resources.query import query
from resources.study import Study
from tests.affectlake._judges import DAY, asked, design, judge

STUDY = Study.model_validate(
    {
        "name": "mine",
        "stimuli": {"manifest": "videos.csv"},
        "ratings": {"file": "ratings.csv"},
        "models": [{"name": "judge", "agent": "ratings", "scale": "category"}],
    }
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A judge with a favourite place that refuses item 7, and whose sentinels were asked once more."""
    lake = Lake(str(tmp_path_factory.mktemp("judged")), "mine")
    planned = design(train=1500, panel=60, ceiling_triplets=50, ceiling_repeats=5)
    lake.append("triplets", planned)
    questions = asked(planned, "train", "panel", "ceiling")
    hit = pl.any_horizontal(pl.col(c) == 7 for c in "abc")
    first = judge(questions.filter(~hit), taste=1.0, bias=(0.0, 0.0, 0.4), soft=True, latency_s=1.5)
    again = drift.due(planned, first, n=60, seed=0, now=DAY + drift.INTERVAL)
    lake.append("judgments", judge(questions.filter(~hit).head(50), prompt_version="v0", day=-1))
    lake.append("judgments", first)
    lake.append("judgments", judge(again.filter(~hit), taste=-1.0, day=1, model_returned="m-2"))
    refused = questions.filter(hit).select("triplet_id", "presented", "repeat")
    zero = {pl.String: "", pl.Int32: 0, pl.Boolean: True}
    rows = refused.with_columns(
        pl.lit(zero.get(t)).cast(t).alias(n) for n, t in ATTEMPTS.schema.items() if n not in refused.columns
    ).with_columns(
        model=pl.lit("judge"),
        reason=pl.lit("refused"),
        prompt_version=pl.lit("v1"),
        attempted_at=pl.lit(DAY),
        request_key=pl.format("{}-{}-{}", "triplet_id", "presented", "repeat"),
    )
    lake.append("attempts", rows.select(ATTEMPTS.schema.names()).cast(dict(ATTEMPTS.schema)))
    clips = pl.DataFrame({"video_id": [f"v{i:02d}" for i in range(40)], "item": pl.int_range(40, eager=True)})
    columns = [pl.lit("present" if n == "status" else None).cast(t).alias(n) for n, t in VIDEOS.schema.items()]
    lake.overwrite("videos", clips.with_columns(c for c in columns if c.meta.output_name() not in clips.columns).select(
        pl.col(n).cast(t) for n, t in VIDEOS.schema.items()
    ))  # fmt: skip
    return lake


@pytest.fixture(scope="module")
def measured(lake: Lake):
    found = measure("judge", lake.scan("judgments"), lake.scan("attempts"), lake.scan("triplets"))
    assert found is not None
    return found


def ask(lake: Lake, name: str, **values: str) -> pl.DataFrame:
    found = sql.named(name)
    return query(lake, STUDY, found.text, found.bind(values) or None)


def test_judges_says_what_the_panel_says(lake: Lake, measured) -> None:
    row = ask(lake, "judges").row(0, named=True)
    assert (row["prompt_version"], row["n_answers"]) == ("v1", measured.n_answers)
    shares = [row["first_place"], row["second_place"], row["third_place"]]
    assert shares == pytest.approx([e.value for e in measured.places.shares])
    assert row["place_p"] == pytest.approx(measured.places.p)
    assert row["repeatability"] == pytest.approx(measured.agreement.repeatability.value)
    assert row["consistency"] == pytest.approx(measured.agreement.consistency.value)
    assert row["ceiling"] == pytest.approx(measured.ceiling.value)
    assert row["near_ties"] == pytest.approx(measured.near_ties / measured.n_soft)
    assert row["latency_s"] == measured.usage["latency_s"][0] == 1.5
    assert measured.n_soft < measured.n_answers, "the sentinels' later answers came without probabilities"


def test_refusals_name_the_clip_that_stands_out(lake: Lake, measured) -> None:
    found = ask(lake, "refusals", model="judge")
    assert found.row(0, named=True)["video_id"] == "v07"
    assert found["refused"][0] == 1
    assert measured.clips.filter("refused_stands_out")["item"].to_list() == [7]
    assert found["n_refused"].sum() == measured.clips["n_refused"].sum()
    assert found["n_given_up"][0] == measured.n_given_up
    assert measured.n_clips == 39


def test_drift_has_a_row_a_round_with_who_answered(lake: Lake, measured) -> None:
    row = ask(lake, "drift").row(0, named=True)
    (known,) = measured.rounds
    assert known.alarm
    assert (row["round"], row["answered_by"], row["n"], row["begun"]) == (1, "m-2", known.n, known.begun)
    assert row["agreement"] == pytest.approx(known.agreement.value)
    assert row["first_day"] == pytest.approx(known.first_day.value)
    assert any("sentinels" in text for text in measured.alarms)
