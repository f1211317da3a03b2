"""What a user may rely on when a service judges: every question accounted for, nothing asked twice, nothing made up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from affectlake.errors import AgentError
from affectlake.prompts import LABELS
from resources.agents.local import request_keys
from resources.agents.protocol import Answers
from resources.agents.service.loop import Patience
from tests.services.conftest import KEY, QUICK, Bench, N, collect
from tests.services.server import Service, biased, serving

WIRES = ("chat", "responses", "messages")
FAULTS = {
    "429": 0.05,
    "500": 0.05,
    "reset": 0.03,
    "html": 0.03,
    "empty": 0.02,
    "missing": 0.03,
    "prose": 0.05,
    "silence": 0.02,
    "unknown": 0.02,
    "refusal": 0.05,
    "length": 0.02,
}
Start = Callable[..., Bench]


def labels_of(judgments: pl.DataFrame) -> dict[str, str]:
    """The label that each row must have been given, by its request's key."""
    rows = judgments.with_columns(request_keys(judgments))
    return {
        row["request_key"]: LABELS[[row[p] for p in row["presented"]].index(row["odd"])]
        for row in rows.iter_rows(named=True)
    }


def check_accounts(found: Answers, questions: pl.DataFrame, service: Service) -> None:
    """Accepted or a stated failure; duplicates 0; lost 0; every row is the answer to its own key."""
    given = labels_of(found.judgments)
    given_up = found.attempts.filter("final")["request_key"]
    assert len(given) == found.judgments.height, "two answers to one key"
    assert not set(given) & set(given_up)
    assert len(given) + given_up.n_unique() == questions.height
    assert given_up.n_unique() == given_up.len()
    assert len(service.seen) == found.judgments.height + found.attempts.height, "a physical answer has no row"
    answered = service.answered()
    assert given == {key: labels[-1] for key, labels in answered.items()}
    assert all(len(labels) == 1 for labels in answered.values()), "a question was asked again after its answer"


@pytest.mark.parametrize("wire", WIRES)
def test_without_faults_each_question_is_asked_once_and_answered(bench: Start, wire: str) -> None:
    here = bench()
    agent = here.agent(wire)
    questions = here.questions(agent, 100)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.attempts.is_empty()
    assert len(here.service.seen) == questions.height
    check_accounts(found, questions, here.service)


@pytest.mark.parametrize(
    ("wire", "n", "seed"),
    [(wire, 200, 0) for wire in WIRES]
    + [pytest.param(wire, 10_000, seed, marks=pytest.mark.long) for wire in WIRES for seed in range(3)],
)
def test_every_question_ends_accepted_or_as_a_stated_failure(bench: Start, wire: str, n: int, seed: int) -> None:
    here = bench(faults=FAULTS, seed=seed)
    agent = here.agent(wire)
    questions = here.questions(agent, n)
    found, problem = collect(agent, questions)
    assert problem is None
    check_accounts(found, questions, here.service)
    assert set(found.attempts["reason"]) == {"error", "invalid", "refused", "length"}
    assert found.attempts["raw"].str.len_bytes().max() <= 2048


def test_odd_is_the_item_that_stood_at_the_label_and_soft_labels_belong_to_items(bench: Start) -> None:
    here = bench()
    agent = here.agent("chat")
    found, _ = collect(agent, here.questions(agent, 100))
    shares = found.judgments.select("p_a", "p_b", "p_c").to_numpy()
    items = found.judgments.select("a", "b", "c").to_numpy()
    np.testing.assert_allclose(np.sort(shares, axis=1), [[0.1, 0.1, 0.8]] * len(shares), rtol=1e-5)
    assert (items[np.arange(len(items)), shares.argmax(axis=1)] == found.judgments["odd"].to_numpy()).all()
    longest = {item: len(agent.shown.texts((item, item, item))[item][0]) for item in range(N)}
    for a, b, c, odd in found.judgments.select("a", "b", "c", "odd").iter_rows():
        assert longest[odd] == max(longest[i] for i in (a, b, c))


def test_anthropic_gives_no_probabilities_and_none_are_made_up(bench: Start) -> None:
    here = bench()
    agent = here.agent("messages")
    found, _ = collect(agent, here.questions(agent, 20))
    assert found.judgments["p_a"].null_count() == 20


def test_what_was_sent_states_schema_thinking_and_effort(bench: Start) -> None:
    here = bench()
    for wire in WIRES:
        agent = here.agent(wire)
        collect(agent, here.questions(agent, 1))
    chat, responses, messages = (seen.body for seen in here.service.seen)
    assert chat["response_format"]["json_schema"]["strict"] is True
    assert chat["logprobs"] is True
    assert responses["text"]["format"]["strict"] is True
    assert responses["store"] is False
    assert messages["thinking"] == {"type": "disabled"}
    assert messages["output_config"]["effort"] == "low"
    assert messages["output_config"]["format"]["type"] == "json_schema"


def test_tokens_money_and_the_models_name_are_kept(bench: Start) -> None:
    here = bench()
    agent = here.agent("chat")
    found, _ = collect(agent, here.questions(agent, 10))
    row = found.judgments.row(0, named=True)
    assert (row["model_asked"], row["model_returned"]) == ("gpt-6-luna", "gpt-6-luna-2026-01-01")
    assert (row["tokens_in"], row["tokens_out"]) == (200, 8)
    assert row["cost_usd"] == pytest.approx((200 * 0.10 + 8 * 0.50) / 1e6)


@pytest.mark.parametrize("wire", WIRES)
def test_prose_and_refusals_never_become_labels(bench: Start, wire: str) -> None:
    for fault, reason in (("prose", "invalid"), ("silence", "invalid"), ("refusal", "refused")):
        here = bench(faults={fault: 1.0})
        agent = here.agent(wire)
        found, problem = collect(agent, here.questions(agent, 20))
        assert problem is None
        assert found.judgments.is_empty()
        assert set(found.attempts["reason"]) == {reason}
        assert found.attempts.height == 60, "three answers a question"
        assert found.attempts["final"].sum() == 20


def test_a_service_that_never_works_writes_nothing_off(bench: Start) -> None:
    for fault in ("html", "empty", "missing", "500", "400", "reset"):
        here = bench(faults={fault: 1.0})
        agent = here.agent()
        found, problem = collect(agent, here.questions(agent, 10))
        assert isinstance(problem, AgentError), fault
        assert found.judgments.is_empty()
        assert not found.attempts["final"].any(), "it may be asked again when the service works"


def test_an_outage_costs_no_question_its_answer(bench: Start) -> None:
    here = bench(outage=range(50, 850))
    agent = here.agent(patience=replace(QUICK, silence_s=60))
    questions = here.questions(agent, 200)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.judgments.height == questions.height
    assert found.attempts.height == 800


def test_answers_from_before_an_outage_that_come_late_are_no_sign_that_the_service_works(bench: Start) -> None:
    here = bench(outage=range(8, 1500), latency_s=0.5, fails_at_once=True)
    agent = here.agent(patience=replace(QUICK, silence_s=60))
    questions = here.questions(agent, 200)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.judgments.height == questions.height


def test_a_judge_that_only_talks_ends_the_run_before_it_costs_a_fortune(bench: Start) -> None:
    here = bench(faults={"prose": 1.0})
    agent = here.agent()
    found, problem = collect(agent, here.questions(agent, 2000))
    assert "no usable answer" in str(problem)
    assert len(here.service.seen) < 700
    assert not found.attempts["final"].any()


def test_a_refused_key_ends_the_run_at_once(bench: Start) -> None:
    here = bench(faults={"401": 1.0})
    agent = here.agent()
    _, problem = collect(agent, here.questions(agent, 200))
    assert "HTTP 401" in str(problem)
    assert len(here.service.seen) <= 32


def test_a_redirect_is_not_followed(bench: Start) -> None:
    with serving(Service()) as sink:
        for wire in WIRES:
            here = bench(faults={"redirect": 1.0}, elsewhere=f"{sink.url}/chat/completions")
            agent = here.agent(wire)
            _, problem = collect(agent, here.questions(agent, 20))
            assert "HTTP 307" in str(problem)
        assert sink.seen == []


def test_a_short_retry_after_is_obeyed_and_nothing_is_given_up(bench: Start) -> None:
    here = bench(faults={"429": 0.1}, retry_after="0.05")
    agent = here.agent()
    questions = here.questions(agent, 200)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.judgments.height == questions.height
    assert set(found.attempts["reason"]) <= {"error"}


@pytest.mark.parametrize("wire", WIRES)
def test_a_long_retry_after_ends_the_run_and_says_until_when(bench: Start, wire: str) -> None:
    here = bench(faults={"429": 0.05}, retry_after="3600")
    agent = here.agent(wire)
    questions = here.questions(agent, 1000)
    found, problem = collect(agent, questions)
    assert "rate limited until" in str(problem)
    assert 0 < found.judgments.height < questions.height
    assert len(here.service.answered()) == found.judgments.height, "what was in flight is kept"


def test_fewer_requests_are_in_flight_after_a_rate_limit(bench: Start) -> None:
    free = bench(latency_s=0.1)
    agent = free.agent()
    collect(agent, free.questions(agent, 300))
    assert free.service.most_in_flight > 24
    held = bench(latency_s=0.1, faults={"429": 0.2}, retry_after="0")
    agent = held.agent()
    found, _ = collect(agent, held.questions(agent, 150))
    assert found.judgments.height == 150
    assert held.service.most_in_flight < 24


def test_a_slow_answer_is_given_up_in_bounded_time(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    here = bench(latency_s=30)
    agent = here.agent("chat", Patience(service=2, pause_s=0.01, silence_s=0.5))
    monkeypatch.setattr(agent, "profile", agent.profile.model_copy(update={"timeout_s": 0.2}))
    found, problem = collect(agent, here.questions(agent, 5))
    assert isinstance(problem, AgentError)
    assert found.attempts["raw"][0] == "no answer within 0.2 s"


def test_an_answer_that_drips_is_given_up_in_bounded_time(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    # each byte comes within any timeout between two bytes, and the answer never ends
    with serving(Service(drips_s=0.05)) as service:
        here = replace(bench(), service=service)
        agent = here.agent("chat", Patience(service=1, pause_s=0.01, silence_s=0.5))
        monkeypatch.setattr(agent, "profile", agent.profile.model_copy(update={"timeout_s": 0.4}))
        found, problem = collect(agent, here.questions(agent, 3))
    assert "no answer" in str(problem)
    assert found.judgments.is_empty()
    assert set(found.attempts["raw"]) == {"no answer within 0.4 s"}


def test_the_cap_on_costs_is_kept_and_more_money_goes_on_where_it_ended(bench: Start) -> None:
    here = bench(faults={"prose": 0.1})
    agent = here.agent(max_usd=0.01)
    questions = here.questions(agent, 1000)
    found, problem = collect(agent, questions)
    spent = found.judgments["cost_usd"].sum() + found.attempts["cost_usd"].sum()
    assert "max_usd" in str(problem)
    assert 0.009 < spent <= 0.01
    again, problem = collect(here.agent(max_usd=0.01, spent=spent), questions)
    assert "max_usd" in str(problem)
    assert again.judgments.height < 10
    assert spent + again.judgments["cost_usd"].sum() + again.attempts["cost_usd"].sum() <= 0.01


def test_a_cap_without_a_price_is_refused(bench: Start) -> None:
    with pytest.raises(AgentError, match="price"):
        bench().agent(model="unheard-of", max_usd=1.0)


def test_a_missing_key_names_its_variable(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = bench().agent()
    monkeypatch.delenv("CANARY_KEY")
    with pytest.raises(AgentError, match="CANARY_KEY"):
        agent.prepare(lambda done, total: None)


def test_the_key_is_sent_and_kept_nowhere_although_the_server_sends_it_back(bench: Start) -> None:
    for wire in WIRES:
        here = bench(faults={"500": 1.0})
        agent = here.agent(wire)
        found, problem = collect(agent, here.questions(agent, 5))
        assert KEY in here.service.seen[0].authorization
        assert "[key]" in found.attempts["raw"][0]
        for shown in (found.attempts.write_csv(), repr(agent), str(problem), repr(problem), str(vars(agent))):
            assert KEY not in shown


def test_attempts_are_numbered_on_where_an_earlier_run_ended(bench: Start) -> None:
    here = bench(faults={"prose": 1.0})
    agent = here.agent()
    questions = here.questions(agent, 3).with_columns(attempted=pl.lit(2, pl.Int32))
    found, _ = collect(agent, questions)
    assert sorted(found.attempts["attempt"].unique()) == [2, 3, 4]


def test_a_changed_caption_changes_the_version_of_its_own_questions_only(bench: Start) -> None:
    for use in ("first", "random", "all"):
        here = bench(use=use)
        agent = here.agent()
        questions = here.questions(agent, 400)
        shown = agent.shown
        assert questions["stimulus_version"].n_unique() == questions.height
        shown._hash[shown._captions.first[5]] += np.uint64(1)
        now = agent.stimulus_version(questions.select("a", "b", "c").to_numpy())
        changed = (now != questions["stimulus_version"]).to_numpy()
        concerned = (questions.select("a", "b", "c").to_numpy() == 5).any(axis=1)
        assert not changed[~concerned].any()
        assert changed[concerned].all() if use != "random" else changed[concerned].any()


def test_a_change_of_model_or_effort_asks_anew_and_a_change_of_endpoint_does_not(bench: Start) -> None:
    here = bench()
    version = here.agent("messages").prompt_version
    assert here.agent("messages", model="other").prompt_version != version
    assert here.agent("messages", effort="high").prompt_version != version
    assert here.agent("messages", max_usd=3.0, profile="here").prompt_version == version


def test_a_planted_position_bias_is_seen_within_five_hundredths(bench: Start) -> None:
    logits = (-0.5, 0.0, 1.0)
    here = bench(persona=biased(logits), sampled=True)
    agent = here.agent(logprobs=False)
    found, _ = collect(agent, here.questions(agent, 1200))
    shares = np.array([list(labels_of(found.judgments).values()).count(label) for label in LABELS]) / 1200
    expected = np.exp(logits) / np.exp(logits).sum()
    assert np.abs(shares - expected).max() < 0.05


def test_answers_are_handed_over_as_they_come(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.agents.service.agent.CHUNK_S", 0.2)
    here = bench(latency_s=0.05)
    agent = here.agent(patience=QUICK)
    heights = [chunk.judgments.height for chunk in agent.judge([here.questions(agent, 400)], lambda n: None)]
    assert len(heights) > 1
    assert sum(heights) == 400


def test_answers_are_handed_over_when_many_have_come_however_soon(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.agents.service.agent.CHUNK_ROWS", 100)
    here = bench(latency_s=0.02)
    agent = here.agent(patience=QUICK)
    heights = [chunk.judgments.height for chunk in agent.judge([here.questions(agent, 800)], lambda n: None)]
    assert len(heights) > 2
    assert all(height >= 100 for height in heights[:-1])
    assert sum(heights) == 800


def test_nothing_new_is_asked_while_many_answers_wait_to_be_kept(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.agents.service.agent.CHUNK_ROWS", 50)
    here = bench()
    agent = here.agent(patience=QUICK)
    chunks = agent.judge([here.questions(agent, 3000)], lambda n: None)
    kept = next(chunks).judgments.height
    asked = [here.service.requests]
    while len(asked) < 3 or asked[-1] != asked[-3]:  # a lake that stalls
        time.sleep(0.5)
        asked.append(here.service.requests)
    assert asked[-1] <= kept + 50 + 32, "what waits, and what was under way"
    assert kept + sum(chunk.judgments.height for chunk in chunks) == 3000


def test_answers_wait_no_longer_for_the_lake_because_it_took_long_before(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.agents.service.agent.CHUNK_S", 3.0)
    here = bench(latency_s=0.5)
    agent = here.agent(patience=QUICK)
    chunks = agent.judge([here.questions(agent, 600)], lambda n: None)
    next(chunks)
    time.sleep(3.5)  # a commit that outlasts the interval
    asked = time.monotonic()
    assert next(chunks).judgments.height
    assert time.monotonic() - asked < 1.5
    chunks.close()


def test_few_questions_are_got_ready_before_they_can_be_put(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.agents.service.loop.AHEAD", 5)
    here = bench(latency_s=2.0)
    agent = here.agent(patience=QUICK)
    drawn: list[float] = []

    def one_by_one() -> Iterator[pl.DataFrame]:
        for question in here.questions(agent, 80).iter_slices(1):
            drawn.append(time.monotonic())
            yield question

    found = sum(chunk.judgments.height for chunk in agent.judge(one_by_one(), lambda n: None))
    assert found == 80
    before_any_answer = [moment for moment in drawn if moment < drawn[0] + 1]
    assert len(before_any_answer) <= 32 + 5 + 2, "those in flight at most, five more, and two at the door"
