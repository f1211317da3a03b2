"""One run of questions: asks each until it is answered or given up, and says why when it ends before all are.

Budgets are apart: a judge that gives no usable answer is asked again a few times, a service that fails more often, and
a service that wants us to wait costs a question nothing. A question is given up for good only where the service has
shown that it works: a wrong setting must not write off a study.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio

from affectlake.errors import AgentError
from resources.agents.service.limiter import Limiter
from resources.agents.service.prices import Rate
from resources.agents.service.wire import Kind, Question, Questions, Reply, Wire

AHEAD = 5000
"""Questions that stand ready, or wait after a failure, beyond those in flight."""


@dataclass(frozen=True)
class Patience:
    """How long a run bears with a judge and a service."""

    content: int = 3
    """Answers asked for where the judge's are refusals or cannot be read."""
    service: int = 8
    """Requests made where the service fails, and answers others meanwhile."""
    pause_s: float = 0.5
    """First pause after a failure; doubles each time, and is drawn at random below that."""
    longest_pause_s: float = 30.0
    longest_wait_s: float = 60.0
    """A service that asks for more than this ends the run."""
    silence_s: float = 120.0
    """The run ends when the service has failed or limited every request for so long."""
    barren: int = 100
    """The run ends when so many questions in a row were given up without one accepted answer."""


@dataclass(frozen=True, slots=True)
class Event:
    """One physical answer and what became of its question."""

    question: Question
    reply: Reply
    attempt: int
    settled: bool
    """True where the question will not be asked again."""
    at: datetime
    cost_usd: float | None


@dataclass(frozen=True)
class Stopped:
    """Why a run ended before all questions were settled."""

    what: str
    remedy: str | None = None
    budget: bool = False
    """True where the cap on costs is reached."""


@dataclass(slots=True)
class _Asked:
    """A question and what this run has seen of it."""

    question: Question
    attempt: int
    used: dict[Kind, int] = field(default_factory=dict)
    """Replies of each kind."""
    failed_at: float = math.inf
    """When the service first failed it."""
    blamed: int = 0
    """Failures of the service after it was known to work."""


@dataclass
class _State:
    spent: float
    reserved: float = 0.0
    open: int = 0
    """Requests begun and not settled."""
    accepted: int = 0
    heard: float = field(default_factory=time.monotonic)
    """When the service last gave an answer."""
    worked: float = -math.inf
    """When the newest of the requests that were answered was put."""
    all_put: bool = False
    """True where no question is left that was not put yet."""
    doubtful: list[Event] = field(default_factory=list)
    """Questions given up since the last accepted answer."""


class Run:
    """Asks questions of one wire.

    Parameters
    ----------
    wire : Wire
        Where to.
    limits : tuple of int
        Requests in flight at most, and started in a minute.
    emit : callable
        Gets each event as it happens.
    price : Rate or None
        What tokens cost, where that is known.
    budget : tuple
        US dollars spent in earlier runs; most that may be spent in all, or None; tokens that an answer may have.
    patience : Patience
        How long to bear.
    """

    def __init__(
        self,
        wire: Wire,
        limits: tuple[int, int],
        emit: Callable[[Event], None],
        price: Rate | None,
        budget: tuple[float, float | None, int],
        patience: Patience,
    ) -> None:
        self._wire, self._emit, self._price, self._patience = wire, emit, price, patience
        spent, self._most_usd, self._max_tokens = budget
        self._state = _State(spent)
        self._stop = asyncio.Event()
        self._limiter = Limiter(*limits, self._stop)
        # beyond what is in flight, room for requests that wait after a failure, so that few of them keep nobody waiting
        self._places = asyncio.Semaphore(limits[0] + min(limits[0], math.ceil(AHEAD / wire.at_once[0])))
        self._paid = asyncio.Event()
        # one that is handed from holder to holder: as long as any waits, it is locked
        self._room, self._reading = asyncio.Event(), anyio.Lock(fast_acquire=True)
        self._room.set()
        self._problem: Exception | None = None
        self.stopped: Stopped | None = None

    def stop(self, why: Stopped) -> None:
        """Ask nothing more; what is in flight is finished."""
        self.stopped = self.stopped or why
        self._stop.set()
        self._paid.set()

    def hold(self) -> None:
        """Send nothing, and leave unread what comes, until :meth:`go_on`: there is no room for more events."""
        self._room.clear()

    def go_on(self) -> None:
        """There is room again."""
        self._room.set()

    async def ask_all(self, requests: Iterable[Questions]) -> None:
        """Ask until all are settled or the run is stopped.

        Parameters
        ----------
        requests : iterable
            The questions of each request, as many as the wire takes at once.

        Raises
        ------
        Exception
            What ``requests`` or a request raised, after all that was in flight has come and was told.
        """
        async with asyncio.TaskGroup() as tasks:
            try:
                for questions in requests:
                    await self._places.acquire()
                    if self._stop.is_set() or (reserved := await self._afford(questions)) is None:
                        break
                    tasks.create_task(self._settle_request(questions, reserved))
            except Exception as problem:
                self._fail(problem)
            self._state.all_put = True
        self._settle_doubts()
        if self._problem is not None:
            raise self._problem

    def _fail(self, problem: Exception) -> None:
        """Keep what went wrong for the end: it must not lose what is in flight, which is paid for."""
        self._problem = self._problem or problem
        self.stop(Stopped(str(problem)))

    async def _settle_request(self, questions: Questions, reserved: float) -> None:
        try:
            await self._settle(questions, reserved)
        except Exception as problem:
            self._fail(problem)
        finally:
            self._places.release()

    async def _settle(self, questions: Questions, reserved: float | None, asked: list[_Asked] | None = None) -> None:
        """Put the questions of one request, for which money is reserved, and those left open again, until none is.

        What is known of them, ``asked``, begins with their first replies: most wait for these in their thousands.
        """
        try:
            while not self._stop.is_set():
                started = time.monotonic()
                came = await self._put(questions)
                if came is None:
                    return
                replies, at = came
                asked = asked or [_Asked(question, question.attempted) for question in questions]
                again, pause = self._take(asked, replies, started, at)
                if not again:
                    return
                await self._limiter.sleep(pause)
                # what was asked is paid for; asking again has to be afforded anew
                self._turned_out(reserved)
                reserved = None
                if len(again) > 1 and all(reply.kind is Kind.REJECTED for reply in replies):
                    return await self._settle_apart(again)
                asked, questions = again, [one.question for one in again]
                reserved = await self._afford(questions)
        finally:
            self._turned_out(reserved)

    async def _settle_apart(self, asked: list[_Asked]) -> None:
        """Find which questions of a request the service would not take."""
        middle = len(asked) // 2
        for half in (asked[:middle], asked[middle:]):
            questions = [one.question for one in half]
            if self._stop.is_set() or (reserved := await self._afford(questions)) is None:
                return
            await self._settle(questions, reserved, half)

    async def _put(self, questions: Questions) -> tuple[list[Reply], datetime] | None:
        """A reply to each question, and when they came; None where the run was stopped before."""
        async with self._limiter:
            await self._room.wait()
            if self._stop.is_set():
                return None
            started = asyncio.get_running_loop().time()
            try:
                heard = await self._wire.send(questions)
            except AgentError as error:
                # what a question shows is not there any more; what is in flight is still finished
                self.stop(Stopped(f"{error.where}: {error.what}" if error.where else error.what, error.remedy))
                return None
            if isinstance(heard.came, Reply) and heard.came.kind is Kind.LIMITED:
                wait = self._patience.pause_s if heard.came.wait_s is None else heard.came.wait_s
                self._limiter.limited(started, min(wait, self._patience.longest_wait_s))
            # where replies wait, more in flight would only wait longer
            waits = self._reading.locked() or not self._room.is_set()
            # one by one: the replies of one request may fill the room
            async with self._reading:
                await self._room.wait()
                replies = self._wire.read(heard, questions)
            if not waits and any(reply.kind not in _NO_ANSWER for reply in replies):
                self._limiter.answered()
            return replies, heard.at

    def _take(
        self, asked: list[_Asked], replies: list[Reply], started: float, at: datetime
    ) -> tuple[list[_Asked], float]:
        """Tell what came back; those to be asked again, and after how many seconds."""
        again, longest = [], 0.0
        for one, reply in zip(asked, replies, strict=True):
            one.used[reply.kind] = one.used.get(reply.kind, 0) + 1
            if reply.kind is Kind.SERVICE:
                one.failed_at = min(one.failed_at, time.monotonic())
                one.blamed += self._works_since(one.failed_at)
            pause = self._pause(one, reply, alone=len(asked) == 1)
            self._heard(reply, started)
            self._tell(one.question, reply, one.attempt, at, settled=pause is None)
            one.attempt += 1
            if pause is not None:
                again.append(one)
                longest = max(longest, pause)
        return again, longest

    def _pause(self, one: _Asked, reply: Reply, *, alone: bool) -> float | None:
        """Seconds before the question is put again, or None where it is settled."""
        patience, used = self._patience, one.used[reply.kind]
        allowed = {Kind.CONTENT: patience.content, Kind.SERVICE: patience.service}.get(reply.kind, 1)
        if reply.kind in (Kind.LIMITED, Kind.FATAL):
            return self._back_off(used, reply.wait_s)
        if reply.kind is Kind.REJECTED and not alone:
            return 0.0
        # an outage is no question's fault: only failures of a service that works count, and the first, which begins the
        # looking
        if (one.blamed + 1 if reply.kind is Kind.SERVICE else used) >= allowed:
            return None
        return 0.0 if reply.kind is Kind.CONTENT else self._back_off(used, reply.wait_s)

    def _works_since(self, moment: float) -> bool:
        """Whether the service took a request that was put after ``moment``.

        An answer alone says little: in the first moments of an outage those of requests before it still come. It has to
        do once no other question will be put.
        """
        return self._state.worked > moment or (self._state.all_put and self._state.heard > moment)

    def _back_off(self, n: int, wait_s: float | None) -> float:
        longest = min(self._patience.longest_pause_s, self._patience.pause_s * 2 ** min(n - 1, 16))
        jittered = random.uniform(longest / 2, longest)  # noqa: S311 - a pause, not a secret
        return jittered if wait_s is None else min(wait_s, self._patience.longest_wait_s) + jittered

    def _heard(self, reply: Reply, started: float) -> None:
        """Stop the run where what came back says that going on makes no sense."""
        if reply.kind is Kind.FATAL:
            self.stop(Stopped(f"the service takes no requests: {_short(reply.raw)}", _FATAL_REMEDY))
        elif reply.wait_s is not None and reply.wait_s > self._patience.longest_wait_s:
            until = datetime.now(UTC) + timedelta(seconds=reply.wait_s)
            self.stop(
                Stopped(f"rate limited until {until:%Y-%m-%d %H:%M:%S} UTC", "Run again then; what is done is kept.")
            )
        elif reply.kind not in (Kind.LIMITED, Kind.SERVICE):
            self._state.heard = time.monotonic()
            self._state.worked = max(self._state.worked, started)
        elif started - self._state.heard > self._patience.silence_s:
            silence = time.monotonic() - self._state.heard
            self.stop(Stopped(f"no answer for {silence:.0f} s: {_short(reply.raw)}", "Run again when it is well."))

    def _tell(self, question: Question, reply: Reply, attempt: int, at: datetime, *, settled: bool) -> None:
        cost = self._cost(reply)
        self._state.spent += cost or 0.0
        event = Event(question, reply, attempt, settled, at, cost)
        if reply.kind is Kind.ACCEPTED:
            self._state.accepted += 1
            self._release_doubts(settled=True)
            self._emit(event)
        elif settled:
            self._state.doubtful.append(event)
            if len(self._state.doubtful) >= self._patience.barren:
                n = len(self._state.doubtful)
                self.stop(
                    Stopped(f"{n} questions in a row got no usable answer; the last: {_short(reply.raw)}", _BARREN)
                )
        else:
            self._emit(event)

    def _settle_doubts(self) -> None:
        """At the end, what was given up is settled, unless the run was stopped or the service never worked."""
        if self.stopped is None and self._state.accepted == 0:
            failed = [e for e in self._state.doubtful if e.reply.kind in (Kind.SERVICE, Kind.REJECTED)]
            if failed:
                self.stop(Stopped(f"no request succeeded; the last: {_short(failed[-1].reply.raw)}", _FATAL_REMEDY))
        self._release_doubts(settled=self.stopped is None)

    def _release_doubts(self, *, settled: bool) -> None:
        for event in self._state.doubtful:
            self._emit(event if settled else _unsettled(event))
        self._state.doubtful.clear()

    async def _afford(self, questions: Questions) -> float | None:
        """Reserve what a request costs at worst; waits for dearer reservations to turn out cheaper.

        Returns
        -------
        float or None
            What is reserved, in US dollars; None where the run is stopped.
        """
        worst = self._worst(questions)
        while self._most_usd is not None and self._state.spent + self._state.reserved + worst > self._most_usd:
            if self._state.open == 0:
                self._stop_for_money()
                return None
            self._paid.clear()
            await self._paid.wait()
            if self._stop.is_set():
                return None
        self._state.reserved += worst
        self._state.open += 1
        return worst

    def _turned_out(self, reserved: float | None) -> None:
        """Give back what was reserved, if anything was."""
        if reserved is not None:
            self._state.reserved -= reserved
            self._state.open -= 1
            self._paid.set()

    def _stop_for_money(self) -> None:
        what = f"the next question could exceed max_usd: {self._most_usd:g}; ${self._state.spent:.4f} is spent"
        self.stop(Stopped(what, "Raise `max_usd` and run again; what is done is kept.", budget=True))

    def _worst(self, questions: Questions) -> float:
        if self._price is None or self._most_usd is None:
            return 0.0
        return self._price.at_most((question.prompt().tokens_at_most for question in questions), self._max_tokens)

    def _cost(self, reply: Reply) -> float | None:
        if self._price is None or reply.tokens_in is None or reply.tokens_out is None:
            return None
        return self._price.usd(reply.tokens_in, reply.tokens_out)


_NO_ANSWER = (Kind.SERVICE, Kind.FATAL, Kind.LIMITED)

_FATAL_REMEDY = "Check the profile's base_url, the key and the model's name; nothing was written off."
_BARREN = (
    "Look at them with `affectlake judgments show`; the model may lack structured output. Nothing was written off."
)


def _unsettled(event: Event) -> Event:
    return Event(event.question, event.reply, event.attempt, False, event.at, event.cost_usd)


def _short(raw: str) -> str:
    return " ".join(raw.split())[:300]
