"""Programs that serve until a test is done with them. What does not belong here: what they are asked."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def going_on(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[None]:
    """Run a program until the end of the block; what it started ends with it, even where it does not heed a signal."""
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
