"""Batches as facts of the lake: what was sent, what is pending, what came back.

The order of writes is what makes a kill at any moment harmless. Before a batch is made, its questions and the intent
stand in the lake; after, the service's name of it. An intent without a name is looked for among the batches of the
account, by our name of it or, where the service keeps none, by the questions that it answered; it is sent again only
when it cannot come to be any more. Answers are appended before the batch is closed, and appending twice adds nothing.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from affectlake.errors import AgentError
from affectlake.tables import BATCH_REQUESTS, BATCHES
from resources.agents.protocol import Answers
from resources.agents.service import rows
from resources.agents.service.agent import CHUNK_ROWS, ServiceAgent
from resources.agents.service.batch_wire import Batch, BatchWire, Refused, Unheard
from resources.agents.service.loop import Event
from resources.agents.service.wire import Kind, Reply
from resources.lake import Lake

OPEN = ("intended", "submitted")
"""States of a batch whose questions are not asked again."""

SLACK = timedelta(minutes=10)
"""So far may the service's clock be from ours."""

KEPT = timedelta(days=29)
"""So long both services keep results; a batch that they do not know before that is somewhere else."""

DOWNLOADS = 3
"""Times that results are fetched where lines are missing or cannot be read."""

_CONTENT, _SERVICE = ("refused", "invalid"), ("error",)


def open_batches(lake: Lake) -> pl.DataFrame:
    """The rows of `batches` that are pending, oldest first."""
    return lake.scan("batches").filter(pl.col("state").is_in(OPEN)).collect().sort("intended_at")


def pending(lake: Lake, model: str) -> pl.LazyFrame:
    """The rows of `batch_requests` of one model's open batches."""
    mine = open_batches(lake).filter(pl.col("model") == model)["shard"]
    return lake.scan("batch_requests", {"model": model}).filter(pl.col("shard").is_in(mine.implode()))


def reserved_usd(lake: Lake, model: str) -> float:
    """What the open batches of one model cost at most, in US dollars."""
    return float(open_batches(lake).filter(pl.col("model") == model)["at_most_usd"].sum())


def told(batches: pl.DataFrame) -> list[str]:
    """Open batches in words, a line a model."""
    lines = []
    for (model,), mine in batches.group_by("model", maintain_order=True):
        until = mine["until"].max()
        end = f", until {until:%Y-%m-%d %H:%M} UTC at the latest" if isinstance(until, datetime) else ""
        lines.append(f"{model}: {mine['requests'].sum():,} questions in {mine.height} batches are pending{end}")
    return lines


def connect(agent: ServiceAgent) -> BatchWire:
    """The batch interface of an agent's service."""
    wire = agent.connect()()
    from resources.agents.service.anthropic import AnthropicWire
    from resources.agents.service.openai import OpenAIWire

    if isinstance(wire, AnthropicWire):
        from resources.agents.service.anthropic_batch import AnthropicBatches

        return AnthropicBatches(wire, agent.patience)
    from resources.agents.service.openai_batch import OpenAIBatches

    assert isinstance(wire, OpenAIWire)  # noqa: S101 - for the type checker: there is no third
    return OpenAIBatches(wire, agent.patience)


@dataclass
class _Shard:
    """A batch in the making."""

    lines: list[bytes] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    bytes: int = 0
    usd: float = 0.0


@dataclass(frozen=True)
class _Results:
    """What came back of one batch."""

    replies: dict[str, Reply]
    surplus: int
    unreadable: int


class Batches:
    """The batches of one model.

    Parameters
    ----------
    agent : ServiceAgent
        The judge.
    lake : Lake
        Where they are written down.
    run_id : str
        The Dagster run.
    """

    def __init__(self, agent: ServiceAgent, lake: Lake, run_id: str = "") -> None:
        self._agent, self._lake, self._run = agent, lake, run_id
        listed = agent.listed
        self._rate = listed and listed.rate("batch")
        self._wire = connect(agent)

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def open(self) -> pl.DataFrame:
        """The rows of `batches` that are pending."""
        return open_batches(self._lake).filter(pl.col("model") == self._agent.name)

    def ready(self) -> list[str]:
        """Shards with something to do: ended, refused, or sent and never heard of for long enough to tell."""
        found = []
        for row in self.open().iter_rows(named=True):
            if row["state"] == "intended":
                if datetime.now(UTC) >= row["until"]:
                    found.append(row["shard"])
                continue
            batch = self._look(row)
            if batch.ended or batch.failure:
                found.append(row["shard"])
        return found

    def collect(self) -> Iterator[Answers]:
        """Hand over the answers of every batch that has ended; each is closed once its last chunk was taken.

        Raises
        ------
        AgentError
            At the end: a batch was refused as a whole or brought no usable answer. Nothing of it was written off.
        """
        self._tidy()
        problems: list[str] = []
        for row in self.open().iter_rows(named=True):
            batch = self._found(row)
            if batch is None or not (batch.ended or batch.failure):
                continue
            if batch.failure is not None:
                problems.append(f"batch {batch.id} was refused: {batch.failure}")
                self._close(row, "failed", detail=batch.failure)
            else:
                problem = yield from self._collected(row, batch)
                problems += [problem] if problem else []
        if problems:
            raise AgentError("; ".join(problems), where=f"model {self._agent.name}", remedy=_REFUSED)

    def submit(self, questions: Iterable[pl.DataFrame], progress: Callable[[int], None]) -> str | None:
        """Send questions in batches as large as the service takes.

        Parameters
        ----------
        questions : iterable of DataFrame
            Schema :data:`resources.agents.protocol.QUESTIONS`; none of them may be in an open batch.
        progress : callable
            Told how many more were sent.

        Returns
        -------
        str or None
            Why not all were sent, where the cap on costs would have been exceeded.

        Raises
        ------
        AgentError
            The service takes no batch. Those sent before are pending.
        """
        for shard, capped in self._shards(questions):
            if shard.lines:
                self._send(shard)
                progress(len(shard.lines))
            if capped:
                cap = self._agent.settings.max_usd
                return f"the next question could exceed max_usd: {cap:g}"
        return None

    def _shards(self, questions: Iterable[pl.DataFrame]) -> Iterator[tuple[_Shard, bool]]:
        """Batches in the making, with whether the cap on costs ended it."""
        settings = self._agent.settings
        most = min(self._wire.most, settings.batch_size or self._wire.most)
        spent, shard = self._agent.spent_usd, _Shard()
        for question in self._agent.wording.questions(questions):
            prompt = question.prompt()
            line = self._wire.line(question.key, prompt)
            usd = self._rate.at_most([prompt.tokens_at_most], settings.max_tokens) if self._rate else 0.0
            if settings.max_usd is not None and spent + usd > settings.max_usd:
                yield shard, True
                return
            if shard.lines and (len(shard.lines) == most or shard.bytes + len(line) + 64 > self._wire.most_bytes):
                yield shard, False
                shard = _Shard()
            shard.lines.append(line)
            shard.rows.append({**rows.sent(question), "request_key": question.key, "attempted": question.attempted})
            shard.bytes += len(line) + 1
            shard.usd += usd
            spent += usd
        if shard.lines:
            yield shard, False

    def _send(self, shard: _Shard) -> None:
        """Write down what is about to be sent, send it, write down what it is called."""
        now, name = datetime.now(UTC), secrets.token_hex(16)
        row = {
            "model": self._agent.name,
            "shard": name,
            "state": "intended",
            "requests": len(shard.lines),
            "at_most_usd": shard.usd if self._rate else None,
            "intended_at": now,
            "until": now + timedelta(seconds=self._wire.settle_s),
        }
        requests = pl.DataFrame([{**r, "shard": name} for r in shard.rows], schema=BATCH_REQUESTS.schema)
        self._lake.overwrite("batch_requests", requests, self._partition(row), self._run)
        self._write(row)
        try:
            with tempfile.TemporaryDirectory(prefix="affectlake-") as folder:
                file = Path(folder) / "batch"
                self._wire.write(file, shard.lines)
                made = self._wire.create(name, file)
        except Refused as no:
            self._close(row, "abandoned", detail=str(no))
            raise AgentError(f"the service takes no batch: {no}", where=self._where, remedy=_FATAL) from None
        except Unheard as silence:
            raise AgentError(f"sent a batch and heard nothing: {silence}", where=self._where, remedy=_SILENCE) from None
        except AgentError as error:
            self._close(row, "abandoned", detail=error.what)
            raise
        self._submitted(row, made)

    def _submitted(self, row: dict[str, Any], batch: Batch) -> dict[str, Any]:
        row = {**row, "state": "submitted", "batch_id": batch.id, "until": batch.until}
        self._write(row)
        return row

    def _found(self, row: dict[str, Any]) -> Batch | None:
        """An open batch as the service knows it, or None where it has to be waited for or was never made."""
        if row["state"] == "submitted":
            return self._look(row)
        with self._explained():
            match, perhaps = self._search(row)
        if match is not None:
            row |= self._submitted(row, match)
        elif not perhaps and datetime.now(UTC) >= row["until"]:
            self._close(row, "abandoned", detail="it was never made")
        return match

    def _look(self, row: dict[str, Any]) -> Batch:
        with self._explained():
            try:
                return self._wire.look(row["batch_id"])
            except Refused as no:
                if no.status != 404 or datetime.now(UTC) - row["intended_at"] < KEPT:
                    raise
                return Batch(row["batch_id"], None, row["intended_at"], failure="its results are no longer kept")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the service says when it is looked at, in words for the user."""
        try:
            yield
        except Unheard as silence:
            raise AgentError(f"its batches cannot be looked at: {silence}", where=self._where, remedy=_LATER) from None
        except Refused as no:
            raise AgentError(f"its batches cannot be looked at: {no}", where=self._where, remedy=_FATAL) from None

    def _search(self, row: dict[str, Any]) -> tuple[Batch | None, bool]:
        """The batch that an intent became, and whether one that is under way may be it."""
        known = set(self._lake.scan("batches").select("batch_id").drop_nulls().collect()["batch_id"])
        keys: set[str] | None = None
        perhaps = False
        for batch in self._wire.listed(row["intended_at"] - SLACK):
            if self._wire.tags:
                if batch.tag == row["shard"]:
                    return batch, False
            elif batch.id not in known and batch.requests == row["requests"]:
                perhaps = perhaps or not batch.ended
                if batch.ended:
                    keys = keys or set(self._requests(row)["request_key"])
                    # a key names model, wording, captions and items: the same keys are the same questions
                    if set(self._results(batch, keys).replies) == keys:
                        return batch, False
        return None, perhaps

    def _collected(self, row: dict[str, Any], batch: Batch) -> Generator[Answers, None, str | None]:
        """Hand over one batch's answers and close it; returns what is wrong with it as a whole."""
        requests = self._requests(row)
        results = self._results(batch, set(requests["request_key"]))
        events, problem = self._events(requests, results.replies, batch)
        for start in range(0, len(events), CHUNK_ROWS):
            chunk = events[start : start + CHUNK_ROWS]
            yield rows.answers(chunk, self._agent.settings.model)
        accepted = sum(event.reply.kind is Kind.ACCEPTED for event in events)
        missing = requests.height - len(events)
        self._close(row, "collected", accepted=accepted, missing=missing, surplus=results.surplus)
        return problem

    def _results(self, batch: Batch, keys: set[str]) -> _Results:
        """All replies of a batch by key; fetched again where lines are missing or cannot be read."""
        lost = ""
        found: _Results | None = None
        for _ in range(DOWNLOADS):
            try:
                now = _folded(self._wire.results(batch), keys)
            except Unheard as silence:
                lost = str(silence)
                continue
            except Refused as no:
                raise AgentError(
                    f"the results of batch {batch.id} cannot be had: {no}", where=self._where, remedy=_FATAL
                ) from None
            if found is None or len(now.replies) > len(found.replies):
                found = now
            if len(found.replies) == len(keys):
                break
        if found is None or (found.unreadable and not found.replies):
            why = lost or "no line can be read"
            raise AgentError(f"the results of batch {batch.id} cannot be had: {why}", where=self._where, remedy=_LATER)
        return found

    def _events(
        self, requests: pl.DataFrame, replies: dict[str, Reply], batch: Batch
    ) -> tuple[list[Event], str | None]:
        """What became of each question that has a reply, and what is wrong with the batch as a whole."""
        kinds = [reply.kind for reply in replies.values()]
        failed = [reply for reply in replies.values() if reply.kind not in (Kind.ACCEPTED, Kind.LIMITED)]
        problem = None
        if failed and Kind.ACCEPTED not in kinds:
            if len(failed) >= self._agent.patience.barren or not self._works():
                problem = (
                    f"batch {batch.id} brought no usable answer; the last: {' '.join(failed[-1].raw.split())[:300]}"
                )
        elif replies and Kind.ACCEPTED not in kinds and not self._works():
            problem = f"batch {batch.id} ended before any question was asked"
        elif not replies:
            problem = f"batch {batch.id} ended without a single line of results"
        before = self._before(requests)
        at, events = batch.ended_at or datetime.now(UTC), []
        for row in requests.sort("request_key").iter_rows(named=True):
            reply = replies.get(row["request_key"])
            if reply is not None:
                question = self._agent.wording.question(row)
                settled = problem is None and self._settled(reply, before.get(question.key, {}))
                events.append(Event(question, reply, question.attempted, settled, at, self._cost(reply)))
        return events, problem

    def _works(self) -> bool:
        """Whether the service has ever answered a question of this wording."""
        mine = self._lake.scan("judgments", {"model": self._agent.name})
        return mine.filter(pl.col("prompt_version") == self._agent.prompt_version).head(1).collect().height > 0

    def _before(self, requests: pl.DataFrame) -> dict[str, dict[str, int]]:
        """How often the questions failed before they were sent this time, by key and reason."""
        earlier = (
            self._lake.scan("attempts", {"model": self._agent.name})
            .join(requests.lazy().select("request_key", "attempted"), on="request_key")
            .filter(pl.col("attempt") < pl.col("attempted"))
            .group_by("request_key", "reason")
            .len()
            .collect()
        )
        found: dict[str, dict[str, int]] = {}
        for key, reason, n in earlier.iter_rows():
            found.setdefault(key, {})[reason] = n
        return found

    def _settled(self, reply: Reply, before: dict[str, int]) -> bool:
        """Whether a question will not be asked again."""
        patience = self._agent.patience
        allowed = {Kind.CONTENT: (_CONTENT, patience.content), Kind.SERVICE: (_SERVICE, patience.service)}
        if reply.kind in allowed:
            reasons, most = allowed[reply.kind]
            return sum(before.get(reason, 0) for reason in reasons) + 1 >= most
        return reply.kind is not Kind.LIMITED

    def _cost(self, reply: Reply) -> float | None:
        if self._rate is None or reply.tokens_in is None or reply.tokens_out is None:
            return None
        return self._rate.usd(reply.tokens_in, reply.tokens_out)

    def _requests(self, row: dict[str, Any]) -> pl.DataFrame:
        return self._lake.read("batch_requests", self._partition(row))

    def _close(self, row: dict[str, Any], state: str, **facts: Any) -> None:
        self._write({**row, "state": state, "closed_at": datetime.now(UTC), **facts})
        self._lake.overwrite("batch_requests", BATCH_REQUESTS.empty(), self._partition(row), self._run)

    def _tidy(self) -> None:
        """Remove questions of batches that are closed, or that were never even intended."""
        mine = self._lake.scan("batch_requests", {"model": self._agent.name}).select("shard").unique().collect()
        for shard in sorted(set(mine["shard"]) - set(self.open()["shard"])):
            partition = {"model": self._agent.name, "shard": shard}
            self._lake.overwrite("batch_requests", BATCH_REQUESTS.empty(), partition, self._run)

    def _write(self, row: dict[str, Any]) -> None:
        frame = pl.DataFrame([row], schema=BATCHES.schema)
        self._lake.overwrite("batches", frame, self._partition(row), self._run)

    def _partition(self, row: dict[str, Any]) -> dict[str, str]:
        return {"model": row["model"], "shard": row["shard"]}

    @property
    def _where(self) -> str:
        return f"model {self._agent.name}"


def _folded(lines: Iterable[tuple[str | None, Reply]], keys: set[str]) -> _Results:
    """One reply a key, the same whatever the order of the lines."""
    replies: dict[str, Reply] = {}
    surplus = unreadable = 0
    for key, reply in lines:
        if key is None:
            unreadable += 1
        elif key not in keys:
            surplus += 1
        elif key in replies:
            surplus += 1
            replies[key] = min(replies[key], reply, key=_preferred)
        else:
            replies[key] = reply
    return _Results(replies, surplus, unreadable)


def _preferred(reply: Reply) -> tuple[bool, str]:
    """Of two lines for one key an answer comes first; of two answers either would do, so the order must not decide."""
    return reply.kind is not Kind.ACCEPTED, repr(reply)


_LATER = "Run again later; nothing is asked twice."
_FATAL = "Check the profile's base_url, the key and the model's name; nothing was written off."
_SILENCE = "Run again: it is looked for, and sent again only if it does not exist."
_REFUSED = (
    "Nothing was written off; run again to send its questions anew. If more is under way than the account may have, "
    "set `batch_size` lower."
)
