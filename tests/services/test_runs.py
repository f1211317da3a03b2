"""A service as a model of a study, run by the command line: kills, signals, re-runs, and where the key is not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from rich.console import Console

from affectlake.prompts import SYSTEM
from affectlake.tables import JUDGMENTS
from dagster_project import asking
from dagster_project.definitions import build_definitions
from dagster_project.planning import Selection
from dagster_project.runner import bring_up_to_date
from resources.lake import Lake
from resources.study import load_study
from tests.services.conftest import KEY
from tests.services.server import Service, serving

STUDY = """
name: asked
stimuli: {{manifest: videos.csv}}
captions: {{file: captions.csv}}
triplets: {{train: {train}, test: 50, panel: 5, seed: 0}}
profiles: {{here: {{base_url: "{url}", key_env: CANARY_KEY, max_in_flight: 16, requests_per_minute: 600000}}}}
models: [{{name: judge, agent: openai, profile: here, model: gpt-6-luna}}]
"""
JUDGE = ("run", "--select", "judgments")
OFTEN = (
    "-c",
    "import resources.agents.service.agent as a; a.CHUNK_S = 0.3; import dagster_project.cli as c; c.main()",
)
"""The same program, keeping answers every 0.3 s, so that a kill meets some that are kept and some that are not."""
N_QUESTIONS = 50 + 5 * 6 * 2


@dataclass(frozen=True)
class Desk:
    """A study on disk, its service and its command."""

    folder: Path
    service: Service
    train: int

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"), "asked")

    @property
    def judgments(self) -> pl.DataFrame:
        return self.lake.read("judgments")

    def start(self, *words: str, program: tuple[str, ...] = ("-m", "dagster_project")) -> subprocess.Popen[str]:
        environment = os.environ | {"AFFECTLAKE_STUDY": str(self.folder / "study.yaml"), "CANARY_KEY": KEY}
        command = [sys.executable, *program, *words]
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def command(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        text = process.communicate(timeout=240)[0]
        return process.returncode, text

    def judge(self) -> None:
        """Bring the judgments up to date in this process."""
        study = load_study(self.folder / "study.yaml")
        selection = Selection(frozenset({"judgments"}))
        assert bring_up_to_date(study, self.lake, selection, Console(quiet=True)).failed == {}

    def wait_for(self, requests: int, process: subprocess.Popen[str]) -> None:
        while len(self.service.seen) < requests:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            time.sleep(0.02)


def desk(folder: Path, service: Service, train: int) -> Desk:
    ids = [f"v{i:02d}" for i in range(30)]
    (folder / "videos.csv").write_text("video_id,file\n" + "".join(f"{i},\n" for i in ids))
    texts = "".join(f"{i},clip {n} {'on ' * (7 * n % 30)}\n" for n, i in enumerate(ids))
    (folder / "captions.csv").write_text("video_id,description\n" + texts)
    (folder / "study.yaml").write_text(STUDY.format(url=service.url, train=train))
    return Desk(folder, service, train)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service()) as started:
        yield started


def check_complete(at: Desk) -> None:
    """Duplicates 0, missing 0."""
    judgments = at.judgments
    assert judgments.height == at.train + N_QUESTIONS
    assert not judgments.select(JUDGMENTS.key).is_duplicated().any()


def test_a_study_is_judged_once_and_a_changed_caption_asks_only_what_shows_it(tmp_path: Path, service: Service) -> None:
    here = desk(tmp_path, service, train=200)
    here.judge()
    check_complete(here)
    assert len(service.seen) == here.train + N_QUESTIONS
    here.judge()
    assert len(service.seen) == here.train + N_QUESTIONS, "a second run asks nothing"
    item = 3
    concerned = here.judgments.filter((pl.col("a") == item) | (pl.col("b") == item) | (pl.col("c") == item)).height
    captions = tmp_path / "captions.csv"
    captions.write_text(captions.read_text().replace("clip 3 ", "clip three "))
    here.judge()
    assert len(service.seen) - here.train - N_QUESTIONS == concerned


@pytest.mark.parametrize(
    "after", [250, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 20, 60, 100, 200, 300, 340, 380, 400))]
)
def test_a_killed_run_is_finished_by_the_next_one(tmp_path: Path, service: Service, after: int) -> None:
    here = desk(tmp_path, service, train=300)
    service.latency_s = 0.05
    process = here.start(*JUDGE, program=OFTEN)
    here.wait_for(after, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept, before = here.judgments.height, len(service.seen)
    assert kept < here.train + N_QUESTIONS
    assert kept > 0 or after < 250, "the run was killed before anything was kept"
    service.latency_s = 0.0
    here.judge()
    check_complete(here)
    assert len(service.seen) - before == here.train + N_QUESTIONS - kept, "exactly the missing ones are asked"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_all_that_was_answered(tmp_path: Path, service: Service, number: int) -> None:
    here = desk(tmp_path, service, train=2000)
    service.latency_s = 0.1
    process = here.start(*JUDGE)
    here.wait_for(60, process)
    process.send_signal(number)
    text = process.communicate(timeout=60)[0]
    assert process.returncode not in (0, None), text
    kept = here.judgments.height
    assert 60 <= kept < 2000
    assert kept == len(service.seen), "what was in flight is finished and kept"


def test_the_key_is_found_nowhere(tmp_path: Path, service: Service) -> None:
    here = desk(tmp_path, service, train=100)
    service.faults = {"500": 0.2, "401": 0.02}
    code, text = here.command(*JUDGE)
    assert code == 1
    assert "HTTP 401" in text
    assert KEY not in text
    assert any(KEY in seen.authorization for seen in service.seen)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert any(".dagster" in str(p) for p in files)
    assert [p for p in files if KEY.encode() in p.read_bytes()] == []
    for table in ("judgments", "attempts", "materializations"):
        assert KEY not in here.lake.read(table).write_json()
    assert here.lake.read("attempts").height > 0


def test_cost_is_told_before_a_single_call_and_a_question_can_be_looked_at(tmp_path: Path, service: Service) -> None:
    here = desk(tmp_path, service, train=100)
    code, text = here.command("cost", "--model", "judge", "--format", "csv")
    assert code == 0, text
    assert f"questions to ask,{100 + N_QUESTIONS}" in text
    assert "estimated from the questions' length" in text
    price = {name.strip(): value for name, _, value in (line.rpartition(",") for line in text.splitlines())}
    once = float(price['"price in US dollars, in real time"'])
    assert float(price['"price in US dollars, in batches"']) == pytest.approx(once / 2, abs=1e-4)
    assert service.seen == []
    service.faults = {"prose": 0.3}
    here.judge()
    study = load_study(tmp_path / "study.yaml")
    assert asking.cost(study, here.lake, "judge").questions == 0
    tried = here.lake.read("attempts").row(0, named=True)
    text = "\n".join(asking.show(study, here.lake, tried["triplet_id"]))
    assert '{"A": "clip' in text
    assert SYSTEM in text, "the question as the agent saw it, with what stands above it"
    assert "invalid" in text
    assert "I think that" in text
    assert "p_a = " in text or "given up" in text
    kept = here.judgments.filter(~pl.col("triplet_id").is_in(here.lake.read("attempts")["triplet_id"].implode()))
    text = "\n".join(asking.show(study, here.lake, kept["triplet_id"][0]))
    assert "asked for " in text.splitlines()[0]
    assert re.search(r'p_c = 0\.\d{3}\); \d{4}-\d\d-\d\d .* UTC, by "gpt-6-luna-.*, 200 tokens in, 8 out', text)


@pytest.mark.parametrize("name", ["base_url", "key", "key_env", "profile", "model"])
def test_run_config_cannot_say_where_a_run_asks_or_with_which_key(tmp_path: Path, service: Service, name: str) -> None:
    desk(tmp_path, service, train=100)
    job = build_definitions(load_study(tmp_path / "study.yaml")).resolve_implicit_global_asset_job_def()
    dg.validate_run_config(job, {})
    with pytest.raises(dg.DagsterInvalidConfigError):
        dg.validate_run_config(job, {"ops": {"judgments": {"config": {name: "http://elsewhere"}}}})
    for resource in job.resource_defs:
        with pytest.raises(dg.DagsterInvalidConfigError):
            dg.validate_run_config(job, {"resources": {resource: {"config": {name: "http://elsewhere"}}}})
