"""Batches as a user meets them: the command, the sensor, what is said while one waits, and where the key is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from dagster_project.batches import build_batch_sensors
from resources.agents.service.batches import open_batches
from resources.study import load_study
from tests.services.conftest import KEY
from tests.services.server import Service, serving
from tests.services.test_runs import JUDGE, N_QUESTIONS, Desk, check_complete, desk

WIRES = {"openai": "gpt-6-luna", "anthropic": "claude-haiku-5.5"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service()) as started:
        yield started


def batched(folder: Path, service: Service, agent: str = "openai", train: int = 60) -> Desk:
    """A study whose judge is sent batches of at most 80 questions."""
    here = desk(folder, service, train)
    path = folder / "study.yaml"
    old = "agent: openai, profile: here, model: gpt-6-luna"
    new = f"agent: {agent}, profile: here, model: {WIRES[agent]}, mode: batch, batch_size: 80"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return here


@pytest.mark.parametrize("agent", WIRES)
def test_a_run_sends_batches_says_what_is_pending_and_a_later_run_collects(
    tmp_path: Path, service: Service, agent: str
) -> None:
    here = batched(tmp_path, service, agent)
    code, text = here.command(*JUDGE)
    assert code == 0, text
    total = here.train + N_QUESTIONS
    assert f"{total} questions in 3 batches are pending, until" in text
    assert here.judgments.is_empty()
    assert here.lake.read("materializations").filter(pl.col("table") == "judgments").is_empty(), (
        "there is no result yet"
    )
    for _ in range(4):
        here.judge()
    check_complete(here)
    assert set(service.batches.paid.values()) == {1}
    assert here.lake.read("materializations").filter(pl.col("table") == "judgments").height == 1
    assert KEY not in text
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert any(".dagster" in str(p) for p in files)
    assert [p for p in files if KEY.encode() in p.read_bytes()] == []


def test_a_batch_keeps_the_captions_that_it_was_sent_with_although_the_file_changes_before_it_is_collected(
    tmp_path: Path, service: Service
) -> None:
    here = batched(tmp_path, service)
    # the clips have two captions each, of which each triplet shows one
    path = tmp_path / "study.yaml"
    path.write_text(path.read_text().replace("captions.csv}", "captions.csv, use: random}"))
    captions = tmp_path / "captions.csv"
    lines = captions.read_text().splitlines()
    captions.write_text("\n".join([*lines, *(f"{line} again" for line in lines[1:])]) + "\n")
    here.judge()
    sent = here.lake.read("batch_requests")
    numbers = ["caption_a", "caption_b", "caption_c"]
    assert set(sent.select(numbers).to_numpy().ravel()) == {0, 1}
    captions.write_text("\n".join(lines) + "\n")
    for _ in range(5):
        here.judge()
    key = ["triplet_id", "presented", "repeat", "stimulus_version"]
    kept = here.judgments.join(sent.select(*key, *numbers), on=key, suffix="_sent")
    assert kept.height == sent.height
    for name in numbers:
        assert (kept[name] == kept[f"{name}_sent"]).all()


def test_the_sensor_asks_nobody_while_nothing_is_pending_and_starts_a_run_once_a_batch_has_ended(
    tmp_path: Path, service: Service
) -> None:
    here = batched(tmp_path, service)
    study = load_study(tmp_path / "study.yaml")
    (sensor,) = build_batch_sensors(study)

    def look() -> object:
        with dg.DagsterInstance.ephemeral() as instance:
            return sensor(dg.build_sensor_context(instance=instance))

    first = look()
    assert isinstance(first, dg.SkipReason)
    assert "no batch is pending" in str(first.skip_message)
    assert service.requests == 0
    here.judge()
    waiting = look()
    assert isinstance(waiting, dg.SkipReason)
    assert "are pending, until" in str(waiting.skip_message)
    for _ in range(4):
        found = look()
    assert isinstance(found, dg.SensorResult)
    (request,) = found.run_requests or []
    assert request.partition_key == "judge"
    assert {key.to_user_string() for key in request.asset_selection or []} == {"judgments", "attempts"}
    here.judge()
    check_complete(here)
    assert open_batches(here.lake).is_empty()
    assert isinstance(look(), dg.SkipReason)


def test_a_study_without_services_has_no_such_sensor(tmp_path: Path, service: Service) -> None:
    here = desk(tmp_path, service, 10)
    text = (here.folder / "study.yaml").read_text()
    (here.folder / "study.yaml").write_text(text[: text.index("models:")] + "models: []\n")
    assert build_batch_sensors(load_study(here.folder / "study.yaml")) == []


def test_going_over_to_real_time_collects_what_is_pending_and_asks_the_rest(tmp_path: Path, service: Service) -> None:
    here = batched(tmp_path, service)
    here.judge()
    path = tmp_path / "study.yaml"
    path.write_text(path.read_text().replace("mode: batch, batch_size: 80", "mode: realtime").replace("60", "90", 1))
    for _ in range(4):
        here.judge()
    assert here.judgments.height == 90 + N_QUESTIONS
    answered = service.answered()
    assert all(len(labels) == 1 for labels in answered.values())
