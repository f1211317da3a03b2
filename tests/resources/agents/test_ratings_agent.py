"""The odd one out by human ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from affectlake import triplets
from affectlake.errors import AgentError
from affectlake.formats.ids import IdRule
from affectlake.formats.ratings import read_ratings
from affectlake.formats.videos import assign_items
from affectlake.tables import CAPTIONS, FRAMES
from resources.agents.protocol import Stimuli
from resources.agents.ratings import RatingsAgent
from resources.study import RatingsModel


def test_the_odd_one_is_outside_the_pair_with_the_highest_cosine(toy: Any) -> None:
    agent = toy.agent("category")
    assert agent.items().tolist() == [i for i in range(38) if i != 7]
    questions = toy.questions(agent)
    found = toy.answers(agent, questions)
    assert found.attempts.is_empty()
    assert found.judgments.height == questions.height
    assert found.judgments["p_a"].null_count() == questions.height
    ids = toy.stimuli.videos["video_id"]
    wide = toy.stimuli.ratings.filter(scale="category").collect().pivot("name", index="video_id", values="value")
    vectors = {row[0]: np.array(row[1:]) for row in wide.iter_rows()}
    for row in found.judgments.head(300).iter_rows(named=True):
        x = {k: vectors[ids[row[k]]] / np.linalg.norm(vectors[ids[row[k]]]) for k in "abc"}
        odd = max("abc", key=lambda k: np.prod([x[o] for o in "abc" if o != k], axis=0).sum())
        assert row["odd"] == row[odd]


def test_chunks_and_order_of_the_questions_do_not_matter(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = toy.agent("dimension")
    questions = toy.questions(agent)
    whole = toy.answers(agent, questions).judgments.drop("judged_at")
    monkeypatch.setattr("resources.agents.local.CHUNK", 17)
    told: list[int] = []
    parts = pl.concat([c.judgments for c in agent.judge([questions.reverse()], told.append)]).drop("judged_at")
    assert sum(told) == questions.height
    assert parts.reverse().equals(whole)


def rated(vectors: dict[str, list[float]]) -> tuple[RatingsAgent, pl.DataFrame]:
    manifest = pl.DataFrame({"video_id": list(vectors)}).with_columns(
        file=pl.lit(None, pl.String), duplicate_of=pl.lit(None, pl.String)
    )
    videos = assign_items(manifest)
    long = pl.DataFrame(
        [(v, "category", f"n{i}", x) for v, values in vectors.items() for i, x in enumerate(values)],
        schema={"video_id": pl.String, "scale": pl.String, "name": pl.String, "value": pl.Float64},
        orient="row",
    )
    stimuli = Stimuli(videos, CAPTIONS.empty().lazy(), long.lazy(), FRAMES.empty().lazy())
    return RatingsAgent(RatingsModel(name="m", agent="ratings", scale="category"), stimuli), videos


def test_a_tie_is_no_answer(toy: Any) -> None:
    # v0 and v1 point the same way, only their lengths differ: v2 is odd in (0, 1, 2), and (0, 2), (1, 2) never tie at
    # the top; v3 is as far from v4 as from v5
    agent, _ = rated({"v0": [1, 0], "v1": [3, 0], "v2": [0, 1], "v3": [1, 1], "v4": [1, 0.2], "v5": [0.2, 1]})
    questions = pl.DataFrame(
        {"triplet_id": triplets.rank(np.array([[0, 1, 2], [3, 4, 5]])), "a": [0, 3], "b": [1, 4], "c": [2, 5]},
        schema_overrides=dict.fromkeys("abc", pl.Int32),
    ).with_columns(presented=pl.lit("bca"), repeat=pl.lit(0, pl.Int32), stimulus_version=pl.lit("s"))
    found = toy.answers(agent, questions)
    assert found.judgments.select("triplet_id", "odd").rows() == [(0, 2)]
    tie = found.attempts.row(0, named=True)
    assert (tie["reason"], tie["raw"], tie["final"], tie["attempt"]) == ("invalid", "tie", True, 0)
    assert tie["triplet_id"] == questions["triplet_id"][1]
    again = toy.answers(agent, questions).attempts
    assert again["request_key"].to_list() == found.attempts["request_key"].to_list()


def test_an_item_without_direction_or_with_gaps_is_not_perceived() -> None:
    agent, videos = rated({"zero": [0, 0], "gap": [1], "whole": [1, 2], "other": [2, 1], "third": [1, 0]})
    perceived = videos.filter(pl.col("item").is_in(pl.Series(agent.items()).implode()))["video_id"].to_list()
    assert perceived == ["other", "third", "whole"]


def test_versions_change_with_the_ratings_and_with_nothing_else(toy: Any) -> None:
    some = np.array([[0, 1, 2], [3, 4, 5]], dtype=np.int32)
    first, second = toy.agent("category"), toy.agent("category")
    assert first.stimulus_version(some).to_list() == second.stimulus_version(some).to_list()
    assert first.prompt_version == second.prompt_version
    assert first.prompt_version != toy.agent("dimension").prompt_version
    changed = toy.stimuli.ratings.with_columns(
        pl.when(pl.col("name") == "Awe").then(0.5).otherwise("value").alias("value")
    )
    other = RatingsAgent(
        toy.study.model("category"), Stimuli(toy.stimuli.videos, toy.stimuli.captions, changed, toy.stimuli.frames)
    )
    assert other.stimulus_version(some)[0] != first.stimulus_version(some)[0]


def test_no_ratings_at_all_is_said(toy: Any) -> None:
    empty = Stimuli(toy.stimuli.videos, toy.stimuli.captions, toy.stimuli.ratings.head(0), toy.stimuli.frames)
    with pytest.raises(AgentError, match="no clip of the study has ratings on the scale 'category'"):
        RatingsAgent(toy.study.model("category"), empty)


def test_category_and_dimension_choices_agree_as_published(toy: Any, cowen_keltner: Path) -> None:
    path = cowen_keltner / "CowenKeltnerEmotionalVideos.csv.gz"
    ratings = read_ratings(path, id_rule=IdRule(strip_suffix=".mp4"))
    manifest = (
        ratings.select("video_id")
        .unique()
        .with_columns(file=pl.lit(None, pl.String), duplicate_of=pl.lit(None, pl.String))
    )
    videos = assign_items(manifest)
    assert videos.height == 2185
    stimuli = Stimuli(videos, CAPTIONS.empty().lazy(), ratings.lazy(), FRAMES.empty().lazy())
    agents = [RatingsAgent(toy.study.model(name), stimuli) for name in ("category", "dimension")]
    questions = toy.questions(agents[0], 200_000)
    category, dimension = (toy.answers(agent, questions) for agent in agents)
    assert category.attempts.height / questions.height == pytest.approx(0.0009, abs=0.0004)
    both = category.judgments.join(dimension.judgments, on=["triplet_id", "presented", "repeat"])
    assert (both["odd"] == both["odd_right"]).mean() == pytest.approx(0.53, abs=0.01)
