"""How many requests may be in flight, and how soon the next may start.

The number grows while answers come and is cut where the service says that it is too much; a wait that the service asks
for holds for all requests.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

import anyio

START = 8
"""Requests in flight before anything is known of the service."""

CUT = 0.7
"""What is left of the number in flight after a 429."""

BURST_S = 1.0
"""So much of the minute's allowance that was not used may be caught up."""


class Limiter:
    """Admits requests in the order in which they come; used as ``async with limiter:`` around each.

    Made inside the event loop that uses it.

    Parameters
    ----------
    most : int
        Upper limit of requests in flight.
    per_minute : int
        Requests that may start in a minute.
    stop : asyncio.Event
        Ends every wait.
    """

    def __init__(self, most: int, per_minute: int, stop: asyncio.Event) -> None:
        self._most, self._interval, self._stop = most, 60 / per_minute, stop
        self._limit = float(min(START, most))
        # asyncio's own conditions let whoever comes just then pass those that wait: a question waited for a minute
        self._places = anyio.CapacityLimiter(int(self._limit))
        self._growing_fast = True
        self._next_start = self._closed_until = self._last_cut = -1e9

    async def __aenter__(self) -> None:
        await self._places.acquire()
        await self._pace()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._places.release()

    async def _pace(self) -> None:
        now = _now()
        self._next_start = max(self._next_start, now - BURST_S) + self._interval
        await self.sleep(self._next_start - now)
        while self._closed_until > _now() and not self._stop.is_set():
            await self.sleep(self._closed_until - _now())

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the run is stopped."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self._stop.wait(), seconds)
            except TimeoutError:
                return

    def answered(self) -> None:
        """The service answered: twice as many a round trip until the first cut, then one more."""
        self._admit(self._limit + (1 if self._growing_fast else 1 / self._limit))

    def limited(self, started: float, wait_s: float) -> None:
        """The service wants less: cut once for all requests that were under way, and hold everything for a while."""
        if started > self._last_cut:
            self._admit(self._limit * CUT)
            self._last_cut, self._growing_fast = _now(), False
        self._closed_until = max(self._closed_until, _now() + wait_s)

    def _admit(self, limit: float) -> None:
        self._limit = min(self._most, max(1.0, limit))
        self._places.total_tokens = int(self._limit)


def _now() -> float:
    return asyncio.get_running_loop().time()
