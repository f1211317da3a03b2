"""What a user may rely on with batches: everything is paid once, everything that was paid is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from affectlake.errors import AgentError
from affectlake.tables import ATTEMPTS, JUDGMENTS
from assets._judging import unanswered
from resources.agents.protocol import Answers
from resources.agents.service.agent import ServiceAgent
from resources.agents.service.batch_wire import BatchWire
from resources.agents.service.batches import Batches, open_batches, pending, reserved_usd
from resources.lake import Lake
from resources.study import OpenAIModel
from tests.services.batch_server import Batches as Served
from tests.services.conftest import KEY, Bench
from tests.services.test_judging import check_accounts, labels_of

WIRES = ("chat", "responses", "messages")
LINE_FAULTS = {
    **{"429": 0.03, "500": 0.03, "zero": 0.03, "missing": 0.03, "prose": 0.05, "refusal": 0.05, "length": 0.02},
    **{"lost": 0.03, "doubled": 0.03, "400": 0.01},
}
Start = Callable[..., Bench]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent and not heard of is decided at once, and not after minutes."""
    for kind in _kinds(BatchWire):
        monkeypatch.setattr(kind, "settle_s", 0.0)


def _kinds(kind: type[BatchWire]) -> list[type[BatchWire]]:
    import resources.agents.service.anthropic_batch
    import resources.agents.service.openai_batch  # noqa: F401

    return kind.__subclasses__()


@dataclass
class Office:
    """A judge whose questions go in batches, and the lake that keeps the books."""

    bench: Bench
    lake: Lake
    wire: str
    changes: dict[str, Any]

    @property
    def served(self) -> Served:
        return self.bench.service.batches

    def agent(self) -> ServiceAgent:
        tables = (self.lake.scan(table).select("cost_usd") for table in ("judgments", "attempts"))
        spent = pl.concat(list(tables)).sum().collect().item() + reserved_usd(self.lake, self.wire)
        return self.bench.agent(self.wire, spent=spent, **{"mode": "batch", **self.changes})

    def collect(self) -> int:
        """Collect what has ended; returns how many rows came."""
        books, came = Batches(self.agent(), self.lake), 0
        for answers in books.collect():
            came += self.lake.append("judgments", answers.judgments) + self.lake.append("attempts", answers.attempts)
        return came

    def wait(self) -> None:
        """Look so often that every batch has ended."""
        for _ in range(9):
            self.collect()

    def submit(self, questions: pl.DataFrame) -> str | None:
        books = Batches(self.agent(), self.lake)
        return books.submit([unanswered(questions.drop("attempted"), self.wire, self.lake)], lambda n: None)

    def questions(self, n: int) -> pl.DataFrame:
        agent = self.agent()
        return self.bench.questions(agent, n).with_columns(prompt_version=pl.lit(agent.prompt_version))

    def settle(self, questions: pl.DataFrame) -> Answers:
        """Go round until nothing is missing and nothing is pending."""
        for _ in range(80):
            self.collect()
            self.submit(questions)
            if open_batches(self.lake).is_empty():
                return self.kept
        raise AssertionError("it never ends")

    @property
    def kept(self) -> Answers:
        return Answers(self.lake.read("judgments"), self.lake.read("attempts"))

    @property
    def states(self) -> dict[str, int]:
        return dict(self.lake.read("batches")["state"].value_counts().iter_rows())


@pytest.fixture
def office(bench: Start, tmp_path: Path) -> Callable[..., Office]:
    number = iter(range(99))

    def start(wire: str = "chat", changes: dict[str, Any] | None = None, **settings: Any) -> Office:
        return Office(bench(**settings), Lake(str(tmp_path / f"lake{next(number)}"), "asked"), wire, changes or {})

    return start


@pytest.mark.parametrize("wire", WIRES)
def test_each_question_is_paid_once_and_each_answer_is_its_own(office: Callable[..., Office], wire: str) -> None:
    at = office(wire)
    questions = at.questions(120)
    found = at.settle(questions)
    assert found.attempts.is_empty()
    assert set(at.served.paid.values()) == {1}
    assert len(at.served.paid) == questions.height
    assert len(at.served.all) == 1
    check_accounts(found, questions, at.bench.service)
    rate = 0.5 * (200 * 0.10 + 8 * 0.50) / 1e6
    assert found.judgments["cost_usd"].to_list() == pytest.approx([rate] * 120)
    assert found.judgments["latency_s"].null_count() == 120
    assert at.states == {"collected": 1}
    assert at.lake.read("batch_requests").is_empty(), "the rows of a closed batch go"


@pytest.mark.parametrize(
    ("wire", "n", "seed"),
    [(wire, 300, 0) for wire in WIRES]
    + [pytest.param(wire, 10_000, seed, marks=pytest.mark.long) for wire in WIRES for seed in range(2)],
)
def test_every_question_ends_accepted_or_as_a_stated_failure(
    office: Callable[..., Office], wire: str, n: int, seed: int
) -> None:
    at = office(wire, {"batch_size": max(100, n // 4)}, faults=LINE_FAULTS, seed=seed)
    at.served.empty_ids = True
    questions = at.questions(n)
    found = at.settle(questions)
    JUDGMENTS.validate(found.judgments)
    ATTEMPTS.validate(found.attempts)
    given, given_up = labels_of(found.judgments), found.attempts.filter("final")["request_key"]
    assert len(given) == found.judgments.height
    assert not set(given) & set(given_up)
    assert len(given) + given_up.n_unique() == questions.height
    answered = at.bench.service.answered()
    assert all(label == answered[key][-1] for key, label in given.items())
    assert {"error", "invalid", "refused"} <= set(found.attempts["reason"])
    books = at.lake.read("batches")
    assert books["missing"].sum() > 0
    assert books["surplus"].sum() > 0


def test_the_books_say_what_is_pending_and_until_when(office: Callable[..., Office]) -> None:
    at = office(changes={"batch_size": 40})
    questions = at.questions(100)
    at.submit(questions)
    books = open_batches(at.lake)
    assert books["requests"].to_list() == [40, 40, 20]
    assert (books["until"] > books["intended_at"]).all()
    assert pending(at.lake, "chat").collect().height == 100
    assert at.submit(questions) is None
    assert len(at.served.all) == 3, "what is pending is not sent again"


@pytest.mark.parametrize("wire", ["chat", "messages"])
@pytest.mark.parametrize("ending", ["expired", "cancelled"])
def test_the_finished_part_of_a_batch_that_ended_early_is_used(
    office: Callable[..., Office], wire: str, ending: str
) -> None:
    at = office(wire)
    at.served.ending, at.served.done = ending, 0.4
    questions = at.questions(50)
    at.submit(questions)
    while at.collect() == 0:
        pass
    assert at.kept.judgments.height == 20
    assert dict(at.kept.attempts.select("reason", "final").unique().iter_rows()) == {"expired": False}
    at.served.ending, at.served.done = "completed", 1.0
    assert at.settle(questions).judgments.height == 50
    assert set(at.served.paid.values()) == {1}


def test_a_batch_that_was_refused_as_a_whole_ends_the_run_and_is_not_sent_again_by_itself(
    office: Callable[..., Office],
) -> None:
    at = office()
    at.served.ending = "failed"
    questions = at.questions(20)
    at.submit(questions)
    with pytest.raises(AgentError, match="token_limit_exceeded"):
        at.collect()
    assert at.states == {"failed": 1}
    assert open_batches(at.lake).is_empty()
    at.served.ending = "completed"
    assert at.settle(questions).judgments.height == 20


@pytest.mark.parametrize("wire", ["chat", "messages"])
@pytest.mark.parametrize("fault", ["500", "400", "missing", "prose", "lost"])
def test_a_batch_without_one_usable_answer_writes_nothing_off(
    office: Callable[..., Office], wire: str, fault: str
) -> None:
    at = office(wire, faults={fault: 1.0})
    questions = at.questions(20)
    at.submit(questions)
    with pytest.raises(AgentError, match=r"usable answer|single line"):
        at.wait()
    assert at.kept.judgments.is_empty()
    assert not at.kept.attempts["final"].any()


@pytest.mark.parametrize("wire", ["chat", "messages"])
def test_a_batch_whose_making_was_never_heard_of_is_found_and_not_paid_twice(
    office: Callable[..., Office], wire: str
) -> None:
    at = office(wire, {"batch_size": 30})
    questions = at.questions(60)
    at.served.trouble["create"] = ["lost"]
    with pytest.raises(AgentError, match="heard nothing"):
        at.submit(questions)
    assert at.states == {"intended": 1}
    found = at.settle(questions)
    assert found.judgments.height == 60
    assert len(at.served.all) == 2
    assert set(at.served.paid.values()) == {1}


@pytest.mark.parametrize("wire", ["chat", "messages"])
def test_a_batch_that_was_never_made_is_sent_again(office: Callable[..., Office], wire: str) -> None:
    at = office(wire)
    questions = at.questions(30)
    for fault in ("reset", "500", "html"):
        at.served.trouble["create"] = [fault]
        with pytest.raises(AgentError, match="heard nothing"):
            at.submit(questions)
        at.collect()
        assert open_batches(at.lake).is_empty()
    assert at.settle(questions).judgments.height == 30
    assert at.states == {"abandoned": 3, "collected": 1}


def test_another_batch_of_the_same_size_is_not_taken_for_ours(office: Callable[..., Office]) -> None:
    at = office("messages")
    others, questions = at.questions(60).tail(30), at.questions(60).head(30)
    stranger = Office(at.bench, Lake(at.lake.root + "-other", "asked"), "messages", {})
    at.served.trouble["create"] = ["reset"]
    with pytest.raises(AgentError, match="heard nothing"):
        at.submit(questions)
    stranger.submit(others)
    at.collect()
    assert at.states == {"intended": 1}, "one that is under way might be ours: it is waited for"
    stranger.settle(others)
    at.wait()
    assert at.states == {"abandoned": 1}, "it has other questions"
    assert at.settle(questions).judgments.height == 30
    assert set(at.served.paid.values()) == {1}


@pytest.mark.parametrize("wire", ["chat", "messages"])
def test_a_service_that_stumbles_is_asked_again_and_results_that_come_in_part_are_fetched_again(
    office: Callable[..., Office], wire: str
) -> None:
    at = office(wire)
    for name in ("upload", "retrieve"):
        at.served.trouble[name] = ["500", "429", "reset", "html"]
    at.served.trouble["create"] = ["429"]
    at.served.trouble["download"] = ["cut", "reset"]
    questions = at.questions(40)
    assert at.settle(questions).judgments.height == 40
    assert set(at.served.paid.values()) == {1}


def test_results_that_cannot_be_had_stay_pending(office: Callable[..., Office]) -> None:
    at = office()
    questions = at.questions(20)
    at.submit(questions)
    at.served.trouble["download"] = ["html"] * 3
    with pytest.raises(AgentError, match="cannot be had"):
        at.wait()
    assert at.states == {"submitted": 1}
    assert at.settle(questions).judgments.height == 20
    assert set(at.served.paid.values()) == {1}


def test_a_wrong_key_is_said_at_once_and_leaves_nothing_pending(office: Callable[..., Office]) -> None:
    for name in ("upload", "create"):
        at = office()
        at.served.trouble[name] = ["401"]
        with pytest.raises(AgentError, match="HTTP 401"):
            at.submit(at.questions(10))
        assert at.states == {"abandoned": 1}


def test_the_cap_holds_with_pending_batches_at_their_dearest(office: Callable[..., Office]) -> None:
    at = office(changes={"max_usd": 0.01})
    questions = at.questions(2000)
    told = at.submit(questions)
    assert told is not None
    assert "max_usd" in told
    sent = pending(at.lake, "chat").collect().height
    assert 0 < sent < 2000
    assert at.submit(questions) == told, "no room is left while it is pending"
    assert len(at.served.all) == 1
    while at.collect() == 0:
        pass
    at.submit(questions)
    assert pending(at.lake, "chat").collect().height > 0, "what it did not cost can be spent"
    spent = at.kept.judgments["cost_usd"].sum()
    assert spent + reserved_usd(at.lake, "chat") <= 0.01


def test_batches_are_bounded_by_bytes(office: Callable[..., Office], monkeypatch: pytest.MonkeyPatch) -> None:
    for wire in ("chat", "messages"):
        at = office(wire)
        for kind in _kinds(BatchWire):
            monkeypatch.setattr(kind, "most_bytes", 30_000)
        monkeypatch.setattr("tests.services.batch_server.LIMITS", {"openai": (50, 30_000), "anthropic": (50, 30_000)})
        questions = at.questions(60)
        at.submit(questions)
        assert len(at.served.all) > 1
        assert at.settle(questions).judgments.height == 60


def test_real_time_and_batch_are_the_same_question_and_what_is_pending_is_not_asked_in_real_time(
    office: Callable[..., Office],
) -> None:
    at = office()
    questions = at.questions(20)
    assert at.bench.agent("chat").prompt_version == at.agent().prompt_version
    at.submit(questions.head(10))
    assert unanswered(questions.drop("attempted"), "chat", at.lake).height == 10


def test_decisions_know_no_batches() -> None:
    with pytest.raises(ValidationError, match="real time only"):
        OpenAIModel(name="x", agent="openai", profile="p", model="m", api="decisions", mode="batch")


@pytest.mark.parametrize("wire", ["chat", "messages"])
def test_the_key_is_kept_nowhere_although_the_server_sends_it_back(office: Callable[..., Office], wire: str) -> None:
    at = office(wire, faults={"500": 0.5})
    at.submit(at.questions(20))
    for _ in range(5):
        at.collect()
    assert any("[key]" in raw for raw in at.kept.attempts["raw"])
    files = [path for path in Path(at.lake.root).rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in at.lake.read("batches").write_json() + at.kept.attempts.write_json()
