"""Anthropic's message batches. They carry no name of ours: one that was lost is known by the questions it answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.agents.service.anthropic import AnthropicWire
from resources.agents.service.batch_wire import UNASKED, Batch, BatchWire, moment
from resources.agents.service.loop import Patience
from resources.agents.service.wire import Prompt, Reply, at, count_at, json_object, text_at

_STATUSES = {"invalid_request_error": 400, "request_too_large": 413, "rate_limit_error": 429, "overloaded_error": 529}
_COUNTS = ("processing", "succeeded", "errored", "canceled", "expired")


class AnthropicBatches(BatchWire):
    """Batches of messages."""

    path, after = "/v1/messages/batches", "after_id"
    most, most_bytes = 100_000, 256 * 10**6
    # all questions go up with the request that makes the batch
    settle_s, tags = 900.0, False

    def __init__(self, wire: AnthropicWire, patience: Patience) -> None:
        super().__init__(wire, wire.clients, patience)
        self._words = wire

    def line(self, key: str, prompt: Prompt) -> bytes:
        """One question as it stands in a batch."""
        return json.dumps({"custom_id": key, "params": self._words.request(prompt)}).encode()

    def write(self, path: Path, lines: Iterable[bytes]) -> None:
        """Write the body of the request."""
        with path.open("wb") as file:
            file.write(b'{"requests":[')
            for number, line in enumerate(lines):
                file.write(b"," + line if number else line)
            file.write(b"]}")

    def create(self, shard: str, path: Path) -> Batch:
        """Make the batch."""
        with path.open("rb") as file:

            def content() -> dict[str, Any]:
                file.seek(0)
                return {"content": file, "headers": {"content-type": "application/json"}}

            return self._told(self._call("POST", self.path, content, once=True))

    @staticmethod
    def read(body: Any) -> Batch | None:
        """The batch that an answer tells; None where it tells none."""
        batch_id, status = text_at(body, "id"), text_at(body, "processing_status")
        if not batch_id or status is None:
            return None
        counts = [count_at(body, "request_counts", name) for name in _COUNTS]
        return Batch(
            batch_id,
            None if None in counts else sum(n for n in counts if n is not None),
            moment(at(body, "created_at")) or datetime.now(UTC),
            ended=status == "ended",
            until=moment(at(body, "expires_at")),
            ended_at=moment(at(body, "ended_at")),
        )

    def results(self, batch: Batch) -> Iterator[tuple[str | None, Reply]]:
        """Custom id and reply of each line.

        They are fetched by the batch's name, not from the address that the batch tells: the key goes with the request.
        """
        for line in self._lines(f"{self.path}/{batch.id}/results"):
            entry = json_object(line)
            yield text_at(entry, "custom_id"), self._reply(entry)

    def _reply(self, entry: Any) -> Reply:
        kind = text_at(entry, "result", "type")
        if kind in ("expired", "canceled"):
            return UNASKED
        if kind == "succeeded":
            return self._wire.of_line(200, at(entry, "result", "message"))
        error = at(entry, "result", "error")
        told = text_at(error, "error", "type") or text_at(error, "type") or ""
        return self._wire.of_line(_STATUSES.get(told, 500), error)
