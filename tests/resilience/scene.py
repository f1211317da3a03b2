"""A study, a lake and a Dagster home to kill processes in, and what must be true of the table whatever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dagster_project.launcher import DAEMON_ENVIRONMENT
from resources.lake import Lake
from tests.resilience.location import MODELS, ROWS, STUDY, SUBJECTS, TABLE

ROOT = Path(__file__).parents[2]
ALL = [f"{model}|{subject}" for model in MODELS for subject in SUBJECTS]


@dataclass(frozen=True)
class Scene:
    """Everything under one folder."""

    folder: Path

    @classmethod
    def new(cls, folder: Path, instance: str = "") -> Scene:
        (folder / "home").mkdir(parents=True)
        (folder / "home" / "dagster.yaml").write_text(instance + "telemetry: {enabled: false}\n")
        (folder / "study.yaml").write_text(STUDY)
        return cls(folder)

    @property
    def environment(self) -> dict[str, str]:
        places = {
            "AFFECTLAKE_STUDY": str(self.folder / "study.yaml"),
            "AFFECTLAKE_LAKE": str(self.folder / "lake"),
            "DAGSTER_HOME": str(self.folder / "home"),
        }
        return {**os.environ, **DAEMON_ENVIRONMENT, **places}

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"), "killed")

    def start(self, *words: str, log: str) -> subprocess.Popen[bytes]:
        """A process in a group of its own, as a machine that loses its power ends it."""
        with (self.folder / f"{log}.log").open("ab") as file:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def nothing_is_half_written(self) -> int:
        """Check every partition that is there; returns how many are."""
        found = self.lake.scan(TABLE).group_by("model", "subject").agg(pl.len(), pl.col("mean_r").n_unique()).collect()
        assert set(found["len"].to_list()) <= {ROWS}
        assert set(found["mean_r"].to_list()) <= {1}
        return found.height

    def recorded(self) -> Counter[str]:
        """How often each partition's computation was written down."""
        return Counter(self.lake.scan("materializations").collect()["partition"].to_list())


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 the process and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
