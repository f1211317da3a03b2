"""OpenAI's batches: a file of requests goes up, a file of answers and one of errors come down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.agents.service.batch_wire import UNASKED, Batch, BatchWire, moment
from resources.agents.service.loop import Patience
from resources.agents.service.openai import OpenAIWire
from resources.agents.service.wire import Prompt, Reply, at, count_at, json_object, text_at

TAG = "affectlake_shard"
"""Key of the batch's metadata that holds our name of it."""

_ENDED = ("completed", "expired", "cancelled")
_UNASKED = ("batch_expired", "batch_cancelled")


class OpenAIBatches(BatchWire):
    """Batches of chat completions or responses."""

    path, after = "/batches", "after"
    most, most_bytes = 50_000, 200 * 10**6
    # the request that makes a batch is small: the file is there already
    settle_s, tags = 60.0, True

    def __init__(self, wire: OpenAIWire, patience: Patience) -> None:
        super().__init__(wire, wire.clients, patience)
        self._words = wire

    def line(self, key: str, prompt: Prompt) -> bytes:
        """One question as it stands in a batch."""
        path, body = self._words.request(prompt)
        return json.dumps({"custom_id": key, "method": "POST", "url": f"/v1{path}", "body": body}).encode()

    def write(self, path: Path, lines: Iterable[bytes]) -> None:
        """Write the file: a line a question."""
        with path.open("wb") as file:
            file.writelines(line + b"\n" for line in lines)

    def create(self, shard: str, path: Path) -> Batch:
        """Send the file and make the batch; a file without a batch costs nothing and is forgotten after 30 days."""
        with path.open("rb") as file:

            def upload() -> dict[str, Any]:
                file.seek(0)
                named = (f"affectlake-{shard}.jsonl", file, "application/jsonl")
                return {"data": {"purpose": "batch"}, "files": {"file": named}}

            file_id = text_at(self._call("POST", "/files", upload), "id")
        body = {
            "input_file_id": file_id,
            "endpoint": self._endpoint,
            "completion_window": "24h",
            "metadata": {TAG: shard},
        }
        return self._told(self._call("POST", self.path, lambda: {"json": body}, once=True))

    @property
    def _endpoint(self) -> str:
        return "/v1/chat/completions" if self._words.settings.api == "chat" else "/v1/responses"

    @staticmethod
    def read(body: Any) -> Batch | None:
        """The batch that an answer tells; None where it tells none."""
        batch_id, status = text_at(body, "id"), text_at(body, "status")
        if not batch_id or status is None:
            return None
        problems = at(body, "errors", "data")
        told = "; ".join(f"{text_at(p, 'code')}: {text_at(p, 'message')}" for p in problems or [])
        # absent files are null with some servers and empty words with others
        files = tuple(f for f in (text_at(body, "output_file_id"), text_at(body, "error_file_id")) if f)
        return Batch(
            batch_id,
            count_at(body, "request_counts", "total"),
            moment(at(body, "created_at")) or datetime.now(UTC),
            ended=status in _ENDED or (status == "failed" and bool(files)),
            failure=(told or "no reason given") if status == "failed" and not files else None,
            until=moment(at(body, "expires_at")),
            ended_at=next((m for name in _ENDED if (m := moment(at(body, f"{name}_at"))) is not None), None),
            tag=text_at(body, "metadata", TAG),
            files=files,
        )

    def results(self, batch: Batch) -> Iterator[tuple[str | None, Reply]]:
        """Custom id and reply of each line of both files."""
        for file_id in batch.files:
            for line in self._lines(f"/files/{file_id}/content"):
                entry = json_object(line)
                yield text_at(entry, "custom_id"), self._reply(entry)

    def _reply(self, entry: Any) -> Reply:
        if text_at(entry, "error", "code") in _UNASKED:
            return UNASKED
        status = count_at(entry, "response", "status_code") or 0
        return self._wire.of_line(status, at(entry, "response", "body") or at(entry, "error"))
