"""Limits of a process that answers one question and ends, beyond those that the engine keeps by itself.

DuckDB's memory limit does not count what a single function makes (``repeat('x', 10000000000)``), and such a function
cannot be interrupted. So the kernel holds the memory, and a clock the process. Where a system has no such limits
(RLIMIT_DATA counts on Linux only) the engine's own stay.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

HEADROOM = 2 * 2**30
"""What a process may take beyond the engine's memory limit: the answer itself, in Arrow and as it is printed."""

GRACE_S = 5.0
"""Seconds that an interrupted statement has to end by itself."""


def confine(memory: int, seconds: float, overdue: Callable[[], None]) -> None:
    """Let this process take at most ``memory`` more bytes, and end it ``seconds`` from now.

    Parameters
    ----------
    memory : int
        Bytes, beyond what the process holds already.
    seconds : float
    overdue : callable
        Called before the process ends with exit code 1; says why.
    """
    if sys.platform == "linux":
        import resource

        limit = _held() + memory
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))

    def end() -> None:
        overdue()
        sys.stderr.flush()
        os._exit(1)

    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()


def _held() -> int:
    """Bytes of data that this process has been given."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmData:")) * 1024
