"""Progress of long work: a bar in a terminal, a line in the log now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import dagster as dg
from rich.progress import Progress


class Advance(Protocol):
    """Told where the work stands."""

    def __call__(self, done: int, total: int, note: str = "", /) -> None:
        """``done`` of ``total``; ``note`` is shown beside it."""
        ...


_LOG_EVERY_S = 10.0
_terminal: Progress | None = None


@contextmanager
def in_terminal(bars: Progress) -> Iterator[None]:
    """Draw the progress of everything that runs inside on ``bars``."""
    global _terminal
    _terminal = bars
    try:
        yield
    finally:
        _terminal = None


class ProgressResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Shows how far long work has come."""

    @contextmanager
    def track(self, context: dg.AssetExecutionContext, what: str) -> Iterator[Advance]:
        """Follow one piece of work; the callback is told ``(done, total)``."""
        if _terminal is not None:
            task = _terminal.add_task(what, total=None)
            bars = _terminal

            def draw(done: int, total: int, note: str = "", /) -> None:
                bars.update(task, completed=done, total=total, description=f"{what} {note}".strip())

            try:
                yield draw
            finally:
                bars.remove_task(task)
        else:
            yield _logger(context, what)


def _logger(context: dg.AssetExecutionContext, what: str) -> Advance:
    last = time.monotonic()

    def log(done: int, total: int, note: str = "", /) -> None:
        nonlocal last
        if time.monotonic() - last >= _LOG_EVERY_S:
            last = time.monotonic()
            context.log.info(f"{what}: {done:,} of {total:,} {note}".strip())

    return log
