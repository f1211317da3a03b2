"""The batch interfaces of the loopback server: OpenAI's files and batches, Anthropic's message batches.

A batch advances by one status each time it is looked at, so that a test sees every one of them. Faults of the service
as a whole (``faults`` of the server) are drawn for each line; what goes wrong with batches themselves is set here.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.services.server import Request, Service

LIMITS = {"openai": (50_000, 200 * 10**6), "anthropic": (100_000, 256 * 10**6)}
LINE_FAULTS = {"429", "500", "400", "zero", "missing", "prose", "unknown", "refusal", "length", "lost", "doubled"}
_ENDPOINTS = ("/v1/chat/completions", "/v1/responses")


@dataclass
class Control:
    """An answer of the batch interfaces; status 0: the connection is reset."""

    status: int
    text: str

    def encoded(self) -> bytes:
        from tests.services.server import respond

        return respond(self.status, self.text)


@dataclass
class Batch:
    """One batch as the server knows it."""

    id: str
    wire: str
    lines: list[tuple[str, str, dict[str, Any]]]
    """Custom id, path, body."""
    created: float
    authorization: str
    metadata: dict[str, str] = field(default_factory=dict)
    endpoint: str = ""
    looked_at: int = 0
    output: list[dict[str, Any]] | None = None
    """Result lines, once it has ended."""
    errors: list[dict[str, str]] = field(default_factory=list)
    """Why the input was refused."""


@dataclass
class Batches:
    """All files and batches of the server, and what goes wrong with them."""

    statuses: tuple[str, ...] = ("in_progress", "finalizing")
    """What a batch of OpenAI's is when it is looked at, one after the other, before it ends."""
    ending: str = "completed"
    """completed, expired, cancelled or failed."""
    done: float = 1.0
    """Share of the lines that are answered before a batch expires or is cancelled."""
    failure: str = "token_limit_exceeded"
    empty_ids: bool = False
    """Absent file ids are empty strings instead of null."""
    trouble: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By upload, create, list, retrieve, download: faults of the next such requests: 429, 500, 401, 400, html, cut (the
    answer ends in the middle), reset, or lost (it is done, and the answer is never heard)."""
    files: dict[str, bytes] = field(default_factory=dict)
    all: dict[str, Batch] = field(default_factory=dict)
    paid: Counter[str] = field(default_factory=Counter)
    """How often each custom id was answered, and so charged."""
    controls: Counter[str] = field(default_factory=Counter)

    def handle(self, service: Service, request: Request) -> Control | None:
        """Answer a request of the batch interfaces, or None where it is none."""
        for name, method, pattern, act in _ROUTES:
            match = re.fullmatch(pattern, urlsplit(request.path).path)
            if match and request.method == method:
                self.controls[name] += 1
                return self._with_trouble(name, lambda act=act, m=match: act(self, service, request, *m.groups()))
        return None

    def _with_trouble(self, name: str, act: Callable[[], Control]) -> Control:
        fault = self.trouble[name].pop(0) if self.trouble[name] else None
        if fault is None:
            return act()
        if fault == "lost":
            act()
            return Control(0, "")
        if fault == "cut":
            done = act()
            return Control(done.status, done.text[: len(done.text) // 2])
        return {"html": Control(200, "<html>Welcome</html>"), "reset": Control(0, "")}.get(
            fault, Control(int(fault) if fault.isdigit() else 500, json.dumps({"error": {"message": fault}}))
        )

    def of(self, service_id: str) -> Batch:
        return self.all[service_id]

    def _upload(self, service: Service, request: Request) -> Control:
        boundary = request.headers["content-type"].partition("boundary=")[2].encode()
        parts = request.raw.split(b"--" + boundary)[1:-1]
        fields = {}
        for part in parts:
            head, _, content = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]+)"', head)
            assert name
            fields[name[1].decode()] = content.removesuffix(b"\r\n")
        assert fields["purpose"] == b"batch"
        file_id = f"file-{len(self.files)}"
        self.files[file_id] = fields["file"]
        return _json({"id": file_id, "object": "file", "purpose": "batch", "bytes": len(fields["file"])})

    def _create(self, service: Service, request: Request) -> Control:
        body = request.json
        assert body["completion_window"] == "24h"
        content = self.files[body["input_file_id"]]
        found = [json.loads(line) for line in content.splitlines()]
        lines = [(line["custom_id"], line["url"], line["body"]) for line in found]
        batch = self._new("openai", lines, len(content), request)
        batch.metadata, batch.endpoint = body.get("metadata") or {}, body["endpoint"]
        assert batch.endpoint in _ENDPOINTS
        assert all(len(k) <= 64 and len(v) <= 512 for k, v in batch.metadata.items())
        ids = [line[0] for line in lines]
        if len(set(ids)) < len(ids):
            batch.errors = [{"code": "duplicate_custom_id", "message": "an id stands twice"}]
        if any(line[1] != batch.endpoint for line in lines):
            batch.errors = [{"code": "invalid_url", "message": "not the batch's endpoint"}]
        return _json(self._openai(service, batch))

    def _new(self, wire: str, lines: list[tuple[str, str, dict[str, Any]]], size: int, request: Request) -> Batch:
        assert 0 < len(lines) <= LIMITS[wire][0]
        assert size <= LIMITS[wire][1]
        authorization = request.headers.get("authorization", "")
        batch = Batch(f"batch_{len(self.all)}", wire, lines, time.time(), authorization)
        self.all[batch.id] = batch
        return batch

    def _retrieve(self, service: Service, request: Request, batch_id: str) -> Control:
        batch = self.all[batch_id]
        batch.looked_at += 1
        return _json(self._openai(service, batch))

    def _openai(self, service: Service, batch: Batch) -> dict[str, Any]:
        ending = "failed" if batch.errors else self.ending
        n = batch.looked_at
        waiting = ("validating", *(("in_progress", "cancelling") if ending == "cancelled" else self.statuses))
        if ending == "failed":
            waiting = ("validating",)
        status = waiting[n] if n < len(waiting) else ending
        none = "" if self.empty_ids else None
        body: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "endpoint": batch.endpoint,
            "status": status,
            "created_at": int(batch.created),
            "expires_at": int(batch.created) + 86400,
            "metadata": batch.metadata,
            "output_file_id": none,
            "error_file_id": none,
            "request_counts": {"total": len(batch.lines), "completed": 0, "failed": 0},
        }
        if status == "failed":
            errors = batch.errors or [{"code": self.failure, "message": "Enqueued token limit reached"}]
            body["errors"] = {"object": "list", "data": errors}
        elif status == ending:
            self._finish(service, batch)
            assert batch.output is not None
            good = [line for line in batch.output if (line["response"] or {}).get("status_code") == 200]
            bad = [line for line in batch.output if line not in good]
            for name, lines in (("output_file_id", good), ("error_file_id", bad)):
                if lines:
                    file_id = f"{name}-{batch.id}"
                    self.files[file_id] = "\n".join(json.dumps(line) for line in lines).encode()
                    body[name] = file_id
            body["request_counts"] |= {"completed": len(good), "failed": len(bad)}
            body[f"{ending}_at"] = int(time.time())
        return body

    def _finish(self, service: Service, batch: Batch) -> None:
        """Answer the lines, once; the answers come in any order."""
        if batch.output is not None:
            return
        answered = round(len(batch.lines) * (1.0 if self.ending == "completed" else self.done))
        lines = []
        for place, line in enumerate(batch.lines):
            lines += self._answer(service, batch, line) if place < answered else [_unanswered(batch, line, self.ending)]
        lines.sort(key=lambda line: service.draw("place", json.dumps(line)))
        batch.output = lines

    def _answer(self, service: Service, batch: Batch, line: tuple[str, str, dict[str, Any]]) -> list[dict[str, Any]]:
        from tests.services.server import reply_body

        custom_id, path, body = line
        fault = service.fault_of(custom_id, LINE_FAULTS.__contains__)
        silent = fault in ("lost", "doubled")
        label, shares = service.judge(path, custom_id, batch.authorization, body, None if fault == "doubled" else fault)
        if fault in ("429", "500", "400", "zero"):
            return [_failed(batch, custom_id, 0 if fault == "zero" else int(fault))]
        self.paid[custom_id] += 1
        content = reply_body(path, body, label, shares, None if silent else fault)
        found = _answered(batch, custom_id, content)
        return {"lost": [], "doubled": [found, found]}.get(fault or "", [found])

    def _list(self, service: Service, request: Request) -> Control:
        newest, more = self._page(request, "after")
        return _json({"object": "list", "data": [self._openai(service, b) for b in newest], "has_more": more})

    def _page(self, request: Request, cursor: str) -> tuple[list[Batch], bool]:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request.path).query).items()}
        newest = list(reversed(self.all.values()))
        for batch in newest:
            batch.looked_at += 1
        if cursor in asked:
            newest = newest[[b.id for b in newest].index(asked[cursor]) + 1 :]
        limit = int(asked.get("limit", 20))
        assert 1 <= limit <= 100
        return newest[:limit], len(newest) > limit

    def _download(self, service: Service, request: Request, file_id: str) -> Control:
        return Control(200, self.files[file_id].decode())

    def _create_messages(self, service: Service, request: Request) -> Control:
        requests = request.json["requests"]
        ids = [r["custom_id"] for r in requests]
        if len(set(ids)) < len(ids) or not all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", i) for i in ids):
            return Control(400, json.dumps({"error": {"message": "custom_id"}}))
        lines = [(r["custom_id"], "/v1/messages", r["params"]) for r in requests]
        return _json(self._anthropic(service, self._new("anthropic", lines, len(request.raw), request)))

    def _retrieve_messages(self, service: Service, request: Request, batch_id: str) -> Control:
        batch = self.all[batch_id]
        batch.looked_at += 1
        return _json(self._anthropic(service, batch))

    def _anthropic(self, service: Service, batch: Batch) -> dict[str, Any]:
        ended = batch.looked_at > len(self.statuses)
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if ended:
            self._finish(service, batch)
            assert batch.output is not None
            counts |= Counter(line["result"]["type"] for line in batch.output)
        else:
            counts["processing"] = len(batch.lines)
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "created_at": _date(batch.created),
            "expires_at": _date(batch.created + 86400),
            "ended_at": _date(time.time()) if ended else None,
            "request_counts": counts,
            # elsewhere on purpose: whoever follows it hands the key over
            "results_url": "http://127.0.0.1:1/results" if ended else None,
        }

    def _list_messages(self, service: Service, request: Request) -> Control:
        newest, more = self._page(request, "after_id")
        data = [self._anthropic(service, batch) for batch in newest]
        return _json({"data": data, "has_more": more, "last_id": data[-1]["id"] if data else None})

    def _results(self, service: Service, request: Request, batch_id: str) -> Control:
        output = self.all[batch_id].output
        if output is None:
            return Control(404, json.dumps({"error": {"message": "has not ended"}}))
        return Control(200, "\n".join(json.dumps(line) for line in output))


def _answered(batch: Batch, custom_id: str, body: dict[str, Any]) -> dict[str, Any]:
    if batch.wire == "anthropic":
        return {"custom_id": custom_id, "result": {"type": "succeeded", "message": body}}
    return {"id": "r", "custom_id": custom_id, "response": {"status_code": 200, "body": body}, "error": None}


def _failed(batch: Batch, custom_id: str, status: int) -> dict[str, Any]:
    error = {"message": f"status {status}, key {batch.authorization}"}
    if batch.wire == "anthropic":
        kind = {400: "invalid_request_error", 429: "rate_limit_error"}.get(status, "api_error")
        found = {"type": "error", "error": {"type": kind, **error}}
        return {"custom_id": custom_id, "result": {"type": "errored", "error": found}}
    return {"id": "r", "custom_id": custom_id, "response": {"status_code": status, "body": {"error": error}}}


def _unanswered(batch: Batch, line: tuple[str, str, dict[str, Any]], ending: str) -> dict[str, Any]:
    if batch.wire == "anthropic":
        return {"custom_id": line[0], "result": {"type": "canceled" if ending == "cancelled" else "expired"}}
    code = "batch_cancelled" if ending == "cancelled" else "batch_expired"
    return {"id": "r", "custom_id": line[0], "response": None, "error": {"code": code, "message": "not executed"}}


def _json(body: dict[str, Any]) -> Control:
    return Control(200, json.dumps(body))


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


_ROUTES: tuple[tuple[str, str, str, Callable[..., Control]], ...] = (
    ("upload", "POST", "/v1/files", Batches._upload),
    ("download", "GET", "/v1/files/([^/]+)/content", Batches._download),
    ("create", "POST", "/v1/batches", Batches._create),
    ("list", "GET", "/v1/batches", Batches._list),
    ("retrieve", "GET", "/v1/batches/([^/]+)", Batches._retrieve),
    ("create", "POST", "/v1/messages/batches", Batches._create_messages),
    ("list", "GET", "/v1/messages/batches", Batches._list_messages),
    ("retrieve", "GET", "/v1/messages/batches/([^/]+)", Batches._retrieve_messages),
    ("download", "GET", "/v1/messages/batches/([^/]+)/results", Batches._results),
)
