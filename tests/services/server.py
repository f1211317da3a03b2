"""A judge on the loopback interface that speaks the wires of OpenAI and Anthropic, with faults and personas.

Real time is answered here, batches in ``batch_server``. Each fault is drawn for each question by itself, also where
many questions share a request; a fault of the request (429, 500, reset, ...) is drawn for the request.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from affectlake.prompts import LABELS, data_block
from tests.services import media_server
from tests.services.batch_server import Batches

Captions = Mapping[str, str]
Persona = Callable[[Captions, str], tuple[float, float, float]]
"""From the captions and the request's key to the probabilities of A, B and C."""


def by_length(captions: Captions, key: str) -> tuple[float, float, float]:
    """Knows what it wants: the longest caption is odd, whatever its place; ties go to the greater text."""
    odd = max(LABELS, key=lambda label: (len(captions[label]), captions[label]))
    a, b, c = (0.8 if label == odd else 0.1 for label in LABELS)
    return a, b, c


def biased(logits: tuple[float, float, float]) -> Persona:
    """Judges by place alone, with known logits."""
    weights = [math.exp(x) for x in logits]
    a, b, c = (w / sum(weights) for w in weights)
    return lambda captions, key: (a, b, c)


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.raw or b"{}")
        return body


@dataclass
class Seen:
    """One question as it came and what was answered."""

    path: str
    key: str
    authorization: str
    body: dict[str, Any]
    fault: str | None
    label: str | None


@dataclass
class Service:
    """What the server does; faults map a name to the share of requests that meet it."""

    persona: Persona = by_length
    faults: Mapping[str, float] = field(default_factory=dict)
    latency_s: float = 0.0
    fails_at_once: bool = False
    """True: failures come without the latency."""
    drips_s: float = 0.0
    """Above 0: answers come one byte at a time, so many seconds apart, and never end."""
    retry_after: str | None = None
    elsewhere: str = ""
    seed: int = 0
    sampled: bool = False
    """True: the label is drawn from the persona's probabilities; False: the most probable one."""
    outage: range = range(0)
    """Requests, counted from the first, that all meet a 500."""
    unbearable: str = ""
    """Decisions with this text in any of their questions are refused as a whole."""
    remember: bool = True
    kept: dict[str, str] = field(default_factory=dict)
    """Media by the uuid that they were sent with."""
    forgets: range = range(0)
    """Requests, counted from the first, before which all media are forgotten."""
    misses: int = 0
    seen: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    url: str = ""
    requests: int = 0
    last: Request | None = None
    batches: Batches = field(default_factory=Batches)
    _asked: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def answered(self) -> dict[str, list[str]]:
        """The labels that were given, by key."""
        found: dict[str, list[str]] = defaultdict(list)
        for seen in list(self.seen):
            if seen.label is not None:
                found[seen.key].append(seen.label)
        return found

    def draw(self, *parts: object) -> float:
        digest = hashlib.sha256(repr((self.seed, *parts)).encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56

    def fault_of(self, key: str, among: Callable[[str], bool] = lambda fault: True) -> str | None:
        if len(self.seen) in self.outage:
            return "500"
        if not self.faults:
            return None
        number, self._asked[key] = self._asked[key], self._asked[key] + 1
        point = self.draw(key, number)
        for name, share in self.faults.items():
            if not among(name):
                continue
            if point < share:
                return name
            point -= share
        return None

    def choose(self, shown: Captions, key: str) -> tuple[str, tuple[float, float, float]]:
        shares = self.persona(shown, key)
        point = self.draw("label", key)
        if not self.sampled:
            return LABELS[max(range(3), key=lambda i: shares[i])], shares
        return LABELS[sum(point >= sum(shares[: i + 1]) for i in range(2))], shares

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while request := await _read(reader):
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    answer = await self._answer(request)
                finally:
                    self.in_flight -= 1
                if answer is None:
                    writer.transport.abort()
                    return
                if self.drips_s:
                    await self._drip(writer, answer)
                writer.write(answer)
                await writer.drain()
        writer.close()

    async def _drip(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        """Send the head of an answer, then one space after the other for as long as anyone listens."""
        writer.write(answer.partition(b"content-length")[0] + b"content-length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(self.drips_s)
        raise ConnectionResetError

    async def _answer(self, request: Request) -> bytes | None:
        self.requests, self.last = self.requests + 1, request
        if (control := self.batches.handle(self, request)) is not None:
            return control.encoded() if control.status else None
        if _wire(request.path) == "decisions":
            return await self._decide(request)
        key, body = request.headers.get("x-client-request-id", ""), request.json
        if self.requests in self.forgets:
            self.kept.clear()
        try:
            media_server.shown(body, self.kept)
        except media_server.CacheMissError:
            self.misses += 1
            return respond(400, json.dumps({"error": {"message": "Cache miss for an item, but data is not provided"}}))
        fault = self.fault_of(key)
        label, shares = self.judge(request.path, key, request.headers.get("authorization", ""), body, fault)
        await asyncio.sleep(0.0 if self.fails_at_once and fault else self.latency_s)
        if fault in _STATUSES:
            return self._status(fault, request.headers)
        if fault == "reset":
            return None
        if fault == "html":
            return respond(200, "<html>Welcome to the hotel's network</html>", kind="text/html")
        if fault == "empty":
            return respond(200, "")
        return respond(200, json.dumps(reply_body(request.path, body, label, shares, fault)))

    def judge(
        self, path: str, key: str, authorization: str, body: dict[str, Any], fault: str | None
    ) -> tuple[str, tuple[float, float, float]]:
        """Decide on one question and note that it came."""
        label, shares = self.choose(media_server.shown(body, self.kept) or data_block(_question(body)), key)
        if self.remember:
            self.seen.append(Seen(path, key, authorization, body, fault, None if fault else label))
        return label, shares

    async def _decide(self, request: Request) -> bytes | None:
        """Answer many questions; a question's own faults leave the others alone."""
        questions = request.json["questions"]
        assert 1 <= len(questions) <= 400
        whole = self.fault_of(request.headers.get("x-client-request-id", ""), lambda fault: fault in _OF_REQUESTS)
        if self.unbearable and any(self.unbearable in q["instructions"] for q in questions):
            whole = "400"
        answers = []
        for question in questions:
            fault = whole or self.fault_of(question["name"], lambda fault: fault not in _OF_REQUESTS)
            auth = request.headers.get("authorization", "")
            label, shares = self.judge(request.path, question["name"], auth, question, fault)
            answers += _decision(question["name"], label, shares, fault)
        await asyncio.sleep(self.latency_s)
        if whole in _STATUSES:
            return self._status(whole, request.headers)
        if whole == "reset":
            return None
        if whole == "html":
            return respond(200, "<html>Welcome to the hotel's network</html>", kind="text/html")
        if whole == "empty":
            return respond(200, "")
        answers.sort(key=lambda answer: self.draw("place", answer["name"]))
        usage = {"input_tokens": 70 * len(questions) + 3, "output_tokens": 0}
        body = {"answers": answers, "model": f"{request.json['model']}-2026-10-06", "usage": usage}
        return respond(200, json.dumps({} if whole == "missing" else body))

    def _status(self, fault: str, headers: dict[str, str]) -> bytes:
        code = _STATUSES[fault]
        more = {}
        if code == 429 and self.retry_after is not None:
            more["retry-after"] = self.retry_after
        if code == 307:
            more["location"] = self.elsewhere
        # a server in debug mode shows what it was sent
        return respond(code, json.dumps({"error": {"message": fault, "headers": headers}}), more)


_STATUSES = {"429": 429, "500": 500, "529": 529, "400": 400, "401": 401, "redirect": 307}


_OF_REQUESTS = {*_STATUSES, "reset", "html", "empty", "missing"}
"""Faults that all questions of a request share."""


def _wire(path: str) -> str:
    return path.rpartition("/")[2]


def _question(body: dict[str, Any]) -> str:
    if "instructions" in body and "input" not in body:
        return str(body["instructions"])
    text: str = body["input"] if "input" in body else body["messages"][-1]["content"]
    return text


def _said(label: str, fault: str | None) -> str | None:
    if fault == "refusal":
        return None
    words = {
        "prose": f"I think that {label} is odd.",
        "silence": "",
        "unknown": '{"odd": "D"}',
        "length": '{"odd": "',
    }
    return words.get(fault or "", json.dumps({"odd": label}))


def _tokens(label: str, shares: tuple[float, float, float]) -> list[dict[str, Any]]:
    """Tokens of ``{"odd": "B"}`` as a tokenizer could cut it, with a space, a stranger and three labels on offer."""
    offered = [{"token": f"{x}", "logprob": math.log(p * 0.9)} for x, p in zip(LABELS, shares, strict=True) if p > 0]
    offered.append({"token": "D", "logprob": math.log(0.1)})
    plain = [{"token": t, "logprob": 0.0, "top_logprobs": []} for t in ('{"', "odd", '":', ' "')]
    chosen = {"token": label, "logprob": -0.1, "top_logprobs": offered}
    return [*plain, chosen, {"token": '"}', "logprob": 0.0, "top_logprobs": []}]


def _chat(body: dict[str, Any], label: str, shares: Any, fault: str | None) -> dict[str, Any]:
    if fault == "missing":
        return {"id": "x", "object": "chat.completion", "choices": [{}]}
    finish = {"length": "length", "filtered": "content_filter"}.get(fault or "", "stop")
    message = {"role": "assistant", "content": _said(label, fault), "refusal": "no" if fault == "refusal" else None}
    logprobs = {"content": _tokens(label, shares)} if body.get("logprobs") else None
    return {
        "id": "x",
        "object": "chat.completion",
        "model": f"{body['model']}-2026-01-01",
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 8, "total_tokens": 208},
    }


def _responses(body: dict[str, Any], label: str, shares: Any, fault: str | None) -> dict[str, Any]:
    if fault == "missing":
        return {"id": "x", "object": "response"}
    part = {"type": "output_text", "text": _said(label, fault), "logprobs": _tokens(label, shares)}
    if fault == "refusal":
        part = {"type": "refusal", "refusal": "no"}
    why = {"length": "max_output_tokens", "filtered": "content_filter"}.get(fault or "")
    return {
        "id": "x",
        "object": "response",
        "model": f"{body['model']}-2026-01-01",
        "status": "incomplete" if why else "completed",
        "incomplete_details": {"reason": why} if why else None,
        "output": [{"type": "reasoning", "summary": []}, {"type": "message", "role": "assistant", "content": [part]}],
        "usage": {"input_tokens": 200, "output_tokens": 8, "total_tokens": 208},
    }


def _messages(body: dict[str, Any], label: str, shares: Any, fault: str | None) -> dict[str, Any]:
    if fault == "missing":
        return {"id": "x", "type": "message"}
    stop = {"length": "max_tokens", "refusal": "refusal", "filtered": "refusal"}.get(fault or "", "end_turn")
    said = _said(label, fault)
    return {
        "id": "x",
        "type": "message",
        "role": "assistant",
        "model": f"{body['model']}-20260101",
        "content": [] if said is None else [{"type": "text", "text": said}],
        "stop_reason": stop,
        "usage": {"input_tokens": 200, "output_tokens": 8},
    }


def _decision(name: str, label: str, shares: Any, fault: str | None) -> list[dict[str, Any]]:
    """One answer of a decision, rounded as the service does; none, or two, where that is the fault."""
    offered = [{"value": x, "probability": round(p, 2)} for x, p in zip(LABELS, shares, strict=True)]
    answer = {"type": "choice", "name": name, "choice": label, "confidence": max(shares), "probabilities": offered}
    if fault == "refusal":
        return [{"type": "refusal", "name": name}]
    if fault in ("prose", "silence", "unknown", "length"):
        return [answer | {"choice": "D"}]
    return {"lost": [], "doubled": [answer, answer | {"choice": "ABC"[LABELS.index(label) - 1]}]}.get(
        fault or "", [answer]
    )


_BODIES = {"completions": _chat, "responses": _responses, "messages": _messages}


def reply_body(path: str, body: dict[str, Any], label: str, shares: Any, fault: str | None) -> dict[str, Any]:
    """The body of a 200 that answers one question."""
    return _BODIES[_wire(path)](body, label, shares, fault)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
    if headers.get("transfer-encoding") == "chunked":
        body = await _chunked(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = head[0].split(" ")
    return Request(method, path, headers, body)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).strip(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def respond(status: int, text: str, headers: Mapping[str, str] | None = None, kind: str = "application/json") -> bytes:
    content = text.encode()
    lines = [f"HTTP/1.1 {status} Said", f"content-type: {kind}", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


@contextlib.contextmanager
def serving(service: Service) -> Any:
    """Serve on a free port of 127.0.0.1, in a thread."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(service.handle, "127.0.0.1", 0, limit=2**20))
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
