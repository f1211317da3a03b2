"""An agent behind a service, as all others see agents: questions in, chunks of answers out.

The requests run on an event loop in a thread of their own; the caller's thread hands over what has come and takes
signals: the first one stops the asking, so that what is in flight is paid for once and kept.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import polars as pl

from affectlake.errors import AgentError, BudgetError
from affectlake.prompts import (
    DECISIONS_INPUT,
    DECISIONS_INSTRUCTION,
    MEDIA_SYSTEM,
    SYSTEM,
    decision_text,
    prompt_version,
    user_text,
)
from resources.agents.protocol import Answers, IntArray, Stimuli
from resources.agents.service import rows
from resources.agents.service.captions import Render, ShownCaptions
from resources.agents.service.loop import Event, Patience, Run, Stopped
from resources.agents.service.media import ShownClips, ShownFrames
from resources.agents.service.prices import Price, Rate, read_prices
from resources.agents.service.wire import Wire
from resources.study import AnthropicModel, OpenAIModel, Study

CHUNK_S = 10.0
CHUNK_ROWS = 5000
"""Answers are handed over when so much time has passed or so many have come: what a kill can lose. While so many wait
to be kept nothing is asked and no reply is read: a lake that stalls must not fill the memory."""

_HALT = Stopped("stopped", "Run again; what is done is kept.")

Settings = OpenAIModel | AnthropicModel

_NO_RULE = {
    *("name", "train", "control", "profile", "max_usd", "logprobs"),
    *("frames", "layout", "media_uuids", "mode", "batch_size"),
}
"""Settings that are no part of how a question is worded and answered."""


class ServiceAgent:
    """Asks a service, one question a request or as many as it takes.

    Parameters
    ----------
    settings : OpenAIModel or AnthropicModel
        The model's section of the study file.
    stimuli : Stimuli
        What it may perceive.
    study : Study
        The study, with the profile.
    spent_usd : float
        What the model has cost before.
    patience : Patience
        How long to bear with the judge and the service.

    Raises
    ------
    AgentError
        There is nothing to read, or a cap on costs without a price.
    """

    def __init__(
        self,
        settings: Settings,
        stimuli: Stimuli,
        study: Study,
        spent_usd: float = 0.0,
        patience: Patience | None = None,
    ) -> None:
        self.settings, self.profile = settings, study.profiles[settings.profile]
        self.patience = patience or Patience()
        self.listed: Price | None = read_prices(study).of(settings.model)
        self.price: Rate | None = self.listed and self.listed.rate(settings.mode, getattr(settings, "api", ""))
        if settings.max_usd is not None and self.price is None:
            raise AgentError(
                f"has max_usd, but the price of {settings.model!r} is not known",
                where=f"model {settings.name}",
                remedy="Write it into a file and name that as `prices:` in the study file.",
            )
        self.spent_usd = spent_usd
        # everything that the answer depends on besides the stimuli; where it is asked is not part of it, and how frames
        # are chosen and laid out is part of the version of the stimuli
        rule = settings.model_dump(exclude=_NO_RULE)
        words = [f"{key}={value}" for key, value in sorted(rule.items())]
        decides = isinstance(settings, OpenAIModel) and settings.api == "decisions"
        if decides:
            words += [DECISIONS_INPUT, DECISIONS_INSTRUCTION]
        self._prompt_version = prompt_version(*words, media=settings.input != "captions")
        self.shown = _shown(settings, stimuli, study, decision_text if decides else user_text)
        self.wording = rows.Wording(settings.name, self._prompt_version, self.shown)
        self.instruction = _instruction(settings, decides)
        """What stands above every question."""

    @property
    def name(self) -> str:
        """The model's name in the study file."""
        return self.settings.name

    @property
    def prompt_version(self) -> str:
        """Name and hash of the wording and of the settings by which it is asked."""
        return self._prompt_version

    def items(self) -> IntArray:
        """Items that it can be shown, sorted, int32[n]."""
        return self.shown.items

    def stimulus_version(self, triplets: IntArray) -> pl.Series:
        """Version of the captions or media that each triplet shows."""
        return self.shown.versions(triplets)

    def prepare(self, progress: Callable[[int, int], None]) -> None:
        """See that there is a key, before the first question, and have the media ready."""
        self.key()
        self.shown.prepare(self.shown.items, progress)

    def judge(self, questions: Iterable[pl.DataFrame], progress: Callable[[int], None]) -> Iterator[Answers]:
        """Answer ``questions`` in chunks; see :class:`resources.agents.protocol.Agent`.

        Raises
        ------
        AgentError
            The run ended before all questions were settled: the service refuses, asks us to wait longer than we do,
            the cap on costs is reached. All that came before was handed over.
        KeyboardInterrupt
            SIGINT came; after SIGTERM what the process does then. All that was in flight was handed over.
        """
        work = _Work(self.connect(), self._run, questions, self)
        with _signals(work.stop) as received:
            try:
                for events in work.chunks():
                    settled = sum(event.settled for event in events)
                    yield rows.answers(events, self.settings.model)
                    progress(settled)
            finally:
                work.finish()
        if received:
            signal.raise_signal(received[0])
        if work.stopped is not None:
            kind = BudgetError if work.stopped.budget else AgentError
            raise kind(work.stopped.what, where=f"model {self.name}", remedy=work.stopped.remedy)

    def key(self) -> str:
        """The service's key, as the environment has it now; kept nowhere.

        Raises
        ------
        AgentError
            There is none.
        """
        key = os.environ.get(self.profile.key_env, "")
        if not key:
            raise AgentError(
                f"the environment variable {self.profile.key_env} is not set",
                where=f"model {self.name}, profile {self.settings.profile}",
                remedy="It holds the service's key; for a server that asks for none, any word will do.",
            )
        return key

    def connect(self) -> Callable[[], Wire]:
        """What opens a wire to the service, in the thread that uses it."""
        settings, profile = self.settings, self.profile
        if isinstance(settings, OpenAIModel):
            from resources.agents.service.decisions import DecisionsWire
            from resources.agents.service.openai import OpenAIWire

            wire = DecisionsWire if settings.api == "decisions" else OpenAIWire
            return lambda: wire(settings, profile, self.key())
        from resources.agents.service.anthropic import AnthropicWire

        return lambda: AnthropicWire(settings, profile, self.key())

    def _run(self, wire: Wire, emit: Callable[[Event], None]) -> Run:
        limits = (self.profile.max_in_flight, self.profile.requests_per_minute)
        budget = (self.spent_usd, self.settings.max_usd, self.settings.max_tokens)
        return Run(wire, limits, emit, self.price, budget, self.patience)


def _instruction(settings: Settings, decides: bool) -> str:
    if decides:
        return DECISIONS_INPUT
    return SYSTEM if settings.input == "captions" else MEDIA_SYSTEM


def _shown(settings: Settings, stimuli: Stimuli, study: Study, render: Render) -> rows.Shown:
    if settings.input == "frames":
        return ShownFrames(settings, stimuli, study)
    if settings.input == "video":
        return ShownClips(settings, stimuli, study)
    return ShownCaptions(settings.name, stimuli, study, render)


class _Work:
    """The thread in which requests run."""

    def __init__(
        self,
        connect: Callable[[], Wire],
        run: Callable[[Wire, Callable[[Event], None]], Run],
        questions: Iterable[pl.DataFrame],
        agent: ServiceAgent,
    ) -> None:
        self._connect, self._new_run, self._questions, self._agent = connect, run, questions, agent
        self._events: deque[Event] = deque()
        self._due, self._ended, self._given_up = threading.Event(), False, False
        self._run: Run | None = None
        self._loop = asyncio.new_event_loop()
        self._problem: BaseException | None = None
        self._halted = False
        self.stopped: Stopped | None = None
        self._thread = threading.Thread(target=self._main, name=f"asks {agent.name}", daemon=True)
        self._thread.start()

    def chunks(self) -> Iterator[list[Event]]:
        """What came, in lists as they are handed over."""
        due, ended = time.monotonic() + CHUNK_S, False
        while not ended:
            self._due.wait(due - time.monotonic())
            self._due.clear()
            due, ended = time.monotonic() + CHUNK_S, self._ended
            if chunk := [self._events.popleft() for _ in range(len(self._events))]:
                self._loop.call_soon_threadsafe(self._look_for_room)
                yield chunk

    def stop(self) -> None:
        """Ask nothing more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop_run)

    def finish(self) -> None:
        """Wait for the end, keeping nothing more; raises what went wrong in the thread."""
        self._given_up = True
        self.stop()
        self._loop.call_soon_threadsafe(self._look_for_room)
        self._thread.join()
        self._loop.close()
        if self._problem is not None:
            raise self._problem

    def _stop_run(self) -> None:
        self._halted = True
        if self._run is not None:
            self._run.stop(_HALT)

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._ask())
        except BaseException as problem:
            self._problem = problem
        finally:
            self._ended = True
            self._due.set()

    def _emit(self, event: Event) -> None:
        self._events.append(event)
        if len(self._events) >= CHUNK_ROWS:
            self._due.set()
            self._look_for_room()

    def _look_for_room(self) -> None:
        if self._run is None:
            return
        if self._given_up or len(self._events) < CHUNK_ROWS:
            self._run.go_on()
        else:
            self._run.hold()

    async def _ask(self) -> None:
        wire = self._connect()
        try:
            self._run = self._new_run(wire, self._emit)
            if self._halted:
                self._run.stop(_HALT)
            await self._run.ask_all(self._agent.wording.groups(self._questions, *wire.at_once))
            self.stopped = self._run.stopped
        finally:
            await wire.close()


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Take SIGINT and SIGTERM while questions are asked; the second of them acts as it always did.

    Yields
    ------
    list of int
        The signal that came, to be raised again once everything is handed over.
    """
    received: list[int] = []
    before: dict[int, Any] = {}

    def restore() -> None:
        while before:
            signal.signal(*before.popitem())

    def take(number: int, frame: FrameType | None) -> None:
        received.append(number)
        restore()
        stop()

    if threading.current_thread() is threading.main_thread():
        before.update({number: signal.signal(number, take) for number in (signal.SIGINT, signal.SIGTERM)})
    try:
        yield received
    finally:
        restore()
