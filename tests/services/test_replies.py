"""Whatever a service sends, each question has a reply that a table takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from affectlake.tables import ATTEMPTS, JUDGMENTS
from resources.agents.service import rows
from resources.agents.service.labels import AnthropicLabels, OpenAILabels
from resources.agents.service.loop import Event
from resources.agents.service.wire import Heard, Kind, Question, Wire
from resources.study import AnthropicModel, OpenAIModel
from tests.services.conftest import KEY, Bench
from tests.services.server import Service, _decision, reply_body

Asked = dict[str, tuple[Wire, list[Question], dict[str, Any]]]

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
SHARES = (0.2, 0.3, 0.5)

WRONG = (None, True, 5, -1, 10**400, math.nan, "", "A", "\ud800", [], [5], [[]], {}, {"type": 5}, [{"type": "message"}])
"""Among them half a character, which JSON can hold and a table cannot."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """Of each dialect a wire, questions, and the body that answers them."""
    here = Bench(Service(url="http://127.0.0.1:9/v1"), tmp_path_factory.mktemp("asked"))
    found: Asked = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY_KEY", KEY)
        for name in ("decisions", *PATHS):
            agent = here.agent(name)
            questions = list(agent.wording.questions([here.questions(agent, 3 if name == "decisions" else 1)]))
            if name == "decisions":
                answers = [answer for q in questions for answer in _decision(q.key, "C", SHARES, None)]
                body = {"answers": answers, "model": "judge", "usage": {"input_tokens": 9, "output_tokens": 0}}
            else:
                body = reply_body(PATHS[name], {"model": "judge", "logprobs": True}, "C", SHARES, None)
            found[name] = (agent.connect()(), questions, body)
            settings, profile = agent.settings, agent.profile
            if isinstance(settings, AnthropicModel):
                found[f"{name}, labels"] = (AnthropicLabels(settings, profile, KEY), questions, body)
            elif isinstance(settings, OpenAIModel) and name != "decisions":
                found[f"{name}, labels"] = (OpenAILabels(settings, profile, KEY), questions, body)
    return found


def places(body: Any, *before: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where something stands in a body."""
    yield before
    inner = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for step, part in inner:
        yield from places(part, *before, step)


def changed(body: Any, place: tuple[str | int, ...], to: Any) -> Any:
    if not place:
        return to
    found = deepcopy(body)
    inner = found
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = to
    return found


def test_a_body_that_is_wrong_anywhere_is_a_reply_to_each_question(asked: Asked) -> None:
    now = datetime.now(UTC)
    for name, (wire, questions, right) in asked.items():
        for place in places(right):
            for wrong in WRONG:
                body = json.dumps(changed(right, place, wrong))
                replies = wire.read(Heard(body, 0.1, now), questions)
                if "labels" in name:
                    (reply,) = replies
                    assert (reply.label is None) == (reply.kind is not Kind.ACCEPTED)
                    continue
                events = [Event(q, reply, 0, True, now, None) for q, reply in zip(questions, replies, strict=True)]
                made = rows.answers(events, "judge")
                kept = JUDGMENTS.validate(made.judgments).height + ATTEMPTS.validate(made.attempts).height
                assert kept == len(questions), (name, place, wrong)


def test_the_bodies_that_are_made_wrong_were_right(asked: Asked) -> None:
    for name, (wire, questions, right) in asked.items():
        replies = wire.read(Heard(json.dumps(right), 0.1, datetime.now(UTC)), questions)
        if "labels" not in name:
            assert [reply.label for reply in replies] == ["C"] * len(questions), name
