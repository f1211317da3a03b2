"""A training that dies is gone on with, and an agent's labels reach the table: a small study of one simulated judge."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from affectlake.prompts import data_block
from dagster_project.planning import Selection
from dagster_project.runner import Outcome
from tests.affectlake._planted import plant
from tests.services.test_labels import serving

from .conftest import Finished

N = 60
STUDY = """
name: trained
synthetic: true
stimuli: {manifest: videos.csv}
captions: {file: captions.csv}
triplets: {train: 15000, test: 500, seed: 0}
models:
  - {name: planted, agent: simulated, file: planted.npy, ids: ids.txt, temperature: 1.0}
embedding: {dimensions: 20, keep: 6, seeds: 3}
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The study with its judgments; tests copy it."""
    folder = tmp_path_factory.mktemp("trained") / "study"
    folder.mkdir()
    ids = [f"v{k:02d}" for k in range(N)]
    (folder / "videos.csv").write_text("video_id,file,duplicate_of\n" + "".join(f"{i},,\n" for i in ids))
    (folder / "captions.csv").write_text("video_id,description\n" + "".join(f"{i},what {i} shows\n" for i in ids))
    (folder / "ids.txt").write_text("\n".join(ids))
    np.save(folder / "planted.npy", plant(N, 5, active=2, scale=0.9, seed=1))
    (folder / "study.yaml").write_text(STUDY)
    study = Finished(folder, Outcome())
    assert study.run(Selection(frozenset({"judgments"}))).failed == {}
    return study


def copied(study: Finished, folder: Path) -> Finished:
    shutil.copytree(study.folder, folder)
    return Finished(folder, study.outcome)


def test_a_training_that_was_killed_goes_on_to_the_same_bits(judged: Finished, tmp_path: Path) -> None:
    killed, whole = copied(judged, tmp_path / "killed"), copied(judged, tmp_path / "whole")
    script = (
        "import assets._checkpoints as kept; kept.EVERY_S = 0.0\n"  # a snapshot is written as soon as it is taken
        "from dagster_project.cli import main; main()"
    )
    command = [sys.executable, "-c", script, "run", "--select", "embeddings"]
    environment = os.environ | {"AFFECTLAKE_STUDY": str(killed.folder / "study.yaml")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while killed.lake.read("checkpoints").height < 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = killed.lake.read("checkpoints")
    assert left.height >= 2, "the training was killed on its way"
    assert (left["losses"].list.len() < 20).any()
    chosen = Selection(frozenset({"embeddings"}))
    assert killed.run(chosen).failed == whole.run(chosen).failed == {}
    for table, columns in (("embeddings", ["video_id", "vector"]), ("dimensions", ["reproducibility", "split_half"])):
        assert killed.lake.read(table).select(columns).equals(whole.lake.read(table).select(columns))
    assert killed.lake.read("checkpoints").is_empty(), "what is finished leaves nothing behind"


def test_an_agents_labels_stand_beside_those_made_from_ratings(
    judged: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_KEY", "canary-labels")
    study = copied(judged, tmp_path / "study")
    with serving(lambda shown: json.dumps({"label": f"{len(shown)} clips"})) as (url, seen):
        study.edit(
            "seeds: 3}", f"seeds: 2, labels: namer}}\nprofiles: {{here: {{base_url: '{url}', key_env: LABEL_KEY}}}}"
        )
        study.edit("models:\n", "models:\n  - {name: namer, agent: openai, profile: here, model: m-1}\n")
        assert study.run(Selection(frozenset({"dimensions"}), frozenset({"planted"}))).failed == {}
    named = study.lake.read("dimensions", {"model": "planted"})
    assert len(seen) == named.height > 0
    assert set(named["proposed_by"]) == {"namer"}
    assert set(named["proposal_attempts"]) == {1}
    assert named["proposed_label"].str.contains(r"^\d clips$").all()
    assert named["label"].null_count() == 0, "the label made from the ratings stays"
    assert data_block(named["proposal_prompt"][0])["descriptions"][0].startswith("what v")
