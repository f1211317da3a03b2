"""What all services have in common: questions go out, a reply to each comes back, and every reply has a kind.

Replies are read from the body as it came: the SDKs would hand over models full of ``None``, or a string, where a server
answers 200 with something else. What does not belong here: what to do about a reply (``loop``).
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from itertools import cycle
from typing import TYPE_CHECKING, Any, Protocol

from affectlake.prompts import Ending, parse_answer
from resources.agents.service.media import Medium
from resources.study import Profile

if TYPE_CHECKING:
    import httpx2

RAW_BYTES = 2048
"""So much of an unaccepted answer is kept."""

CONNECT_S = 10.0

POOL = 16
"""Connections that one client keeps."""

_MEDIA_MARGIN = 3
"""Services differ in what they make of a picture; none known to us makes three times what the rule of thumb says."""

LONGEST_WAIT_S = 366 * 86400.0
"""Longer waits are taken for this: they come from a broken header, and dates end somewhere."""

_FATAL = {401, 402, 403, 404}
_AGAIN = {408, 409, 425}
_LIMITED = {429, 529}


class Kind(Enum):
    """What a reply means for what is done next."""

    ACCEPTED = auto()
    CONTENT = auto()
    """The judge gave no usable answer; asking again may help."""
    HOPELESS = auto()
    """The judge gave no usable answer and would give none if asked again."""
    SERVICE = auto()
    """The service failed: an error of the server, a lost connection, a body that is no answer at all."""
    LIMITED = auto()
    """The service asks us to wait."""
    REJECTED = auto()
    """The service will not take this request, now or later."""
    FATAL = auto()
    """The service will take none of our requests."""


Clips = tuple[tuple[str, tuple[Medium, ...]], ...]
"""Of each clip shown, a line and its media."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as the judge sees it."""

    text: str
    clips: Clips = ()
    """What stands before the text."""

    @property
    def bytes(self) -> int:
        """Bytes of its words."""
        return len(self.text.encode()) + sum(len(line.encode()) for line, _ in self.clips)

    @property
    def media_tokens(self) -> int:
        """Tokens that its media make, by rule of thumb."""
        return sum(medium.tokens for _, media in self.clips for medium in media)

    @property
    def tokens_at_most(self) -> int:
        """Upper bound of its tokens: no tokenizer makes more of a text than it has bytes."""
        return self.bytes + _MEDIA_MARGIN * self.media_tokens


@dataclass(frozen=True, slots=True)
class Question:
    """One question."""

    key: str
    row: tuple[object, ...]
    """What is known of it, by ``rows.SENT``: thousands wait, and names would take more room than values."""
    attempted: int
    """Physical answers to it in earlier runs."""
    show: Callable[[Question], tuple[str, Clips]]
    """What makes its prompt's text and clips."""

    def prompt(self) -> Prompt:
        """The question as the judge sees it, made anew: the texts of all that wait would be most of the memory."""
        return Prompt(*self.show(self))


class Questions(Protocol):
    """The questions of one request."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Question]: ...


@dataclass(frozen=True, slots=True)
class Reply:
    """One physical answer."""

    kind: Kind
    reason: str | None = None
    raw: str = ""
    label: str | None = None
    shares: tuple[float, float, float] | None = None
    """Probabilities of the labels A, B, C."""
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_s: float | None = 0.0
    """None where it says nothing: in a batch."""
    wait_s: float | None = None
    """How long the service asks us to wait."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came back for a request, unread: of 400 decisions a quarter of the room of what is told of them."""

    came: str | Reply
    """The body of a success, or what is to be said of each question without one."""
    latency_s: float
    at: datetime
    """When it came."""


class Wire(ABC):
    """One dialect, bound to an endpoint.

    Parameters
    ----------
    profile : Profile
        Where to ask.
    key : str
        The key itself. It is handed to the SDK, removed from whatever comes back, and shown nowhere.
    """

    at_once: tuple[int, int] = (1, 0)
    """Questions, and bytes of questions, that one request may hold; it always holds one."""

    def __init__(self, profile: Profile, key: str) -> None:
        import httpx2

        self._key, self._timeout, self._failure = key, profile.timeout_s, httpx2.HTTPError

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    async def _send(self, questions: Questions) -> httpx2.Response:
        """Put the questions of one request; raises ``httpx2.HTTPError``."""

    @abstractmethod
    def _read(self, body: dict[str, Any]) -> Reply | None:
        """Read the body of a 200; None where it is not what the service says that it sends."""

    async def send(self, questions: Questions) -> Heard:
        """Put questions in one request; never raises for what a server does."""
        started = time.perf_counter()
        came: str | Reply
        try:
            # the client's own timeout is one between two bytes: a server that drips would hold us for ever
            async with asyncio.timeout(self._timeout):
                came = (await self._send(questions)).text
        except TimeoutError:
            came = Reply(Kind.SERVICE, "error", f"no answer within {self._timeout:g} s")
        except self._failure as error:
            came = self._of_error(error)
        return Heard(came, time.perf_counter() - started, datetime.now(UTC))

    def read(self, heard: Heard, questions: Questions) -> list[Reply]:
        """What came of each question of a request."""
        came = heard.came
        replies = [came] * len(questions) if isinstance(came, Reply) else self._of_text(came, questions)
        return [replace(reply, raw=self.kept(reply.raw), latency_s=heard.latency_s) for reply in replies]

    def _of_text(self, text: str, questions: Questions) -> list[Reply]:
        body = json_object(text)
        replies = None if body is None else self._read_all(body, text, questions)
        return [Reply(Kind.SERVICE, "invalid", text)] * len(questions) if replies is None else replies

    def _read_all(self, body: dict[str, Any], text: str, questions: Questions) -> list[Reply] | None:
        """A reply to each question; None where the body is not what the service says that it sends."""
        reply = self._read(body)
        return None if reply is None else [replace(reply, raw=text)]

    def of_line(self, status: int, body: Any) -> Reply:
        """The reply that one line of a batch's results holds; ``status`` as in real time, 0 where nothing answered."""
        reply = self._read(body) if status == 200 and isinstance(body, dict) else None
        if reply is None:
            kind = Kind.SERVICE if status in (0, 200) else kind_of(status, json.dumps(body))
            # a batch has been taken: that one line was not allowed is no word on the others
            kind = Kind.SERVICE if kind is Kind.FATAL else kind
            reply = Reply(kind, "invalid" if status == 200 else "error")
        raw = "" if reply.kind is Kind.ACCEPTED else self.kept(f"HTTP {status} {json.dumps(body)}")
        return replace(reply, raw=raw, latency_s=None)

    def _of_error(self, error: Exception) -> Reply:
        response: httpx2.Response | None = getattr(error, "response", None)
        if response is None:
            return Reply(Kind.SERVICE, "error", f"{type(error).__name__}: {error}")
        raw = f"HTTP {response.status_code} {response.text}"
        kind = kind_of(response.status_code, response.text)
        reason = "filtered" if kind is Kind.REJECTED and "content_filter" in raw else "error"
        return Reply(kind, reason, raw, wait_s=retry_after(response.headers.get))

    def kept(self, raw: str) -> str:
        """At most :data:`RAW_BYTES` of an answer, without the key should the server have sent it back."""
        return raw.replace(self._key, "[key]").encode()[:RAW_BYTES].decode(errors="ignore")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Clients:
    """HTTP clients of one endpoint that take turns, with the headers of the service's SDK.

    A client looks at every connection of its pool twice a request, so many small pools cost less than a large one.
    Requests go out as they are written here: the SDK's own way from a body to a request and back takes a quarter of a
    question's time (py-spy, on `benchmarks/judging_throughput.py`), for retries and types that we have no use for.

    Parameters
    ----------
    make : callable
        From an HTTP client and the time limits to the SDK's client, which knows address, key and versions.
    profile : Profile
        Where to ask.
    """

    def __init__(self, make: Callable[[httpx2.AsyncClient, httpx2.Timeout], Any], profile: Profile) -> None:
        import httpx2

        limits = httpx2.Limits(max_connections=profile.max_in_flight, max_keepalive_connections=POOL)
        timeout = httpx2.Timeout(profile.timeout_s, connect=CONNECT_S)
        # reading the certificates of all authorities takes longer than a question: once is enough
        trusted = httpx2.create_ssl_context()
        self._clients = [
            httpx2.AsyncClient(follow_redirects=False, limits=limits, timeout=timeout, verify=trusted)
            for _ in range(math.ceil(profile.max_in_flight / POOL))
        ]
        self._turns = cycle(self._clients)
        sdk, self._request, self._url = make(self._clients[0], timeout), httpx2.Request, httpx2.URL
        headers = {**sdk.default_headers, **sdk.auth_headers}
        # what the SDK leaves out is no text
        self.headers = httpx2.Headers({name: value for name, value in headers.items() if isinstance(value, str)})
        self.base = str(sdk.base_url).rstrip("/")
        self._urls: dict[str, httpx2.URL] = {}

    async def post(self, path: str, body: dict[str, Any], request_key: str) -> httpx2.Response:
        """Send one request.

        Raises
        ------
        httpx2.HTTPError
            Nothing came back, or a status other than 2xx.
        """
        if path not in self._urls:
            self._urls[path] = self._url(self.base + path)
        headers = self.headers.copy()
        headers["X-Client-Request-Id"] = request_key
        parts = [json.dumps(body).encode()]
        headers["Content-Length"] = str(len(parts[0]))
        # hundreds wait for their answers, each with its pictures or its 400 questions: what is sent is let go
        del body
        request = self._request("POST", self._urls[path], headers=headers, content=_let_go(parts))
        response = await next(self._turns).send(request)
        return response.raise_for_status()

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.aclose()


async def _let_go(parts: list[bytes]) -> AsyncIterator[bytes]:
    while parts:
        yield parts.pop(0)


def kind_of(status: int, text: str) -> Kind:
    """What a status other than 200 means."""
    if status in _FATAL or status < 400 or (status == 429 and "insufficient_quota" in text):
        # below 400 stands a redirect: following it would hand question and key to someone else
        return Kind.FATAL
    if status in _LIMITED:
        return Kind.LIMITED
    return Kind.SERVICE if status in _AGAIN or status >= 500 else Kind.REJECTED


def retry_after(header: Any) -> float | None:
    """Seconds that the headers ask us to wait, or None.

    Parameters
    ----------
    header : callable
        From a header's name to its value or None.
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = header(name)
        seconds = None if value is None else _seconds(value, scale)
        if seconds is not None:
            return min(max(0.0, seconds), LONGEST_WAIT_S)
    return None


def _seconds(value: str, scale: float) -> float | None:
    """A wait as a number or as a date, in seconds."""
    with suppress(ValueError):
        seconds = float(value) * scale
        return seconds if math.isfinite(seconds) else None
    with suppress(ValueError, OverflowError):
        return parsedate_to_datetime(value).timestamp() - time.time()
    return None


def judged(text: str | None, ending: Ending, **facts: Any) -> Reply:
    """The reply that a judge's words make."""
    verdict = parse_answer(text, ending)
    if verdict.label is not None:
        return Reply(Kind.ACCEPTED, label=verdict.label, **facts)
    # a filter and a limit say the same when asked again
    kind = Kind.HOPELESS if verdict.reason in ("filtered", "length") else Kind.CONTENT
    return Reply(kind, verdict.reason, **facts)


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object that a text is, or None."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def at(body: Any, *path: str | int) -> Any:
    """What stands at a place of a body of unknown shape, or None."""
    for step in path:
        if isinstance(step, str) and isinstance(body, dict):
            body = body.get(step)
        elif isinstance(step, int) and isinstance(body, list) and step < len(body):
            body = body[step]
        else:
            return None
    return body


def list_at(body: Any, *path: str | int) -> list[Any]:
    """The list at a place; an empty one where there is none."""
    found = at(body, *path)
    return found if isinstance(found, list) else []


def text_at(body: Any, *path: str | int) -> str | None:
    """The text at a place, or None; with ``?`` for halves of characters, which JSON can hold and no table."""
    found = at(body, *path)
    if not isinstance(found, str):
        return None
    return found if found.isascii() else found.encode(errors="replace").decode()


def count_at(body: Any, *path: str | int) -> int | None:
    """The number of tokens at a place, or None."""
    found = at(body, *path)
    return found if type(found) is int and 0 <= found < 2**31 else None
