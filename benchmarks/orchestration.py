"""What Dagster costs: outside the steps of a finished study, a run with nothing to do, and a partition of each engine.

``python benchmarks/orchestration.py [STUDY_FOLDER]``: the folder of a study that `affectlake run` has computed (default
``studies/demo``); the share of wall time outside its steps is read from its Dagster instance. Then a synthetic study of
5 subjects and 5 models, whose partitions cost next to nothing to compute, is brought up to date from nothing by each
engine: in the process of `affectlake run`, by the job `bring_up_to_date` in one run of the daemon's, by a backfill with
one run a partition (two at a time), and on a Ray cluster of one node with two cores. What is counted is the wall time
from the first start to the last end in Dagster's instance, over the runs of partitions.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers.ui import serving_ui

STUDY = """
name: five
synthetic: true
stimuli: {{manifest: videos.csv}}
models:
{models}
brain:
  format: responses
  matrix: "{{subject}}.npy"
  stimuli: rows.csv
  voxels: voxels.csv
  stimulus_column: video_id
  subjects: [s1, s2, s3, s4, s5]
encoding: {{folds: 3, alphas: [1.0, 100.0], null: 0}}
"""
PAUSE_S = 60.0
"""Runs further apart belong to different commands."""


def overhead(folder: Path) -> tuple[int, float, float]:
    """Runs, wall seconds from the first start to the last end of the first command, and seconds inside its steps."""
    with dg.DagsterInstance.from_config(str(folder / ".dagster")) as instance:
        records = sorted(instance.get_run_records(), key=lambda r: r.start_time or 0.0)
        first, end = [], 0.0
        for record in records:
            if first and (record.start_time or 0.0) - end > PAUSE_S:
                break
            first.append(record)
            end = max(end, record.end_time or 0.0)
        inside = 0.0
        computing = [record for record in first if record.dagster_run.job_name != "bring_up_to_date"]
        for record in computing:
            for step in instance.get_run_step_stats(record.dagster_run.run_id):
                inside += (step.end_time or 0.0) - (step.start_time or 0.0)
        return len(computing), end - (first[0].start_time or 0.0), inside


def five_by_five(folder: Path) -> None:
    """Write a study of 5 subjects and 5 feature spaces."""
    rng = np.random.default_rng(0)
    clips = [f"v{i:02}" for i in range(30)]
    names = [f"m{k}" for k in range(5)]
    models = "\n".join(f"  - {{name: {n}, agent: features, file: {n}.npy, ids: ids.txt}}" for n in names)
    (folder / "study.yaml").write_text(STUDY.format(models=models))
    (folder / "videos.csv").write_text("\n".join(["video_id", *clips]) + "\n")
    (folder / "ids.txt").write_text("\n".join(clips) + "\n")
    (folder / "rows.csv").write_text("\n".join(["run,video_id", *(f"{i // 10},{c}" for i, c in enumerate(clips))]))
    (folder / "voxels.csv").write_text("\n".join(["rois", *["a"] * 4]) + "\n")
    for name in names:
        np.save(folder / f"{name}.npy", rng.random((30, 3)).astype(np.float32))
    for subject in range(1, 6):
        np.save(folder / f"s{subject}.npy", rng.normal(size=(30, 4)))


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("AFFECTLAKE_LAKE", "DAGSTER_HOME", "RAY_ADDRESS")}
    return {**kept, "AFFECTLAKE_STUDY": str(folder / "study.yaml"), "PYTHONPATH": str(Path(__file__).parents[1])}


def command(folder: Path, *words: str) -> str:
    """What a command of affectlake says on the error stream."""
    done = subprocess.run(
        [sys.executable, "-m", "dagster_project", *words],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()


def timed(folder: Path) -> float:
    """Seconds that `affectlake run` takes."""
    begin = time.perf_counter()
    print("  " + command(folder, "run").splitlines()[-1])
    return time.perf_counter() - begin


def one_run(folder: Path) -> None:
    """The job that computes everything in one run, queued for the daemon."""
    home = {**environment(folder), "DAGSTER_HOME": str(folder / ".dagster")}
    workspace = str(Path(__file__).parents[1] / "workspace.yaml")
    dagster = str(Path(sys.executable).parent / "dagster")
    launch = [dagster, "job", "launch", "-w", workspace, "-j", "bring_up_to_date"]
    with serving_ui(folder / "study.yaml"):
        subprocess.run(launch, env=home, check=True, capture_output=True)
        with dg.DagsterInstance.from_config(str(folder / ".dagster")) as instance:
            while not all(run.is_finished for run in instance.get_runs(dg.RunsFilter(job_name="bring_up_to_date"))):
                time.sleep(0.5)


def backfilled(folder: Path) -> None:
    """A run a partition, each in a process that the daemon starts."""
    with serving_ui(folder / "study.yaml"):
        command(folder, "backfill")


def on_ray(folder: Path) -> None:
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": "127.0.0.2", "object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 2})
    try:
        command(folder, "run", "--engine", "ray", "--address", made.address)
    finally:
        made.shutdown()


def by_engine() -> None:
    """Print what a partition costs in each engine."""
    ways: dict[str, Callable[[Path], object]] = {
        "affectlake run, in process": lambda folder: command(folder, "run"),
        "job bring_up_to_date, one run": one_run,
        "affectlake backfill, a run each": backfilled,
        "affectlake run --engine ray": on_ray,
    }
    print(f"{'engine':34} {'runs':>5} {'wall s':>8} {'s a run':>8} {'outside steps':>14}")
    for name, way in ways.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            five_by_five(folder)
            way(folder)
            runs, wall, inside = overhead(folder)
            print(f"{name:34} {runs:5} {wall:8.1f} {wall / runs:8.2f} {100 * (1 - inside / wall):12.0f} %", flush=True)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "studies/demo")
    if (folder / ".dagster").is_dir():
        runs, wall, inside = overhead(folder)
        print(f"{folder.name}: {runs} runs, {wall:.1f} s of wall time, {inside:.1f} s inside steps")
        print(f"  outside steps: {100 * (1 - inside / wall):.1f} % ({1000 * (wall - inside) / runs:.0f} ms a run)")
    else:
        print(f"{folder} has not been computed; `affectlake demo` does it")
    with tempfile.TemporaryDirectory() as scratch:
        five_by_five(Path(scratch))
        print(f"5 subjects x 5 models, first run: {timed(Path(scratch)):.1f} s")
        print(f"5 subjects x 5 models, nothing to do: {timed(Path(scratch)):.1f} s")
    by_engine()


if __name__ == "__main__":
    main()
