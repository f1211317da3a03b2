"""Labels proposed by an agent end up in the table of dimensions, with what the agent was shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from affectlake.prompts import data_block
from dagster_project.planning import Selection
from tests.services.test_labels import serving

from .conftest import Finished


def test_an_agents_labels_stand_beside_those_made_from_ratings(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_KEY", "canary-labels")
    shutil.copytree(finished.folder, tmp_path / "study")
    study = Finished(tmp_path / "study", finished.outcome)
    with serving(lambda shown: json.dumps({"label": f"{len(shown)} clips"})) as (url, seen):
        study.edit(
            "seeds: 2}", f"seeds: 2, labels: namer}}\nprofiles: {{here: {{base_url: '{url}', key_env: LABEL_KEY}}}}"
        )
        study.edit("models:\n", "models:\n  - {name: namer, agent: openai, profile: here, model: m-1}\n")
        assert study.run(Selection(frozenset({"dimensions"}), frozenset({"planted"}))).failed == {}
    named = study.lake.read("dimensions", {"model": "planted"})
    assert len(seen) == named.height > 0
    assert set(named["proposed_by"]) == {"namer"}
    assert set(named["proposal_attempts"]) == {1}
    assert named["proposed_label"].str.contains(r"^\d clips$").all()
    assert named["label"].null_count() == 0, "the label made from the ratings stays"
    shown = data_block(named["proposal_prompt"][0])["descriptions"]
    assert set(shown) <= set(study.lake.read("captions")["text"])
    before = finished.lake.read("dimensions", {"model": "planted"})
    assert before["proposed_label"].null_count() == before.height, "nobody was asked where the study names nobody"
