"""What the batch interfaces of all services have in common: batches are made and looked at, results come down.

A request that changes nothing is made again until it succeeds. The one that makes a batch is not: where no answer comes
back nobody knows whether the batch exists, and finding out is left to whoever keeps the books (``batches``).
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from affectlake.errors import AgentError
from resources.agents.service.loop import Patience
from resources.agents.service.wire import (
    CONNECT_S,
    Clients,
    Kind,
    Prompt,
    Reply,
    Wire,
    at,
    json_object,
    kind_of,
    list_at,
)
from resources.agents.service.wire import retry_after as waited_for

TRIES = 6
"""Requests made where the service fails or asks us to wait."""

LONG_S = 600.0
"""Between two bytes of a file of 200 MB that goes up or comes down."""


class Unheard(Exception):  # noqa: N818 - not an error: nobody knows
    """Nobody knows whether the service did what it was asked, or what it would have said."""


class Refused(Exception):  # noqa: N818 - an answer of the service
    """The service says no, and did nothing."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


@dataclass(frozen=True)
class Batch:
    """A batch as the service tells it."""

    id: str
    requests: int | None
    """Questions in it, where the service has counted them."""
    created_at: datetime
    ended: bool = False
    """True where its results can be had."""
    failure: str | None = None
    """Why it was refused as a whole."""
    until: datetime | None = None
    """When it ends at the latest."""
    ended_at: datetime | None = None
    tag: str | None = None
    """Our name of it, where the service keeps one."""
    files: tuple[str, ...] = ()
    """Where its results are, where that is not told by its name."""


class BatchWire(ABC):
    """One dialect of batches, over the wire that words a question and reads its answer.

    Parameters
    ----------
    wire : Wire
        The same service in real time.
    clients : Clients
        Knows address and headers.
    patience : Patience
        How long to bear.
    """

    path: str
    """Where batches are made and listed."""
    after: str
    """Name of the parameter that asks for the batches after one."""
    most: int
    most_bytes: int
    """Questions, and bytes of them, that one batch takes."""
    settle_s: float
    """So long after a batch was sent and nothing heard it may still come to be."""
    tags: bool
    """Whether the service keeps our name of a batch."""

    def __init__(self, wire: Wire, clients: Clients, patience: Patience) -> None:
        import httpx2

        self._wire, self._base, self._patience, self._error = wire, clients.base, patience, httpx2.HTTPError
        self._unsent = (httpx2.ConnectError, httpx2.ConnectTimeout)
        headers = clients.headers.copy()
        headers.pop("content-type", None)
        self._http = httpx2.Client(
            headers=headers, follow_redirects=False, timeout=httpx2.Timeout(LONG_S, connect=CONNECT_S)
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    @abstractmethod
    def line(self, key: str, prompt: Prompt) -> bytes:
        """One question as it stands in a batch, without line ends."""

    @abstractmethod
    def write(self, path: Path, lines: Iterable[bytes]) -> None:
        """Write what is sent for a batch of these lines."""

    @abstractmethod
    def create(self, shard: str, path: Path) -> Batch:
        """Make a batch of a file that :meth:`write` wrote.

        Raises
        ------
        Refused
            There is no batch.
        Unheard
            There may be one.
        AgentError
            The service was not reached; there is none.
        """

    @staticmethod
    @abstractmethod
    def read(body: Any) -> Batch | None:
        """The batch that an answer tells; None where it tells none."""

    def look(self, batch_id: str) -> Batch:
        """The batch as it is now; raises Refused where the service does not know it."""
        return self._told(self._call("GET", f"{self.path}/{batch_id}"))

    def listed(self, since: datetime) -> Iterator[Batch]:
        """All batches of the account made after ``since``, newest first."""
        after = ""
        while True:
            page = self._call("GET", f"{self.path}?limit=100{after}")
            found = [b for b in map(self.read, list_at(page, "data")) if b is not None]
            yield from (batch for batch in found if batch.created_at >= since)
            if at(page, "has_more") is not True or not found or found[-1].created_at < since:
                return
            after = f"&{self.after}={found[-1].id}"

    def _told(self, body: Any) -> Batch:
        found = self.read(body)
        if found is None:
            raise Unheard("the answer is no batch")
        return found

    @abstractmethod
    def results(self, batch: Batch) -> Iterator[tuple[str | None, Reply]]:
        """Custom id and reply of each line, in any order; None for the id where the line cannot be read.

        Raises
        ------
        Unheard
            The results did not come down whole.
        """

    def _call(
        self, method: str, path: str, content: Callable[[], dict[str, Any]] = dict, *, once: bool = False
    ) -> dict[str, Any]:
        """The answer's body; ``once``: what was sent and not heard of is not sent again."""
        told = ""
        for attempt in range(TRIES):
            wait: float | None = None
            try:
                response = self._http.request(method, self._base + path, **content())
            except self._error as error:
                sent, told = not isinstance(error, self._unsent), f"{type(error).__name__}: {error}"
            else:
                body = json_object(response.content) if response.is_success else None
                if body is not None:
                    return body
                kind = Kind.SERVICE if response.is_success else kind_of(response.status_code, response.text)
                told = f"HTTP {response.status_code} {response.text[:300]}"
                if kind in (Kind.FATAL, Kind.REJECTED):
                    raise Refused(response.status_code, self._wire.kept(told))
                sent, wait = kind is Kind.SERVICE, waited_for(response.headers.get)
            if once and sent:
                raise Unheard(self._wire.kept(told))
            self._pause(attempt, wait)
        raise AgentError(f"no answer to {TRIES} requests; the last: {self._wire.kept(told)}", remedy=_LATER)

    def _pause(self, attempt: int, wait_s: float | None) -> None:
        patience = self._patience
        if wait_s is not None and wait_s > patience.longest_wait_s:
            until = datetime.now(UTC) + timedelta(seconds=wait_s)
            raise AgentError(f"rate limited until {until:%Y-%m-%d %H:%M:%S} UTC", remedy=_LATER)
        longest = min(patience.longest_pause_s, patience.pause_s * 2**attempt)
        time.sleep((wait_s or 0.0) + random.uniform(longest / 2, longest))  # noqa: S311 - a pause, not a secret

    def _lines(self, path: str) -> Iterator[str]:
        """The lines of a file, as they come down."""
        try:
            with self._http.stream("GET", self._base + path) as response:
                if not response.is_success:
                    response.read()
                    told = self._wire.kept(f"HTTP {response.status_code} {response.text[:300]}")
                    if kind_of(response.status_code, response.text) in (Kind.FATAL, Kind.REJECTED):
                        raise Refused(response.status_code, told)
                    raise Unheard(told)
                yield from (line for line in response.iter_lines() if line.strip())
        except self._error as error:
            raise Unheard(self._wire.kept(f"{type(error).__name__}: {error}")) from None


_LATER = "Run again later; what is done is kept."

UNASKED = Reply(Kind.LIMITED, "expired", "the batch ended before it was asked", latency_s=None)
"""The reply to a question whose batch expired or was cancelled first: no attempt of the judge's."""


def moment(value: Any) -> datetime | None:
    """A time as services tell it: seconds since 1970, or a date."""
    try:
        found = datetime.fromtimestamp(value, UTC) if isinstance(value, int) else datetime.fromisoformat(value)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
