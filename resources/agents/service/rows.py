"""From questions as rows to requests, and from what came back to rows of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.prompts import LABELS
from affectlake.tables import ATTEMPTS, JUDGMENTS
from resources.agents.captions import NUMBERS
from resources.agents.local import request_keys, shaped
from resources.agents.protocol import Answers
from resources.agents.service.captions import ShownCaptions
from resources.agents.service.loop import Event
from resources.agents.service.media import ShownMedia
from resources.agents.service.wire import Clips, Kind, Question, Questions

_AT_ONCE = 2048
"""Questions and answers that are turned into rows or back at a time: a long list never stands in memory as dicts."""

Shown = ShownCaptions | ShownMedia

_KNOWN = ("triplet_id", "a", "b", "c", "presented", "repeat", "stimulus_version", *NUMBERS)

_CONSTANT = ("model", "prompt_version")

_COLUMNS = ("request_key", "attempted", *_KNOWN)
"""Of the frames that questions are made of: what differs between them."""

SENT = (*_KNOWN, *_CONSTANT)
"""What is known of a question when it is sent, as columns of ``judgments``."""

_OF_JUDGMENTS = {"a", "b", "c", *NUMBERS}
"""Columns that an attempt has not."""


class Wording:
    """How one judge is asked.

    Parameters
    ----------
    model : str
        The judge's name in the study file.
    prompt_version : str
        Version of the wording.
    shown : Shown
        What it is shown.
    """

    def __init__(self, model: str, prompt_version: str, shown: Shown) -> None:
        self._shown = shown
        # one text for all: each question would come with copies of its own
        self._constant = (model, prompt_version)

    def questions(self, frames: Iterable[pl.DataFrame]) -> Iterator[Question]:
        """The questions of ``frames`` (schema :data:`resources.agents.protocol.QUESTIONS`), in their order."""
        for frame in self._numbered(frames):
            yield from self._make(frame)

    def groups(self, frames: Iterable[pl.DataFrame], most: int, most_bytes: int) -> Iterator[Questions]:
        """The same as they are put together into requests.

        Parameters
        ----------
        frames : iterable of polars.DataFrame
            The questions.
        most, most_bytes : int
            Questions, and bytes of questions, that a request may hold; it holds one of any size.
        """
        if most == 1:
            yield from ([question] for question in self.questions(frames))
            return
        left: list[pl.DataFrame] = []
        for frame in self._numbered(frames):
            waiting = pl.concat([*left, frame])
            ends, start = self._shown.sizes(waiting.select("a", "b", "c").to_numpy()).cumsum(), 0
            while (end := _end(ends, start, most, most_bytes)) < waiting.height:
                yield Group(self._make, waiting[start:end])
                start = end
            # the last of them may have room for more
            left = [waiting[start:]]
        yield from (Group(self._make, rest) for rest in left)

    def question(self, row: Mapping[str, Any]) -> Question:
        """A question that was put before, with its key; ``row`` has the columns of ``batch_requests``."""
        return Question(row["request_key"], tuple(row[name] for name in SENT), row["attempted"], self._show)

    def _numbered(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Questions with all that is known of them but the constants, some at a time."""
        for frame in frames:
            for chunk in frame.iter_slices(_AT_ONCE):
                whole = chunk.with_columns(
                    pl.lit(text).alias(name) for name, text in zip(_CONSTANT, self._constant, strict=True)
                )
                yield self._shown.numbered(chunk.with_columns(request_keys(whole))).select(_COLUMNS)

    def _make(self, frame: pl.DataFrame) -> Iterator[Question]:
        for key, attempted, *known in frame.select(_COLUMNS).iter_rows():
            yield Question(key, (*known, *self._constant), attempted, self._show)

    def _show(self, question: Question) -> tuple[str, Clips]:
        return self._shown.question(sent(question))


class Group:
    """Questions of one request, as columns: they are made whenever they are looked at.

    Tens of thousands are in flight at a time where a request holds hundreds; as objects they take five times the room.
    """

    def __init__(self, made: Callable[[pl.DataFrame], Iterator[Question]], rows: pl.DataFrame) -> None:
        self._make, self._rows = made, rows

    def __len__(self) -> int:
        return self._rows.height

    def __iter__(self) -> Iterator[Question]:
        return self._make(self._rows)


def _end(ends: npt.NDArray[np.int64], start: int, most: int, most_bytes: int) -> int:
    """Where a request ends that begins with question ``start``; ``ends``: bytes up to the end of each question."""
    before = ends[start - 1] if start else 0
    fitting = int(np.searchsorted(ends, before + most_bytes, side="right"))
    return min(start + most, max(start + 1, fitting))


def sent(question: Question) -> dict[str, Any]:
    """What is known of a question by column, :data:`SENT`."""
    return dict(zip(SENT, question.row, strict=True))


def answers(events: list[Event], model_asked: str) -> Answers:
    """What came back, as rows of ``judgments`` and ``attempts``; empties ``events`` on the way: rows are smaller."""
    parts: list[Answers] = []
    while events or not parts:
        parts.append(_answers(events[:_AT_ONCE], model_asked))
        del events[:_AT_ONCE]
    return Answers(pl.concat([p.judgments for p in parts]), pl.concat([p.attempts for p in parts]))


def _answers(events: Iterable[Event], model_asked: str) -> Answers:
    judgments, attempts = [], []
    for event in events:
        if event.reply.kind is Kind.ACCEPTED:
            judgments.append(_judgment(event, model_asked))
        else:
            attempts.append(_attempt(event))
    return Answers(_frame(judgments, JUDGMENTS.schema), _frame(attempts, ATTEMPTS.schema))


def _frame(rows: list[dict[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    return shaped(pl.DataFrame(rows, schema=schema, orient="row"), schema)


def _judgment(event: Event, model_asked: str) -> dict[str, Any]:
    row, reply = sent(event.question), event.reply
    presented = str(row["presented"])
    shares = {}
    if reply.shares is not None:
        # A, B and C are places on the screen; a, b and c are items
        shares = {f"p_{place}": share for place, share in zip(presented, reply.shares, strict=True)}
    return {
        **row,
        **_usage(event),
        **shares,
        "odd": row[presented[LABELS.index(str(reply.label))]],
        "model_asked": model_asked,
        "model_returned": reply.model,
        "latency_s": reply.latency_s,
        "judged_at": event.at,
    }


def _attempt(event: Event) -> dict[str, Any]:
    return {
        **{name: value for name, value in sent(event.question).items() if name not in _OF_JUDGMENTS},
        **_usage(event),
        "request_key": event.question.key,
        "attempt": event.attempt,
        "reason": event.reply.reason,
        "final": event.settled,
        "raw": event.reply.raw,
        "attempted_at": event.at,
    }


def _usage(event: Event) -> dict[str, Any]:
    return {"tokens_in": event.reply.tokens_in, "tokens_out": event.reply.tokens_out, "cost_usd": event.cost_usd}
