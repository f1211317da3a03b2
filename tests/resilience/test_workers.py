"""Workers that are killed or write at the same time: every partition is there once, whole."""

from __future__ import annotations

import random
import time
from pathlib import Path

import dagster as dg
import pytest

from tests.resilience.scene import ALL, Scene, kill

WORKER = ("-m", "tests.resilience.worker")
WRITERS = 8


@pytest.mark.parametrize("kills", [3, pytest.param(200, marks=pytest.mark.long)])
def test_killed_workers_leave_no_half_written_partition_and_the_next_one_goes_on(tmp_path: Path, kills: int) -> None:
    scene, rng = Scene.new(tmp_path), random.Random(kills)
    for _ in range(kills):
        before = scene.nothing_is_half_written()
        if before == len(ALL):
            scene = Scene.new(tmp_path / str(rng.random()))
            before = 0
        worker = scene.start(*WORKER, log="worker")
        end = time.monotonic() + 60
        while worker.poll() is None and scene.nothing_is_half_written() == before and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.6))
        assert worker.poll() in (None, 0), "the worker failed by itself"
        kill(worker)
        scene.nothing_is_half_written()
    assert scene.start(*WORKER, log="worker").wait(300) == 0
    assert scene.nothing_is_half_written() == len(ALL)
    counts = scene.recorded()
    assert sorted(counts) == sorted(ALL)
    assert set(counts.values()) == {1}, "a partition was computed again although its computation was written down"


def test_eight_writers_of_one_table_fail_no_run_and_lose_no_row(tmp_path: Path) -> None:
    scene = Scene.new(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path / "home")):
        pass  # the database is made once, as `affectlake run` and `dagster dev` make it before any worker starts
    writers = [scene.start(*WORKER, *ALL[n::WRITERS], log=f"writer{n}") for n in range(WRITERS)]
    assert [w.wait(300) for w in writers] == [0] * WRITERS
    assert scene.nothing_is_half_written() == len(ALL)
    assert set(scene.recorded().values()) == {1}
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * len(ALL)
