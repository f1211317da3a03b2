"""The peak memory of one process; ``resource`` tells a peak that begins with that of the process that started it."""

from __future__ import annotations

import re
from pathlib import Path


def peak_mb(pid: int | str = "self") -> float:
    """The most that a process has held so far, in MB; 0 where it is gone."""
    return status_mb("VmHWM", pid)


def status_mb(name: str, pid: int | str = "self") -> float:
    """What Linux says of a process's memory under ``name``, in MB; 0 where the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"{name}:\s+(\d+)", text)
    return int(found[1]) / 1024 if found else 0.0
