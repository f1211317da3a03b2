"""What a user may rely on with decisions: many questions a request, and each of them by itself all the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from openai.types.decision_create_params import DecisionCreateParams
from pydantic import TypeAdapter

from affectlake.errors import AgentError, StudyError
from affectlake.prompts import data_block
from resources.study import load_study
from tests.services.conftest import KEY, Bench, collect
from tests.services.server import biased
from tests.services.test_judging import FAULTS, check_accounts

Start = Callable[..., Bench]


def test_four_hundred_questions_share_a_request_and_each_gets_its_own_answer(bench: Start) -> None:
    here = bench()
    agent = here.agent("decisions")
    questions = here.questions(agent, 1000)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.attempts.is_empty()
    assert here.service.requests == 3
    check_accounts(found, questions, here.service)


@pytest.mark.parametrize(
    ("n", "seed"), [(1200, 0), *(pytest.param(10_000, seed, marks=pytest.mark.long) for seed in range(3))]
)
def test_every_question_ends_accepted_or_as_a_stated_failure(bench: Start, n: int, seed: int) -> None:
    here = bench(faults={**FAULTS, "lost": 0.02, "doubled": 0.02}, seed=seed)
    agent = here.agent("decisions")
    questions = here.questions(agent, n)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.judgments.height > 0.98 * n
    check_accounts(found, questions, here.service)
    assert {"refused", "invalid"} <= set(found.attempts["reason"])


def test_probabilities_are_kept_as_soft_labels_of_the_items(bench: Start) -> None:
    here = bench(persona=biased((0.0, 0.7, 1.4)))
    agent = here.agent("decisions")
    found, _ = collect(agent, here.questions(agent, 100))
    by_place = np.exp([0.0, 0.7, 1.4]) / np.exp([0.0, 0.7, 1.4]).sum()
    for row in found.judgments.iter_rows(named=True):
        told = [row[f"p_{place}"] for place in row["presented"]]
        np.testing.assert_allclose(told, by_place, atol=0.01)
        assert sum(told) == pytest.approx(1)
        assert row["odd"] == row[row["presented"][2]]


def test_one_refusal_leaves_the_other_questions_their_answers(bench: Start) -> None:
    here = bench(faults={"refusal": 0.05})
    agent = here.agent("decisions")
    questions = here.questions(agent, 400)
    found, problem = collect(agent, questions)
    assert problem is None
    assert set(found.attempts["reason"]) == {"refused"}
    assert here.service.requests <= 3, "what is left over is asked again together"
    check_accounts(found, questions, here.service)


def test_an_answer_that_is_lost_or_stands_twice_is_nobodys(bench: Start) -> None:
    for fault in ("lost", "doubled"):
        here = bench(faults={fault: 0.1})
        agent = here.agent("decisions")
        questions = here.questions(agent, 400)
        found, problem = collect(agent, questions)
        assert problem is None
        assert found.judgments.height == 400
        assert set(found.attempts["reason"]) == {"invalid"}
        check_accounts(found, questions, here.service)


def test_a_question_that_the_service_will_not_take_is_found_among_four_hundred(bench: Start) -> None:
    here = bench(unbearable="clip 7 ")
    agent = here.agent("decisions")
    questions = here.questions(agent, 60)
    hit = questions.filter((questions["a"] == 7) | (questions["b"] == 7) | (questions["c"] == 7))
    found, problem = collect(agent, questions)
    assert problem is None
    assert 0 < hit.height < 30
    assert set(found.attempts.filter("final")["triplet_id"]) == set(hit["triplet_id"])
    assert found.judgments.height == questions.height - hit.height
    check_accounts(found, questions, here.service)


def test_a_service_that_never_works_writes_nothing_off(bench: Start) -> None:
    for fault in ("html", "empty", "missing", "500", "400"):
        here = bench(faults={fault: 1.0})
        agent = here.agent("decisions")
        found, problem = collect(agent, here.questions(agent, 8))
        assert isinstance(problem, AgentError), fault
        assert found.judgments.is_empty()
        assert not found.attempts["final"].any()


def test_tokens_of_a_request_are_dealt_out_to_its_questions_and_output_is_free(bench: Start) -> None:
    here = bench()
    agent = here.agent("decisions", max_usd=1.0)
    found, _ = collect(agent, here.questions(agent, 100))
    assert found.judgments["tokens_in"].sum() == 100 * 70 + 3
    assert found.judgments["tokens_in"].max() - found.judgments["tokens_in"].min() <= 1
    assert found.judgments["cost_usd"].sum() == pytest.approx((100 * 70 + 3) * 0.10 / 1e6)


def test_the_cap_on_costs_is_kept(bench: Start) -> None:
    here = bench()
    agent = here.agent("decisions", max_usd=0.06)
    found, problem = collect(agent, here.questions(agent, 10_000))
    assert "max_usd" in str(problem)
    assert 0.03 < found.judgments["cost_usd"].sum() <= 0.06


def test_the_request_is_what_the_service_documents(bench: Start) -> None:
    here = bench()
    agent = here.agent("decisions")
    questions = here.questions(agent, 5)
    collect(agent, questions)
    assert here.service.last is not None
    TypeAdapter(DecisionCreateParams).validate_python(here.service.last.json)
    asked = here.service.last.json["questions"]
    assert [q["name"] for q in asked] == [question.key for question in agent.wording.questions([questions])]
    assert set(data_block(asked[0]["instructions"])) == {"A", "B", "C"}


def test_the_key_is_sent_and_kept_nowhere_although_the_server_sends_it_back(bench: Start) -> None:
    here = bench(faults={"500": 1.0})
    agent = here.agent("decisions")
    found, problem = collect(agent, here.questions(agent, 5))
    assert KEY in here.service.seen[0].authorization
    assert "[key]" in found.attempts["raw"][0]
    for shown in (found.attempts.write_csv(), repr(agent), str(problem), repr(problem), str(vars(agent))):
        assert KEY not in shown


def test_another_wording_is_another_version_and_what_does_not_apply_is_refused(bench: Start, tmp_path: Path) -> None:
    here = bench()
    assert here.agent("decisions").prompt_version != here.agent("chat").prompt_version
    text = (tmp_path / "study.yaml").read_text().replace("api: decisions", "api: decisions, temperature: 0")
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(StudyError, match="takes no temperature"):
        load_study(tmp_path / "study.yaml")
