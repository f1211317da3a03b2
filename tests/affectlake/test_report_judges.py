"""A judge's page says what is wrong with the judge first, and what others wrote stays text."""

from __future__ import annotations

import re
from datetime import timedelta

import polars as pl
import pytest

from affectlake import drift
from affectlake.report import Facts, Results, pages
from affectlake.tables import ATTEMPTS, CAPTIONS, VIDEOS
from tests.affectlake._judges import DAY, asked, design, judge

HOSTILE = "</table><script>window.stolen = 1</script>"


def filled(table, rows):
    """Rows of a table; what is not given is null, or zero where that is forbidden."""
    zero = {pl.String: "", pl.Int32: 0, pl.Boolean: True, pl.Int64: 0}
    absent = [
        pl.lit(None if c.nullable else zero.get(c.dtype)).cast(c.dtype).alias(c.name)
        for c in table.columns
        if c.name not in rows.columns
    ]
    return rows.with_columns(absent).select(pl.col(c).cast(t) for c, t in table.schema.items()).lazy()


@pytest.fixture(scope="module")
def troubled():
    """The pages of a study whose judge likes the third place, refuses a clip and became another model."""
    planned = design(train=1500, panel=60, ceiling_triplets=50, ceiling_repeats=5)
    questions = asked(planned, "train", "panel", "ceiling")
    hit = pl.any_horizontal(pl.col(c) == 7 for c in "abc")
    paid = {"tokens_in": 200, "tokens_out": 8, "cost_usd": 0.001, "latency_s": 1.25}
    first = judge(questions.filter(~hit), bias=(0.0, 0.0, 0.6), soft=True, model_returned="m-2026-01-01", **paid)
    again = drift.due(planned, first, n=60, seed=0, now=DAY + timedelta(days=2)).filter(~hit)
    later = judge(again, taste=-2.0, day=2, model_returned="m-2026-02-02")
    refused = questions.filter(hit).select("triplet_id", "presented", "repeat")
    attempts = refused.with_columns(
        model=pl.lit("judge"),
        reason=pl.lit("refused"),
        raw=pl.lit(HOSTILE),
        prompt_version=pl.lit("v1"),
        attempted_at=pl.lit(DAY),
    )
    clips = pl.DataFrame({"video_id": [f"v{i:02d}" for i in range(40)], "item": range(40), "status": ["present"] * 40})
    texts = clips.select("video_id", caption=pl.lit(0), text=pl.lit("a dog " + HOSTILE))
    tables = {
        "judgments": pl.concat([first, later]).lazy(),
        "attempts": filled(ATTEMPTS, attempts),
        "triplets": planned.lazy(),
        "videos": filled(VIDEOS, clips),
        "captions": filled(CAPTIONS, texts),
    }
    facts = Facts("study", True, ("judge", "unasked"), (), (), "captions", ())
    return {file: html for file, _, html in pages(Results(facts, tables))}


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_only_judges_that_were_asked_have_a_page_and_the_overview_lists_them(troubled):
    assert set(troubled) == {"index.html", "judge-judge.html"}
    assert 'href="judge-judge.html"' in troubled["index.html"]
    assert "Can the judges be relied on?" in troubled["index.html"]


def test_what_is_wrong_stands_first(troubled):
    lead = re.search(r'<p class="lead">(.*?)</p>', troubled["judge-judge.html"], re.DOTALL).group(1)
    for words in (
        "The place matters: the third clip",
        "1 clip is refused more than five times",
        "round 1 of the sentinels differs",
        "m-2026-01-01 and m-2026-02-02",
    ):
        assert words in lead


def test_the_three_measures_are_told_apart_with_their_intervals(troubled):
    marks = re.findall(r'aria-label="([^"]*)"', troubled["judge-judge.html"])
    for what in (
        "same order, asked again, repeatability",
        "another order, consistency",
        "noise ceiling, most frequent",
    ):
        assert any(re.match(rf"{what}.*: 0\.\d{{3}} \[0\.\d{{3}}, [01]\.\d{{3}}\]", m) for m in marks), what


def test_clips_refused_are_listed_worst_first_with_the_alarm(troubled):
    rows = re.findall(r"<tr><th scope=row>(v\d\d)</th>(.*?)</tr>", troubled["judge-judge.html"])
    assert rows[0][0] == "v07"
    assert "100 %" in rows[0][1]
    assert "stands out" in rows[0][1]
    assert all("stands out" not in rest for _, rest in rows[1:])


def test_money_tokens_and_seconds_are_shown(troubled):
    shown = text(troubled["judge-judge.html"])
    assert "seconds to the answer 1.25 1.25 1.25" in shown
    assert "tokens in 200 200 200" in shown
    assert "US dollars 0.001000" in shown


def test_what_a_judge_or_a_caption_says_stays_text(troubled):
    for html in troubled.values():
        assert HOSTILE not in html
    assert "&lt;script&gt;window.stolen" in troubled["judge-judge.html"]
