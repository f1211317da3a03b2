"""What starts by itself: what each sensor and schedule asks for, when, and that it comes to rest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from dagster_project.definitions import RESULTS, build_definitions
from dagster_project.jobs import asset_jobs
from dagster_project.planning import Selection
from dagster_project.runner import Outcome
from dagster_project.schedules import build_schedules, top_up
from dagster_project.sensors import build_sensors
from tests.end_to_end.conftest import Finished

N = 12
STUDY = """
name: clockwork
stimuli: {manifest: videos.csv}
captions: {file: captions.csv}
triplets: {train: 60, test: 20, seed: 0}
profiles: {here: {base_url: "http://127.0.0.1:9/v1", key_env: NO_SUCH_KEY}}
models:
  - {name: free, agent: simulated, file: space.npy, ids: ids.txt, temperature: 0.1}
  - {name: paid, agent: openai, profile: here, model: gpt-6-luna}
  - {name: dear, agent: openai, profile: here, model: gpt-6-luna}
embedding: {dimensions: 3, keep: 2, seeds: 2, l1: 0.02}
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)


class Clockwork(Finished):
    """A study on disk, of which nothing has been computed."""

    def write_clips(self, n: int) -> None:
        clips = [f"v{i:02}" for i in range(n)]
        (self.folder / "videos.csv").write_text("\n".join(["video_id", *clips]) + "\n")
        told = [f"{clip},clip {clip}" for clip in clips]
        (self.folder / "captions.csv").write_text("\n".join(["video_id,description", *told]) + "\n")

    def compute(self, *tables: str) -> None:
        assert self.run(Selection(frozenset(tables), frozenset({"free"}))).failed == {}


@pytest.fixture
def clockwork(tmp_path: Path) -> Clockwork:
    np.save(tmp_path / "space.npy", np.random.default_rng(0).random((N + 1, 3)).astype(np.float32))
    (tmp_path / "ids.txt").write_text("".join(f"v{i:02}\n" for i in range(N + 1)))
    (tmp_path / "study.yaml").write_text(STUDY)
    study = Clockwork(tmp_path, Outcome())
    study.write_clips(N)
    return study


def look(sensors: list[dg.SensorDefinition], name: str) -> list[Any]:
    """What one look of a sensor gives: requests for runs, or why there are none."""
    sensor = next(s for s in sensors if s.name == name)
    with dg.DagsterInstance.ephemeral() as instance:
        found: Any = sensor(dg.build_sensor_context(instance=instance))
        return [found] if isinstance(found, dg.RunRequest | dg.SkipReason) else list(found or [])


def test_a_changed_list_of_clips_is_read_again_once_and_an_unchanged_one_not(clockwork: Clockwork) -> None:
    sensors = build_sensors(clockwork.study, asset_jobs(clockwork.study))
    (first,) = look(sensors, "manifest_changed")
    assert isinstance(first, dg.RunRequest)
    clockwork.compute("videos")
    (quiet,) = look(sensors, "manifest_changed")
    assert isinstance(quiet, dg.SkipReason)
    clockwork.write_clips(N + 1)
    (changed,) = look(sensors, "manifest_changed")
    (again,) = look(sensors, "manifest_changed")
    assert changed.run_key != first.run_key
    assert changed.run_key == again.run_key, "Dagster starts one run for one key"
    (clockwork.folder / "videos.csv").unlink()
    (absent,) = look(sensors, "manifest_changed")
    assert "videos.csv is not there" in (absent.skip_message or "")


def test_a_newer_study_file_is_told_and_starts_nothing(clockwork: Clockwork) -> None:
    sensors = build_sensors(clockwork.study, asset_jobs(clockwork.study))
    (same,) = look(sensors, "study_changed")
    assert "is what this code location was loaded with" in same.skip_message
    clockwork.edit("seed: 0", "seed: 1")
    (newer,) = look(sensors, "study_changed")
    assert "reload the code location" in newer.skip_message


def test_what_is_due_is_requested_by_its_own_job_upstream_first_until_nothing_is(clockwork: Clockwork) -> None:
    clockwork.edit("  - {name: paid, agent: openai, profile: here, model: gpt-6-luna}\n", "")
    clockwork.edit("  - {name: dear, agent: openai, profile: here, model: gpt-6-luna}\n", "")
    study = clockwork.study
    sensors = build_sensors(study, asset_jobs(study))
    definitions = build_definitions(study)
    rounds = []
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(8):
            asked = look(sensors, "reconcile")
            rounds.append({(r.job_name, r.partition_key) for r in asked})
            for request in asked:
                job = definitions.resolve_job_def(request.job_name)
                assert job.execute_in_process(instance=instance, partition_key=request.partition_key).success
    assert rounds[0] == {("compute_videos", None)}
    asked_for = [name for found in rounds for name, _ in found]
    assert (
        asked_for.index("compute_triplets") < asked_for.index("compute_judgments") < asked_for.index("compute_report")
    )
    assert rounds[-1] == set()
    assert sum(len(r) for r in rounds) == len(set().union(*rounds)), "nothing is asked for twice"


def test_a_model_that_the_loaded_location_does_not_know_waits_for_a_reload(clockwork: Clockwork) -> None:
    loaded = clockwork.study
    sensors = build_sensors(loaded, asset_jobs(loaded))
    clockwork.compute("triplets", "captions")
    clockwork.edit("embedding:", "  - {name: late, agent: features, file: space.npy, ids: ids.txt}\nembedding:")
    asked = {r.partition_key for r in look(sensors, "reconcile") if r.job_name == "compute_judgments"}
    assert asked == {"free", "paid", "dear"}


def test_a_nights_money_is_parted_among_the_models_that_lack_answers_and_the_free_ones_need_none(
    clockwork: Clockwork,
) -> None:
    clockwork.compute("triplets", "captions")
    assert top_up(clockwork.study, clockwork.lake) == {"free": None}, "without a budget nothing is spent"
    clockwork.edit("embedding:", "automation: {max_usd_per_night: 5}\nembedding:")
    assert top_up(clockwork.study, clockwork.lake) == {"free": None, "paid": 2.5, "dear": 2.5}
    (nightly,) = (s for s in build_schedules(clockwork.study) if s.name == "judgments_nightly")
    tick: Any = nightly
    found = list(tick(dg.build_schedule_context(scheduled_execution_time=datetime(2026, 11, 25, 2, tzinfo=UTC))))
    assert [(r.partition_key, r.tags.get("affectlake/max_usd")) for r in found] == [
        ("free", None),
        ("paid", "2.500000"),
        ("dear", "2.500000"),
    ]
    assert {r.run_key for r in found} == {f"2026-11-25|{m}" for m in ("free", "paid", "dear")}
    clockwork.compute("judgments")
    assert set(top_up(clockwork.study, clockwork.lake)) == {"paid", "dear"}


def test_only_what_people_read_becomes_overdue_and_only_where_the_study_says_when(clockwork: Clockwork) -> None:
    def overdue() -> set[str]:
        graph = build_definitions(clockwork.study).resolve_asset_graph()
        return {n.key.path[-1] for n in graph.asset_nodes if n.freshness_policy is not None}

    assert overdue() == set()
    clockwork.edit("embedding:", "automation: {fresh_days: 30}\nembedding:")
    assert overdue() == {"embedding_quality", "report"}
    assert overdue() <= set(RESULTS)


def test_nothing_starts_by_itself_before_someone_switches_it_on_but_collecting_what_was_sent(
    clockwork: Clockwork,
) -> None:
    definitions = build_definitions(clockwork.study)
    running = {s.name for s in definitions.sensors or () if s.default_status is dg.DefaultSensorStatus.RUNNING}
    assert running == {"collect_batches"}
    ticking = [s for s in definitions.schedules or () if s.default_status is dg.DefaultScheduleStatus.RUNNING]
    assert ticking == []


def test_the_check_of_the_report_names_what_is_behind(clockwork: Clockwork) -> None:
    clockwork.compute("triplets")
    definitions = build_definitions(clockwork.study)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_implicit_global_asset_job_def()
        key = dg.AssetCheckKey(dg.AssetKey("report"), "everything_current")
        done = job.get_subset(asset_selection=set(), asset_check_selection={key}).execute_in_process(instance=instance)
    (verdict,) = done.get_asset_check_evaluations()
    assert not verdict.passed
    assert verdict.severity is dg.AssetCheckSeverity.WARN
    assert "judgments free" in str(verdict.metadata["behind"].value)
    assert "videos" not in str(verdict.metadata["behind"].value)
