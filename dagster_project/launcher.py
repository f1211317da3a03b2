"""Dagster's default run launcher, which notices that a run's process is gone.

The default one does not look: a run whose process and code server went down together, as when a machine is switched
off, stays "started" and holds its pool until a time limit ends it. This one tells the monitoring daemon, which marks
the run as failed and starts it again (``run_retries`` in ``dagster.yaml``).
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

DAEMON_ENVIRONMENT = {
    "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",
    "DAGSTER_MAX_BACKFILL_RETRIES": "100",
}
"""What a daemon needs in its environment so that a backfill waits for a code server that is gone, instead of failing.
"""

_HERE = ("localhost", "127.0.0.1", "::1", socket.gethostname())


class WatchedRunLauncher(DefaultRunLauncher):
    """Looks whether the process of a run on this machine is alive; trusts what runs on others."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: that is what it is for."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process is there."""
        process = self._process(run)
        if process is None or alive(process):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"process {process} is gone", transient=False)

    def _process(self, run: dg.DagsterRun) -> int | None:
        """The process that computes a run, where it is on this machine and has said so."""
        server: dict[str, Any] = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if server.get("host", "localhost") not in _HERE or not server:
            return None
        for event in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            found = event.get_dagster_event().engine_event_data
            pid = found.metadata.get("pid")
            if pid is not None:
                return int(str(pid.value))
        return None


def alive(process: int) -> bool:
    """Whether a process of this machine runs; one that ended and waits for its parent does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not every system has /proc
        return True
    return status.rpartition(")")[2].split()[0] != "Z"
