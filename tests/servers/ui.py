"""`affectlake ui` as a process of its own: the user interface with its daemon."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.processes import going_on
from tests.servers.s3 import free_port

_DAEMON = '{instance{daemonHealth{daemonStatus(daemonType:"BACKFILL"){healthy}}}}'


def wait(seconds: float, what: Callable[[], Any]) -> Any:
    """The first true value of ``what``; what cannot be reached yet is waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise TimeoutError


@dataclass(frozen=True)
class Served:
    """A user interface on loopback."""

    port: int

    def ask(self, query: str, **variables: Any) -> Any:
        """What it says to a GraphQL query."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", data=body, headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]


@contextmanager
def serving_ui(study: Path) -> Iterator[Served]:
    """Serve the study of this file until the end of the block; yields when it answers and its daemon is well."""
    served = Served(free_port())
    places = ("AFFECTLAKE_LAKE", "DAGSTER_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in places} | {"AFFECTLAKE_STUDY": str(study)}
    words = [sys.executable, "-m", "dagster_project", "ui", "--port", str(served.port)]
    with going_on(words, environment):
        wait(180, lambda: served.ask("{version}"))
        wait(180, lambda: served.ask(_DAEMON)["instance"]["daemonHealth"]["daemonStatus"]["healthy"])
        yield served
