"""OpenAI's decisions: many questions a request, and for each of them a probability of every choice."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from affectlake.prompts import DECISIONS_INPUT, LABELS
from resources.agents.service.openai import OpenAIWire
from resources.agents.service.wire import Kind, Questions, Reply, at, count_at, text_at

if TYPE_CHECKING:
    import httpx2

QUESTIONS = 400
"""Questions that one request may hold."""

BYTES = 1_000_000
"""Bytes of questions in one request: no more tokens than that, and the model reads 1,050,000."""

CHOICES = [{"value": label} for label in LABELS]


class DecisionsWire(OpenAIWire):
    """Questions as choices of a decision, each named by its key.

    Answers are matched by their names alone. An answer without a name that we gave, or with one that stands twice, is
    nobody's.
    """

    at_once = (QUESTIONS, BYTES)

    async def _send(self, questions: Questions) -> httpx2.Response:
        # no name for the body: it would be held until the answer comes
        return await self.clients.post("/decisions", self._body(questions), next(iter(questions)).key)

    def _body(self, questions: Questions) -> dict[str, Any]:
        return {
            "model": self.settings.model,
            "input": DECISIONS_INPUT,
            "questions": [
                {"type": "choice", "name": q.key, "instructions": q.prompt().text, "choices": CHOICES}
                for q in questions
            ],
        }

    def _read_all(self, body: dict[str, Any], text: str, questions: Questions) -> list[Reply] | None:
        answers = at(body, "answers")
        if not isinstance(answers, list):
            return None
        names = Counter(text_at(answer, "name") for answer in answers)
        found = {name: answer for answer in answers if names[name := text_at(answer, "name")] == 1}
        tokens_in = _dealt(count_at(body, "usage", "input_tokens"), len(questions))
        tokens_out = _dealt(count_at(body, "usage", "output_tokens"), len(questions))
        model = text_at(body, "model")
        return [
            _reply(found.get(question.key), model, tokens_in[i], tokens_out[i]) for i, question in enumerate(questions)
        ]


def _reply(answer: Any, model: str | None, tokens_in: int | None, tokens_out: int | None) -> Reply:
    facts: dict[str, Any] = {"model": model, "tokens_in": tokens_in, "tokens_out": tokens_out}
    kind, label = text_at(answer, "type"), text_at(answer, "choice")
    if kind == "choice" and label in LABELS:
        return Reply(Kind.ACCEPTED, label=label, shares=_shares(at(answer, "probabilities")), **facts)
    if answer is None:
        return Reply(Kind.SERVICE, "invalid", "no answer of this name", **facts)
    return Reply(Kind.CONTENT, "refused" if kind == "refusal" else "invalid", json.dumps(answer), **facts)


def _shares(probabilities: Any) -> tuple[float, float, float] | None:
    """Probabilities of A, B and C; None unless each label stands there once, with a number, and they can be summed."""
    if not isinstance(probabilities, list) or len(probabilities) != len(LABELS):
        return None
    by_label = {text_at(p, "value"): at(p, "probability") for p in probabilities}
    found = [by_label.get(label) for label in LABELS]
    numbers = [float(p) for p in found if isinstance(p, (int, float)) and 0 <= p <= 1]
    total = math.fsum(numbers)
    if len(numbers) < len(LABELS) or not total > 0:
        return None
    # they come rounded to two decimals
    a, b, c = (p / total for p in numbers)
    return a, b, c


def _dealt(total: int | None, n: int) -> list[int] | list[None]:
    """A request's tokens dealt out to its questions: the whole is exact, the parts differ by one."""
    if total is None:
        return [None] * n
    each, more = divmod(total, n)
    return [each + (i < more) for i in range(n)]
