"""What questions will cost and how long they will take, before the first of them is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import polars as pl

from affectlake.prompts import SCHEMA, SYSTEM
from resources.agents.service.agent import ServiceAgent

BYTES_PER_TOKEN = 4
"""Rule of thumb for English, used only until the service has counted its own tokens."""

ANSWER_TOKENS = 8
"""Of an answer such as ``{"odd": "A"}`` without thinking; used only until the service has counted."""

_SAMPLE = 1000


@dataclass(frozen=True)
class Estimate:
    """What is still to be asked of one model."""

    questions: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    """None where the price of the model is not known."""
    usd_at_most: float | None
    """If every answer were as long as ``max_tokens`` allows."""
    hours: float
    """At the profile's limits."""
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
    price, settings, profile = agent.price, agent.settings, agent.profile
    latency = judgments["latency_s"].mean() if judgments.height else None
    minutes = [n / profile.requests_per_minute]
    if isinstance(latency, float):
        minutes.append(n * latency / profile.max_in_flight / 60)
    return Estimate(
        questions=n,
        tokens_in=round(n * each_in),
        tokens_out=round(n * each_out),
        usd=price.usd(n * each_in, n * each_out) if price else None,
        usd_at_most=price.usd(n * each_in, n * max(each_out, settings.max_tokens)) if price else None,
        hours=max(minutes) / 60,
        counted=counted,
    )


def _tokens(agent: ServiceAgent, questions: pl.DataFrame) -> float:
    """Mean tokens of a request by rule of thumb, over questions evenly taken from all."""
    if questions.is_empty():
        return 0.0
    sample = questions.gather_every(max(1, questions.height // _SAMPLE))
    items = np.unique(sample.select("a", "b", "c").to_numpy())
    agent.shown.prepare(items, lambda done, total: None)
    made = list(agent.requests([sample]))
    words = len(SYSTEM) + len(json.dumps(SCHEMA)) + sum(question.bytes for question in made) / len(made)
    return words / BYTES_PER_TOKEN + sum(question.media_tokens for question in made) / len(made)
