"""What is told of judgments of a model behind a service; the rest is tested on a finished study."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from affectlake import prompts
from affectlake.errors import LakeError
from affectlake.tables import ATTEMPTS, CAPTIONS, JUDGMENTS, MATERIALIZATIONS, VIDEOS
from assets._judging import agent_of
from dagster_project.explain import Explainer, recipe_of
from dagster_project.explaining import lines
from dagster_project.recompute import recompute
from resources.lake import Lake
from resources.study import Study

STUDY = Study.model_validate(
    {
        "name": "mine",
        "stimuli": {"manifest": "videos.csv"},
        "captions": {"file": "captions.csv"},
        "profiles": {"p": {"key_env": "NO_SUCH_KEY"}},
        "models": [{"name": "claude", "agent": "anthropic", "profile": "p", "model": "claude-haiku-5.5"}],
    }
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), "mine")
    clips = [
        {**dict.fromkeys(VIDEOS.schema), "video_id": v, "item": n, "status": "no_media"} for n, v in enumerate("abc")
    ]
    lake.overwrite("videos", pl.DataFrame(clips, schema=VIDEOS.schema))
    texts = [(v, 0, f"clip {v}") for v in "abc"]
    lake.overwrite("captions", pl.DataFrame(texts, schema=CAPTIONS.schema, orient="row"))
    key = {"model": "claude", "triplet_id": 0, "presented": "abc", "repeat": 0, "stimulus_version": "s"}
    wordings = ["older", agent_of(STUDY.model("claude"), STUDY, lake).prompt_version]
    answers = [
        {
            **key,
            "a": 0,
            "b": 1,
            "c": 2,
            "odd": 1,
            "prompt_version": w,
            "model_returned": "claude-haiku-5.5-x",
            "judged_at": NOW,
        }
        | {"tokens_in": 100, "tokens_out": 5, "cost_usd": 0.25}
        for w in wordings
    ]
    blank = dict.fromkeys(JUDGMENTS.schema)
    lake.append("judgments", pl.DataFrame([blank | a for a in answers], schema=JUDGMENTS.schema))
    lost = {**dict.fromkeys(ATTEMPTS.schema), **key, "request_key": "r", "attempt": 0, "prompt_version": "older"}
    lost |= {"reason": "refused", "final": True, "attempted_at": NOW}
    lake.append("attempts", pl.DataFrame([lost], schema=ATTEMPTS.schema))
    done = {"table": "judgments", "partition": "claude", "fingerprint": "f", "data_version": "d", "code_version": "c"}
    done |= {
        "source_versions": "{}",
        "delta_version": lake.version("judgments"),
        "rows": 2,
        "run_id": "r",
        "finished_at": NOW,
    }
    lake.append("materializations", pl.DataFrame([done], schema=MATERIALIZATIONS.schema))
    return lake


def test_judgments_of_a_service_come_with_wording_refusals_and_cost(lake: Lake) -> None:
    node = Explainer(STUDY, lake).node("judgments", {"model": "claude"})
    assert [found["judgments"] for found in node.facts["judgments"]] == [1, 1]
    assert node.facts["not_accepted"] == {"refused": 1}
    said = "\n".join(lines(node.facts))
    for words in (prompts.INSTRUCTION, "by claude-haiku-5.5-x, 100 + 5 tokens, $0.25", "other words than these: older"):
        assert words in said


def test_a_service_is_not_asked_again_to_compute_anew(lake: Lake) -> None:
    with pytest.raises(LakeError, match="would ask the service once more"):
        recompute(Explainer(STUDY, lake), recipe_of("judgments"), {"model": "claude"})
