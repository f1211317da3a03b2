"""``python -m tests.resilience.worker [PARTITION...]``: computes these partitions, else those that nobody computed yet.

It does what ``affectlake run`` does: marks dead runs as failed, asks the ledger, launches in-process Dagster runs.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import dagster as dg

from dagster_project.runner import HOST_TAG, PROCESS_TAG, fail_dead_runs
from resources.lake import Lake
from resources.provenance import Ledger
from resources.study import lake_root, load_study
from tests.resilience.location import MODELS, SUBJECTS, TABLE, defs


def main(chosen: list[str]) -> None:
    study = load_study(Path(os.environ["AFFECTLAKE_STUDY"]))
    lake = Lake(lake_root(study), study.name)
    job = defs().resolve_implicit_global_asset_job_def()
    tags = {HOST_TAG: socket.gethostname(), PROCESS_TAG: str(os.getpid())}
    with dg.DagsterInstance.get() as instance:
        fail_dead_runs(instance)
        for model in MODELS:
            for subject in SUBJECTS:
                name, key = f"{model}|{subject}", {"model": model, "subject": subject}
                wanted = name in chosen if chosen else Ledger(lake).fingerprint(TABLE, key) is None
                if wanted:
                    job.execute_in_process(instance=instance, partition_key=name, tags=tags)


if __name__ == "__main__":
    main(sys.argv[1:])
