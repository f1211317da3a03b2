"""What questions will cost and how long they will take, before the first of them is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl

from affectlake.prompts import SCHEMA
from resources.agents.service.agent import ServiceAgent
from resources.agents.service.decisions import CHOICES, QUESTIONS
from resources.agents.service.prices import Rate
from resources.study import OpenAIModel

BYTES_PER_TOKEN = 4
"""Rule of thumb for English, used only until the service has counted its own tokens."""

ANSWER_TOKENS = 8
"""Of an answer such as ``{"odd": "A"}`` without thinking; used only until the service has counted."""

_SAMPLE = 1000


BATCH_HOURS = 24
"""Within which a batch ends; all are under way at once, and what has to be asked again goes into the next."""


@dataclass(frozen=True)
class Money:
    """US dollars, None where the price of the model is not known."""

    usd: float | None
    usd_at_most: float | None
    """If every answer were as long as ``max_tokens`` allows."""


@dataclass(frozen=True)
class Estimate:
    """What is still to be asked of one model."""

    questions: int
    tokens_in: int
    tokens_out: int
    realtime: Money
    hours: float
    """In real time, at the profile's limits."""
    batch: Money | None
    """None where the interface knows no batches."""
    counted: int
    """Answers whose tokens the service has counted; 0 where tokens are a rule of thumb."""


def estimate(agent: ServiceAgent, questions: pl.DataFrame, judgments: pl.DataFrame, attempts: pl.DataFrame) -> Estimate:
    """Reckon what ``questions`` will take.

    Parameters
    ----------
    agent : ServiceAgent
        The judge.
    questions : polars.DataFrame
        Those still to be asked.
    judgments, attempts : polars.DataFrame
        What the model has answered before: columns ``tokens_in``, ``tokens_out``, and ``latency_s`` of the judgments.

    Returns
    -------
    Estimate
        From the tokens of earlier answers, failed attempts included; from the length of the questions where there are
        none.
    """
    n, counted = questions.height, judgments.drop_nulls("tokens_in").height
    if counted:
        spent = pl.concat([f.select("tokens_in", "tokens_out") for f in (judgments, attempts)]).sum()
        each_in, each_out = (spent[name].item() / counted for name in ("tokens_in", "tokens_out"))
    else:
        each_in, each_out = _tokens(agent, questions), float(ANSWER_TOKENS)
    settings, profile = agent.settings, agent.profile
    api = settings.api if isinstance(settings, OpenAIModel) else ""
    each = QUESTIONS if api == "decisions" else 1
    latency = judgments["latency_s"].mean() if judgments.height else None
    minutes = [n / each / profile.requests_per_minute]
    if isinstance(latency, float):
        minutes.append(n / each * latency / profile.max_in_flight / 60)

    def money(rate: Rate | None) -> Money:
        if rate is None:
            return Money(None, None)
        longest = n * max(each_out, settings.max_tokens)
        return Money(rate.usd(n * each_in, n * each_out), rate.usd(n * each_in, longest))

    listed = agent.listed
    return Estimate(
        questions=n,
        tokens_in=round(n * each_in),
        tokens_out=round(n * each_out),
        realtime=money(listed and listed.rate("realtime", api)),
        hours=max(minutes) / 60,
        batch=None if api == "decisions" else money(listed and listed.rate("batch", api)),
        counted=counted,
    )


def _tokens(agent: ServiceAgent, questions: pl.DataFrame) -> float:
    """Mean tokens of a request by rule of thumb, over questions evenly taken from all."""
    if questions.is_empty():
        return 0.0
    sample = questions.gather_every(max(1, questions.height // _SAMPLE))
    items = np.unique(sample.select("a", "b", "c").to_numpy())
    agent.shown.prepare(items, lambda done, total: None)
    made = [question.prompt() for question in agent.wording.questions([sample])]
    around = len(agent.instruction) + len(json.dumps(SCHEMA))
    if isinstance(agent.settings, OpenAIModel) and agent.settings.api == "decisions":
        around = len(agent.instruction) // QUESTIONS + len(json.dumps(CHOICES))
    words = around + sum(prompt.bytes for prompt in made) / len(made)
    return words / BYTES_PER_TOKEN + sum(prompt.media_tokens for prompt in made) / len(made)
