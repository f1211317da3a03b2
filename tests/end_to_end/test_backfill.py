"""`affectlake backfill`: the daemon computes what is behind, and after a failure only what failed is queued again."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from dagster_project.backfilling import cancel_stuck
from dagster_project.definitions import build_definitions
from dagster_project.planning import State, survey
from dagster_project.runner import prepare_home
from resources.lake import Lake
from resources.study import load_study
from tests.servers.backfills import add_backfill
from tests.servers.ui import serving_ui

ROOT = Path(__file__).parents[2]
STUDY = """
name: queued
stimuli: {manifest: videos.csv}
models:
  - {name: good, agent: features, file: good.npy, ids: ids.txt}
  - {name: bad, agent: features, file: bad.npy, ids: ids.txt}
"""


def affectlake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("AFFECTLAKE_LAKE", "DAGSTER_HOME")}
    environment["AFFECTLAKE_STUDY"] = str(folder / "study.yaml")
    command = [sys.executable, "-m", "dagster_project", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ids = [f"v{i:02}" for i in range(12)]
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "videos.csv").write_text("\n".join(["video_id", *ids]) + "\n")
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    np.save(tmp_path / "good.npy", np.random.default_rng(0).random((12, 3)).astype(np.float32))
    (tmp_path / "bad.npy").write_bytes(b"no array")
    return tmp_path


@pytest.fixture
def daemon(folder: Path) -> Iterator[None]:
    with serving_ui(folder / "study.yaml"):
        yield


def test_without_a_daemon_it_says_how_to_start_one(folder: Path) -> None:
    done = affectlake(folder, "backfill")
    assert done.returncode == 1
    assert "affectlake ui" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_after_a_failure_only_what_failed_is_queued_again(folder: Path, daemon: None) -> None:
    study = load_study(folder / "study.yaml")
    lake = Lake(str(folder / "lake"), "queued")
    first = affectlake(folder, "backfill", "--select", "embeddings")
    assert first.returncode == 1, first.stdout + first.stderr
    assert "embeddings" in first.stderr
    behind = {(r.name, k.get("model")) for r, k, s in survey(study, lake) if s is not State.CURRENT}
    assert ("embeddings", "bad") in behind
    assert ("embeddings", "good") not in behind
    np.save(folder / "bad.npy", np.random.default_rng(1).random((12, 3)).astype(np.float32))
    with dg.DagsterInstance.from_config(str(folder / ".dagster")) as instance:
        before = {r.run_id for r in instance.get_runs()}
        second = affectlake(folder, "backfill", "--select", "embeddings")
        assert second.returncode == 0, second.stdout + second.stderr
        partitions = {r.tags.get("dagster/partition") for r in instance.get_runs() if r.run_id not in before}
    assert partitions == {"bad"}
    assert affectlake(folder, "backfill", "--select", "embeddings").stdout.startswith("nothing to do")


def test_one_run_brings_all_up_to_date_and_a_failure_stops_nothing_else(folder: Path) -> None:
    study = load_study(folder / "study.yaml")
    lake = Lake(str(folder / "lake"), "queued")
    job = build_definitions(study).resolve_job_def("bring_up_to_date")
    with dg.DagsterInstance.from_config(str(prepare_home(study))) as instance:
        first = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not first.success
        inside = instance.get_runs(dg.RunsFilter(tags={"affectlake/started_by": f"run {first.run_id}"}))
        ended = {(r.tags.get("dagster/partition"), r.status.value) for r in inside if "embeddings" in _tables(r)}
        assert ended == {("good", "SUCCESS"), ("bad", "FAILURE")}
        behind = {(r.name, k.get("model")) for r, k, s in survey(study, lake) if s is not State.CURRENT}
        assert ("embeddings", "good") not in behind
        np.save(folder / "bad.npy", np.random.default_rng(1).random((12, 3)).astype(np.float32))
        again = job.execute_in_process(instance=instance, run_config=_only(models=["bad"]))
        inside = instance.get_runs(dg.RunsFilter(tags={"affectlake/started_by": f"run {again.run_id}"}))
        assert {r.tags["dagster/partition"] for r in inside if "embeddings" in _tables(r)} == {"bad"}
        wrong = job.execute_in_process(instance=instance, run_config=_only(models=["nobody"]), raise_on_error=False)
        assert "has no nobody" in str(wrong.failure_data_for_node("compute_behind"))


def _tables(run: dg.DagsterRun) -> set[str]:
    return {key.path[-1] for key in run.asset_selection or ()}


def _only(**what: list[str]) -> dict[str, object]:
    return {"ops": {"compute_behind": {"config": what}}}


@pytest.mark.parametrize(
    ("minutes", "started_again", "going_on", "stuck"),
    [(5, False, False, True), (1, False, False, False), (5, True, False, False), (5, False, True, False)],
)
def test_a_backfill_that_waits_for_a_run_which_dagster_forgot_is_cancelled_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, started_again: bool, going_on: bool, stuck: bool
) -> None:
    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["x", "y"]))
    def thing() -> None: ...

    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        night = add_backfill(instance, thing, ["x", "y"])
        tags = {"dagster/backfill": night}
        job = dg.Definitions(assets=[thing]).resolve_implicit_global_asset_job_def()
        killed = instance.create_run_for_job(job, tags=tags | {"dagster/will_retry": "true"})
        instance.report_run_failed(killed)
        if started_again:
            again = instance.create_run_for_job(job, tags=tags, parent_run_id=killed.run_id, root_run_id=killed.run_id)
            instance.report_run_failed(again)
        if going_on:
            instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        later = time.time() + 60 * minutes
        monkeypatch.setattr("dagster_project.backfilling.time.time", lambda: later)
        assert cancel_stuck(instance) == ([night] if stuck else [])
        status = instance.get_backfill(night).status
        assert status is (BulkActionStatus.CANCELING if stuck else BulkActionStatus.REQUESTED)
