"""SIGKILL at named points: after a re-run nothing is there twice, nothing is missing, and no batch is paid twice.

The program under test carries nothing for this: a named point is the moment before or after one of its own functions is
called, and a small program of the test's wraps that function before it starts the command.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.agents.service.batches import open_batches
from tests.services.server import Service, serving
from tests.services.test_batch_runs import batched
from tests.services.test_runs import JUDGE, N_QUESTIONS, Desk, check_complete, desk

PROGRAM = """
import asyncio, os, signal, sys, threading, time
import resources.agents.service.agent as agent, resources.agents.service.batch_wire as wire
import resources.agents.service.anthropic_batch, resources.agents.service.openai_batch
agent.CHUNK_S = 0.2
for kind in wire.BatchWire.__subclasses__():
    kind.settle_s = 0.0
where, when, number, only = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
module, _, names = where.partition(":")
place = __import__(module, fromlist=["x"])
*path, name = names.split(".")
for step in path:
    place = getattr(place, step)
inner, calls = getattr(place, name), [0]

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def due(args):
    if only != "-" and only not in args:
        return False
    calls[0] += 1
    return calls[0] == number

def wrapped(*args, **kwargs):
    met = due([a for a in args if isinstance(a, str)])
    if met and when == "before":
        kill()
    if met and when == "during":
        threading.Thread(target=lambda: (time.sleep(0.003 * number), kill()), daemon=True).start()
    found = inner(*args, **kwargs)
    if met and when != "before":
        kill()
    return found

async def awaited(*args, **kwargs):
    met = due([])
    if met and when == "before":
        kill()
    found = await inner(*args, **kwargs)
    if met:
        kill()
    return found

setattr(place, name, awaited if asyncio.iscoroutinefunction(inner) else wrapped)
sys.argv = ["affectlake", *sys.argv[5:]]
import dagster_project.cli as cli
cli.main()
"""
"""Arguments: function, before | after | during, which of its calls, a word that must be among the call's arguments."""

_LAKE, _WIRE = "resources.lake:Lake", "resources.agents.service.wire:Wire"
_OPENAI, _ANTHROPIC = (
    "resources.agents.service.openai_batch:OpenAIBatches",
    ("resources.agents.service.anthropic_batch:AnthropicBatches"),
)
REAL_TIME = {
    "before a request": (f"{_WIRE}.send", "before", "-"),
    "after a request": (f"{_WIRE}.send", "after", "-"),
    "after a reply is read": (f"{_WIRE}.read", "after", "-"),
    "after answers, before they are appended": (f"{_LAKE}.append", "before", "judgments"),
    "in the append": (f"{_LAKE}.append", "during", "judgments"),
    "after judgments, before attempts": (f"{_LAKE}.append", "after", "judgments"),
    "after the append, before the ledger": ("resources.provenance:record", "before", "judgments"),
    "between the ledger's two rows": ("resources.provenance:record", "after", "judgments"),
}
BATCH = {
    "before the questions are written down": (f"{_LAKE}.overwrite", "before", "batch_requests"),
    "before the intent": (f"{_LAKE}.overwrite", "after", "batch_requests"),
    "after the intent, before the upload": (f"{_LAKE}.overwrite", "after", "batches"),
    "before the batch is made": ("{wire}.create", "before", "-"),
    "between the making and the note of its name": ("{wire}.create", "after", "-"),
    "while it is looked at": ("{wire}.look", "before", "-"),
    "between download and append": ("resources.agents.service.batches:_folded", "after", "-"),
    "in the append of what was collected": (f"{_LAKE}.append", "during", "judgments"),
    "after the append, before the batch is closed": (f"{_LAKE}.append", "after", "attempts"),
    "while the batch is closed": ("resources.agents.service.batches:Batches._close", "before", "-"),
    "after the batch is closed": ("resources.agents.service.batches:Batches._close", "after", "-"),
    "after all, before the ledger": ("resources.provenance:record", "before", "judgments"),
}
POINTS = [("realtime", name) for name in REAL_TIME] + [
    (agent, name) for agent in ("openai", "anthropic") for name in BATCH
]
SAMPLE = {
    ("realtime", "in the append"),
    ("openai", "between the making and the note of its name"),
    ("anthropic", "between the making and the note of its name"),
    ("openai", "after the append, before the batch is closed"),
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.services.test_batches import _kinds

    for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    from resources.agents.service.batch_wire import BatchWire

    for kind in _kinds(BatchWire):
        monkeypatch.setattr(kind, "settle_s", 0.0)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service()) as started:
        yield started


def killed(here: Desk, point: tuple[str, str, str], number: int) -> bool:
    """Run the command until the point kills it; False where it ended before."""
    where, when, only = point
    process = here.start(where, when, str(number), only, *JUDGE, program=("-c", PROGRAM))
    text = process.communicate(timeout=240)[0]
    assert process.returncode in (0, -signal.SIGKILL), text
    return process.returncode == -signal.SIGKILL


def settled(service: Service) -> None:
    """Wait for what the killed process had sent and the server had not read yet."""
    seen = -1
    while seen != (seen := service.requests):
        time.sleep(0.2)


def finish(here: Desk) -> None:
    for _ in range(12):
        here.judge()
        if open_batches(here.lake).is_empty() and here.judgments.height == here.train + N_QUESTIONS:
            return


@pytest.mark.parametrize(
    ("mode", "name", "seed"),
    [(*point, 0) for point in sorted(SAMPLE)]
    + [pytest.param(*point, seed, marks=pytest.mark.long) for point in POINTS for seed in range(20)],
)
def test_a_kill_at_a_named_point_costs_nothing_twice(
    tmp_path: Path, service: Service, mode: str, name: str, seed: int
) -> None:
    number = 1 if seed == 0 else random.Random(f"{mode}{name}{seed}").randint(1, 3)
    if mode == "realtime":
        here = desk(tmp_path, service, train=60)
        service.latency_s = 0.02
        where, when, only = REAL_TIME[name]
        number = number * 25 if where.startswith(_WIRE) else number
        hit = killed(here, (where, when, only), number)
    else:
        here = batched(tmp_path, service, mode, train=60)
        wire = _OPENAI if mode == "openai" else _ANTHROPIC
        where, when, only = BATCH[name]
        point = (where.format(wire=wire), when, only)
        hit = any(killed(here, point, number) for _ in range(5))
    assert hit or number > 1, "the point was never met"
    service.latency_s = 0.0
    settled(service)
    before = len(service.seen)
    kept = here.judgments.height
    finish(here)
    check_complete(here)
    assert here.lake.read("attempts").is_empty()
    if mode == "realtime":
        assert len(service.seen) - before == here.train + N_QUESTIONS - kept, "exactly the missing ones are asked"
    else:
        assert set(service.batches.paid.values()) == {1}, "paid questions are questions"
        assert len(service.batches.paid) == here.train + N_QUESTIONS


def test_there_are_more_than_twelve_points_and_they_are_functions_of_the_program() -> None:
    for where, _, _ in [*REAL_TIME.values(), *BATCH.values()]:
        module, _, names = where.format(wire=_OPENAI).partition(":")
        place = __import__(module, fromlist=["x"])
        for step in names.split("."):
            place = getattr(place, step)
        assert callable(place)
    assert len(REAL_TIME) + len(BATCH) >= 12
    assert sys.platform != "win32"
