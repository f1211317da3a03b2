"""Which questions share a request, and how little room they take while they wait."""

from __future__ import annotations

import re
import socketserver
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlake.errors import AgentError
from affectlake.prompts import decision_text, user_text
from affectlake.tables import FRAMES, RATINGS, VIDEOS
from resources.agents.protocol import Answers, Stimuli
from resources.agents.service.captions import Render, ShownCaptions
from resources.agents.service.decisions import DecisionsWire
from resources.study import Study
from tests.services.conftest import Bench, collect

Start = Callable[..., Bench]


def reader(texts: list[list[str]], use: str, render: Render) -> ShownCaptions:
    """One who reads these captions of these clips."""
    study = Study.model_validate(
        {"name": "read", "stimuli": {"manifest": "videos.csv"}, "captions": {"file": "captions.csv", "use": use}}
    )
    ids = [f"v{i}" for i in range(len(texts))]
    known = pl.DataFrame({"video_id": ids, "item": range(len(ids)), "status": "no_media"})
    rows = [(ids[i], c, text) for i, of_clip in enumerate(texts) for c, text in enumerate(of_clip)]
    captions = pl.DataFrame(rows, schema={"video_id": pl.String, "caption": pl.Int32, "text": pl.String}, orient="row")
    videos = pl.concat([VIDEOS.empty(), known.cast({"item": pl.Int32})], how="diagonal")
    return ShownCaptions(
        "judge", Stimuli(videos, captions.lazy(), RATINGS.empty().lazy(), FRAMES.empty().lazy()), study, render
    )


@settings(deadline=None)
@given(
    texts=st.lists(st.lists(st.text(), min_size=1, max_size=3), min_size=3, max_size=3),
    use=st.sampled_from(["first", "random", "all"]),
    render=st.sampled_from([decision_text, user_text]),
)
def test_the_bytes_of_a_question_are_known_without_its_text(texts: list[list[str]], use: str, render: Render) -> None:
    shown = reader(texts, use, render)
    (size,) = shown.sizes(np.array([[0, 1, 2]], dtype=np.int32))
    for presented in map("".join, permutations("abc")):
        text, _ = shown.question({"a": 0, "b": 1, "c": 2, "presented": presented})
        assert len(text.encode()) == size


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 500), max_size=8), most=st.integers(2, 60), most_bytes=st.integers(1, 20_000))
def test_requests_are_the_same_however_the_questions_come(
    planned: tuple[Bench, pl.DataFrame], cuts: list[int], most: int, most_bytes: int
) -> None:
    here, questions = planned
    wording = here.agent("decisions").wording
    ends = [0, *sorted(cuts), questions.height]
    frames = [questions[start:stop] for start, stop in pairwise(ends)]
    groups = [list(group) for group in wording.groups(frames, most, most_bytes)]
    whole = [list(group) for group in wording.groups([questions], most, most_bytes)]
    assert [[q.key for q in group] for group in groups] == [[q.key for q in group] for group in whole]
    assert [q for group in groups for q in group] == list(wording.questions([questions]))
    sizes = [[len(q.prompt().text.encode()) for q in group] for group in groups]
    assert all(len(group) == 1 or (len(group) <= most and sum(group) <= most_bytes) for group in sizes)
    for group, following in pairwise(sizes):
        assert len(group) == most or sum(group) + following[0] > most_bytes, "it had room for one more"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, pl.DataFrame]:
    from tests.services.server import Service

    here = Bench(Service(url="http://127.0.0.1:9/v1"), tmp_path_factory.mktemp("planned"))
    return here, here.questions(here.agent("decisions"), 500)


class Silent(socketserver.ThreadingTCPServer):
    """Takes requests, keeps nothing of them, and hangs up on all of them once it is told to."""

    daemon_threads, request_queue_size = True, 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Listening)
        self.taken, self.hang_up, self.headers = 0, threading.Event(), b""


class Listening(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Silent)
        headers = b"".join(iter(self.rfile.readline, b"\r\n"))
        left, buffer = int(re.search(rb"(?i)content-length: (\d+)", headers)[1]), bytearray(4096)
        while left:
            left -= self.rfile.readinto1(memoryview(buffer)[:left])
        self.server.taken, self.server.headers = self.server.taken + 1, headers
        self.server.hang_up.wait()


def test_what_waits_for_its_answers_takes_little_room(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.agents.service.limiter.START", 32)
    here = bench()
    agent = here.agent("decisions")
    few = here.questions(agent, 6400)
    questions = pl.concat([few, few.with_columns(repeat=pl.lit(1, pl.Int32))])
    assert collect(agent, few.head(400))[1] is None, "what is imported once"
    with Silent() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        agent.profile = agent.profile.model_copy(update={"base_url": url})
        asking = threading.Thread(target=lambda: collect(agent, questions))
        tracemalloc.start()
        try:
            asking.start()
            while server.taken < 32:
                assert asking.is_alive()
                time.sleep(0.05)
            time.sleep(0.5)
            now, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            server.hang_up.set()
            asking.join()
            server.shutdown()
    assert b"chunked" not in server.headers, "not every server takes a body whose length is not told"
    assert now / questions.height < 300, "bytes a question in Python's memory; polars' columns take 71 more"


def stalled(here: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Answers, Iterator[Answers]]:
    """The first chunk of answers to 6,000 questions, and the others after a stall in which all under way has come."""
    monkeypatch.setattr("resources.agents.service.agent.CHUNK_ROWS", 50)
    agent = here.agent(name)
    chunks = agent.judge([here.questions(agent, 6000)], lambda n: None)
    first = next(chunks)
    time.sleep(1.0)
    return first, chunks


def test_a_lake_that_stalls_has_no_more_than_a_chunk_and_a_request_waiting(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DecisionsWire, "at_once", (20, 10**6))
    here = bench()
    first, chunks = stalled(here, "decisions", monkeypatch)
    heights = [first.judgments.height]
    for _ in range(4):
        heights.append(next(chunks).judgments.height)
        time.sleep(0.5)  # 32 requests of 20 questions may be in flight
    assert max(heights) < 50 + 20
    assert here.service.most_in_flight < 32, "more in flight would have waited for the lake all the same"
    assert sum(heights) + sum(chunk.judgments.height for chunk in chunks) == 6000


def test_nothing_is_sent_while_answers_wait_though_few_are_in_flight(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources.agents.service.agent.CHUNK_ROWS", 200)
    here = bench()
    agent = here.agent("chat")
    # at most 32, but one comes before the next is sent
    agent.profile = agent.profile.model_copy(update={"requests_per_minute": 6000})
    chunks = agent.judge([here.questions(agent, 1000)], lambda n: None)
    kept = next(chunks).judgments.height
    time.sleep(5.0)  # a lake that stalls
    assert here.service.requests <= kept + 200 + 8
    chunks.close()


def test_no_more_are_in_flight_than_can_be_kept(bench: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.agents.service.agent.CHUNK_ROWS", 50)
    monkeypatch.setattr(DecisionsWire, "at_once", (20, 10**6))
    here = bench(latency_s=0.2)
    agent = here.agent("decisions")
    kept, most = 0, 0
    for chunk in agent.judge([here.questions(agent, 6000)], lambda n: None):
        kept += chunk.judgments.height
        time.sleep(0.1)  # a lake that keeps 500 to 700 answers a second
        most = max(most, here.service.requests - kept // 20)
    assert kept == 6000
    assert most < 20, "of 32 that are allowed; seven keep this lake busy"


def test_the_time_of_an_answer_is_when_it_came_and_not_when_there_was_room_for_it(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, chunks = stalled(bench(), "chat", monkeypatch)
    over = datetime.now(UTC)
    next(chunks)  # had its room
    unread = next(chunks).judgments["judged_at"]
    assert unread.min() < over - timedelta(seconds=0.5)
    chunks.close()


def test_who_stops_keeping_answers_is_not_held_up_by_those_that_wait(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = bench()
    _, chunks = stalled(here, "chat", monkeypatch)
    started = time.monotonic()
    chunks.close()
    assert time.monotonic() - started < 5
    assert here.service.requests < 300


def test_few_questions_are_put_after_a_stall_to_a_service_that_then_refuses(
    bench: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = bench()
    _, chunks = stalled(here, "chat", monkeypatch)
    asked = here.service.requests
    here.service.faults = {"401": 1.0}
    with pytest.raises(AgentError, match="takes no requests"):
        list(chunks)
    assert here.service.requests <= asked + 32


def test_what_goes_wrong_with_one_question_loses_no_answer_to_another(bench: Start) -> None:
    here = bench(use="all", latency_s=0.2)
    agent = here.agent("chat")
    questions = here.questions(agent, 300)
    unknown = pl.Series([10**6 if i == 100 else c for i, c in enumerate(questions["c"])], dtype=pl.Int32)
    found, problem = collect(agent, questions.with_columns(c=unknown))
    assert isinstance(problem, IndexError), "it is no answer's fault, and is told as it is"
    assert 0 < found.judgments.height == here.service.requests < 300


def test_questions_that_cannot_be_planned_lose_no_answer_to_those_before(bench: Start) -> None:
    here = bench(latency_s=0.2)
    agent = here.agent("chat")

    def planned() -> Iterator[pl.DataFrame]:
        yield here.questions(agent, 100)
        raise OSError("the lake is gone")

    kept: list[int] = []
    with pytest.raises(OSError, match="the lake is gone"):
        kept.extend(chunk.judgments.height for chunk in agent.judge(planned(), lambda n: None))
    assert 0 < sum(kept) == here.service.requests
