"""What Dagster costs: wall time outside the steps of a finished study's first run, and a run that finds nothing to do.

``python benchmarks/orchestration.py [STUDY_FOLDER]``: the folder of a study that `affectlake run` has computed (default
``studies/demo``); the share of wall time outside its steps is read from its Dagster instance. Then a synthetic study of
5 subjects and 5 models is computed in a temporary folder, and `affectlake run` on it is timed once more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg
import numpy as np

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
        for record in first:
            for step in instance.get_run_step_stats(record.dagster_run.run_id):
                inside += (step.end_time or 0.0) - (step.start_time or 0.0)
        return len(first), end - (first[0].start_time or 0.0), inside


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


def timed(folder: Path) -> float:
    """Seconds that `affectlake run` takes."""
    environment = {k: v for k, v in os.environ.items() if k not in ("AFFECTLAKE_LAKE", "DAGSTER_HOME")}
    environment["AFFECTLAKE_STUDY"] = str(folder / "study.yaml")
    begin = time.perf_counter()
    command = [sys.executable, "-m", "dagster_project", "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print("  " + done.stderr.strip().splitlines()[-1])
    return time.perf_counter() - begin


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


if __name__ == "__main__":
    main()
