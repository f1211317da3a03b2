"""Labels of dimensions from a model behind a service: the judges' wires with another question.

What belongs here: asking. What does not: what is asked and which answer counts (:mod:`affectlake.labelling`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from affectlake.labelling import SCHEMA, SYSTEM, Proposal, parse_label, question
from resources.agents.service.anthropic import AnthropicWire
from resources.agents.service.loop import Event, Patience, Run
from resources.agents.service.openai import OpenAIWire
from resources.agents.service.prices import read_prices
from resources.agents.service.wire import Clips, Kind, Prompt, Question, Reply, Wire, at, list_at, text_at
from resources.study import AnthropicModel, OpenAIModel, Study

LEAST_TOKENS = 64
"""A label needs more than a judge's single letter."""


def propose(
    captions: Sequence[Sequence[str]],
    settings: OpenAIModel | AnthropicModel,
    study: Study,
    patience: Patience,
    spent_usd: float = 0.0,
) -> tuple[list[Proposal], str | None]:
    """Ask a model for a label of each dimension, for as long as the model's ``max_usd`` allows.

    Parameters
    ----------
    captions : one sequence of str a dimension
        Of its top clips; a dimension without any is not asked about.
    settings : OpenAIModel or AnthropicModel
        The model's section of the study file.
    study : Study
        With its profile.
    patience : Patience
        How long to bear with model and service.
    spent_usd : float
        What the model has cost before.

    Returns
    -------
    proposals : list of Proposal, one a dimension
    problem : str or None
        Why not all could be asked: no key, a cap without a price or reached, a service that refuses.
    """
    texts = [question(shown) if shown else "" for shown in captions]
    prompts = [f"{SYSTEM}\n\n{text}" if text else "" for text in texts]
    profile = study.profiles[settings.profile]
    key = os.environ.get(profile.key_env, "")
    if not key:
        return [Proposal(None, p, 0) for p in prompts], f"the environment variable {profile.key_env} is not set"
    price = read_prices(study).of(settings.model)
    if settings.max_usd is not None and price is None:
        return [Proposal(None, p, 0) for p in prompts], f"max_usd is set, but no price of {settings.model!r} is known"
    events: list[Event] = []
    asked = [[Question(str(d), (text,), 0, _as_it_is)] for d, text in enumerate(texts) if text]
    settings = settings.model_copy(update={"max_tokens": max(LEAST_TOKENS, settings.max_tokens), "logprobs": False})

    async def ask() -> str | None:
        wire: Wire = (
            OpenAILabels(settings, profile, key)
            if isinstance(settings, OpenAIModel)
            else AnthropicLabels(settings, profile, key)
        )
        try:
            limits = (profile.max_in_flight, profile.requests_per_minute)
            budget = (spent_usd, settings.max_usd, settings.max_tokens)
            run = Run(wire, limits, events.append, price, budget, patience)
            await run.ask_all(asked)
            return None if run.stopped is None else run.stopped.what
        finally:
            await wire.close()

    problem = asyncio.run(ask())
    labels = {e.question.key: e.reply.label for e in events if e.reply.kind is Kind.ACCEPTED}
    counts = [sum(e.question.key == str(d) for e in events) for d in range(len(texts))]
    return [Proposal(labels.get(str(d)), prompts[d], counts[d]) for d in range(len(texts))], problem


class OpenAILabels(OpenAIWire):
    """The dialect of OpenAI, asked for a label."""

    def request(self, prompt: Prompt, named_only: frozenset[str] = frozenset()) -> tuple[str, dict[str, Any]]:
        """Path and body of the request: a judge's, with other words and another schema."""
        path, body = super().request(prompt, named_only)
        answer = {"name": "label", "strict": True, "schema": SCHEMA}
        if self.settings.api == "chat":
            body["messages"][0]["content"] = SYSTEM
            body["response_format"] = {"type": "json_schema", "json_schema": answer}
        else:
            body |= {"instructions": SYSTEM, "text": {"format": {"type": "json_schema", **answer}}}
        return path, body

    def _read(self, body: dict[str, Any]) -> Reply | None:
        if self.settings.api == "chat":
            return _labelled(super()._read(body), text_at(body, "choices", 0, "message", "content"))
        messages = [item for item in list_at(body, "output") if at(item, "type") == "message"]
        parts = [part for message in messages for part in list_at(message, "content")]
        return _labelled(super()._read(body), "".join(text_at(p, "text") or "" for p in parts))


class AnthropicLabels(AnthropicWire):
    """The dialect of Anthropic, asked for a label."""

    def request(self, prompt: Prompt) -> dict[str, Any]:
        """Body of the request: a judge's, with other words and another schema."""
        body = super().request(prompt) | {"system": SYSTEM}
        body["output_config"] |= {"format": {"type": "json_schema", "schema": SCHEMA}}
        return body

    def _read(self, body: dict[str, Any]) -> Reply | None:
        blocks = [block for block in list_at(body, "content") if at(block, "type") == "text"]
        text = "".join(text_at(block, "text") or "" for block in blocks)
        return _labelled(super()._read(body), text)


def _as_it_is(question: Question) -> tuple[str, Clips]:
    return str(question.row[0]), ()


def _labelled(reply: Reply | None, text: str | None) -> Reply | None:
    """What a judge's reply is as a label: where it came to its end, the words decide."""
    if reply is None or (reply.kind is not Kind.ACCEPTED and reply.reason != "invalid"):
        return reply
    label = parse_label(text)
    if label is None:
        return replace(reply, kind=Kind.CONTENT, reason="invalid", label=None, shares=None)
    return replace(reply, kind=Kind.ACCEPTED, reason=None, label=label, shares=None)
