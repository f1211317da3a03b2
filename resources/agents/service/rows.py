"""From questions as rows to requests, and from what came back to rows of the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern
from typing import Any

import polars as pl

from affectlake.prompts import LABELS
from affectlake.tables import ATTEMPTS, JUDGMENTS
from resources.agents.captions import NUMBERS
from resources.agents.local import request_keys, shaped
from resources.agents.protocol import Answers
from resources.agents.service.captions import ShownCaptions
from resources.agents.service.loop import Event
from resources.agents.service.media import ShownMedia
from resources.agents.service.wire import Kind, Question

_AT_ONCE = 2048
"""Questions and answers that are turned into rows or back at a time: a long list never stands in memory as dicts."""

Shown = ShownCaptions | ShownMedia

KEY = ("triplet_id", "a", "b", "c", "presented", "repeat", "prompt_version", "stimulus_version", "model")

SENT = (*KEY, *NUMBERS)
"""What is known of a question when it is sent: its key and the captions that it shows."""

_OF_JUDGMENTS = {"a", "b", "c", *NUMBERS}
"""Columns that an attempt has not."""


def requests(questions: pl.DataFrame, model: str, prompt_version: str, shown: Shown) -> Iterator[Question]:
    """The questions as they are put, one by one.

    Parameters
    ----------
    questions : polars.DataFrame
        Schema :data:`resources.agents.protocol.QUESTIONS`.
    model : str
        The judge's name in the study file.
    prompt_version : str
        Version of the wording.
    shown : Shown
        What they show.

    Yields
    ------
    Question
        In the order of ``questions``.
    """
    # one text for all: each row would come with copies of its own
    constant = {"model": model, "prompt_version": prompt_version}
    for chunk in questions.iter_slices(_AT_ONCE):
        rows = chunk.with_columns(pl.lit(text).alias(name) for name, text in constant.items())
        rows = shown.numbered(rows.with_columns(request_keys(rows)))
        for row in rows.iter_rows(named=True):
            text, clips = shown.question(row)
            row |= constant | {"presented": intern(row["presented"])}
            yield Question(row["request_key"], tuple(row[name] for name in SENT), text, row["attempted"], clips)


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
