"""A backfill while its daemon, its code server and its workers are killed: every partition comes, none half-written.

A run that is killed after its commit and before Dagster hears of it is computed again, to the same rows. Dagster starts
a killed run again at a moment of its own: if the code server is gone just then, it gives the run up, and the backfill
ends as failed; if the daemon is killed just then, it forgets the run, and `affectlake backfill` cancels the backfill.
What is missing is then queued again, as that command does.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus

from dagster_project.backfilling import cancel_stuck
from dagster_project.launcher import alive
from tests.resilience.location import run_scores
from tests.resilience.scene import ALL, ROOT, Scene, kill
from tests.servers.backfills import add_backfill
from tests.servers.s3 import free_port, wait_for

VICTIMS = ("worker", "daemon", "code server")


def instance_settings() -> str:
    """The settings that the product ships, with shorter pauses, so that a test waits for seconds instead of minutes."""
    shipped = yaml.safe_load((ROOT / "dagster_project" / "dagster.yaml").read_text(encoding="utf-8"))
    del shipped["telemetry"]
    shipped["run_monitoring"] |= {"poll_interval_seconds": 2, "start_timeout_seconds": 20}
    shipped["run_retries"]["max_retries"] = 1000
    shipped["run_coordinator"]["config"]["user_code_failure_retry_delay"] = 2
    return yaml.safe_dump(shipped)


@dataclass
class Stack:
    """A daemon and a code server, which are started again when they are killed, as systemd or Kubernetes does."""

    scene: Scene
    port: int = field(default_factory=free_port)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        if name == "code server":
            words = ("-m", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(self.port))
            self.running[name] = self.scene.start(*words, "-m", "tests.resilience.location", log="code")
            wait_for(self.port, self.running[name], 120)
        else:
            workspace = self.scene.folder / "workspace.yaml"
            server = {"host": "127.0.0.1", "port": self.port, "location_name": "killed"}
            workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
            self.running[name] = self.scene.start("-m", "dagster._daemon", "run", "-w", str(workspace), log="daemon")

    def workers(self, instance: dg.DagsterInstance) -> list[int]:
        """Processes of the runs that are going on."""
        found = []
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            for event in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
                pid = event.get_dagster_event().engine_event_data.metadata.get("pid")
                if pid is not None and alive(int(str(pid.value))):
                    found.append(int(str(pid.value)))
        return sorted(set(found))


@contextmanager
def stack(scene: Scene) -> Iterator[Stack]:
    running = Stack(scene)
    try:
        running.begin("code server")
        running.begin("daemon")
        yield running
    finally:
        for process in running.running.values():
            kill(process)


def strike(running: Stack, instance: dg.DagsterInstance, victim: str, rng: random.Random) -> bool:
    """Kill -9 one victim and start again what a supervisor would; False where there is no such victim now."""
    if victim == "worker":
        going_on = running.workers(instance)
        if not going_on:
            return False
        os.kill(rng.choice(going_on), signal.SIGKILL)
    else:
        kill(running.running[victim])
        running.begin(victim)
    return True


def _given_up(instance: dg.DagsterInstance, backfill: str) -> bool:
    """Whether each run that failed for good is one that Dagster wanted to start again and could not."""
    runs = instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": backfill}))
    again = {run.parent_run_id for run in runs}
    lost = [r for r in runs if r.status is dg.DagsterRunStatus.FAILURE and r.run_id not in again]
    told = ["Failed to retry run" in " ".join(e.message for e in instance.all_logs(run.run_id)) for run in lost]
    return bool(told) and all(told)


@pytest.mark.parametrize(("kills", "partitions"), [(3, 5), (60, len(ALL))])
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_backfill_survives_kills_and_ends_with_every_partition_whole(
    tmp_path: Path, kills: int, partitions: int
) -> None:
    wanted = ALL[:partitions]
    rng, struck, round_ = random.Random(kills), 0, 0
    while struck < kills:
        round_ += 1
        scene = Scene.new(tmp_path / str(round_), instance_settings())
        with dg.DagsterInstance.from_config(str(scene.folder / "home")) as instance, stack(scene) as running:
            missing, nights = wanted, 0
            while missing:
                nights += 1
                assert nights <= 1 + struck, "a backfill without kills must not end as failed"
                backfill, end, forgotten = add_backfill(instance, run_scores, missing), time.monotonic() + 600, []
                while instance.get_backfill(backfill).status is BulkActionStatus.REQUESTED and time.monotonic() < end:
                    time.sleep(rng.uniform(0, 1))
                    if struck < kills and scene.nothing_is_half_written() < partitions:
                        struck += strike(running, instance, VICTIMS[struck % len(VICTIMS)], rng)
                    scene.nothing_is_half_written()
                    forgotten = cancel_stuck(instance)
                ended = instance.get_backfill(backfill).status
                whole = ended is BulkActionStatus.COMPLETED_SUCCESS
                assert whole or forgotten or _given_up(instance, backfill), ended
                missing = [p for p in wanted if p not in scene.recorded()]
            assert scene.nothing_is_half_written() == partitions
            again = {p: n for p, n in scene.recorded().items() if n > 1}
            assert set(scene.recorded()) == set(wanted)
            assert sum(again.values()) - len(again) <= struck
