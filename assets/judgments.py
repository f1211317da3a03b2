"""Stage 3: who finds which one odd. Asks exactly what is missing and keeps every answer as it comes.

Where batches are pending at the end there is no result yet: the run succeeds without one, and what is computed from
judgments waits.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import dagster as dg
import polars as pl

from affectlake.errors import BudgetError
from affectlake.exclusions import Exclusions
from assets import _batches as batches
from assets._judging import RUN_USD, Missing, Tally, agent_of, count_unperceived, sentinels, stimuli
from assets._work import Metadata, Work
from assets.recipes import JUDGMENTS
from resources.agents.protocol import Agent
from resources.agents.service.agent import ServiceAgent
from resources.io_manager import LakeResource
from resources.pools import pools_of, slots
from resources.progress import ProgressResource
from resources.study import FeaturesModel, RecordedModel


def judgments(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    progress: ProgressResource,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
    ratings: pl.LazyFrame,
    frames: pl.LazyFrame,
    triplets: pl.LazyFrame,
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetObservation | dg.AssetCheckResult]:
    """Put the missing questions to one model."""
    work = Work(context, JUDGMENTS, lake)
    model = work.study.model(work.model)
    left_out = Exclusions()
    with slots(context, pools_of(work.study, work.model)):
        if isinstance(model, RecordedModel):
            counts = _take_over(work, model, left_out)
        elif isinstance(model, FeaturesModel):
            counts = {"asked": 0}
        else:
            counts = _ask(work, triplets, progress, left_out)
            if (open_ := batches.pending(work)).height:
                yield from batches.waiting(work, open_, counts)
                return
    yield work.appended("judgments", counts, exclusions=left_out)
    yield work.appended("attempts")


def _ask(work: Work, triplets: pl.LazyFrame, progress: ProgressResource, left_out: Exclusions) -> Metadata:
    model = work.study.model(work.model)
    tag = work.context.run.tags.get(RUN_USD)
    run_usd = None if tag is None else float(tag)
    agent = agent_of(model, work.study, work.lake, run_usd)
    count_unperceived(agent, work.lake.read("videos"), left_out)
    tally = Tally()
    if isinstance(agent, ServiceAgent) and batches.pending(work).height:
        batches.collect(work, agent, tally)
        # what they cost is known now
        agent = agent_of(model, work.study, work.lake, run_usd)
    missing = Missing(agent, model, triplets, work.study.triplets.seed, work.lake)
    tally.questions = missing.count()
    if tally.questions == 0:
        return tally.metadata()
    again = sentinels(agent, model, triplets, work.study, work.lake)
    tally.questions += again.height
    questions = chain([again] if again.height else [], missing)
    with progress.track(work.context, f"{model.name} gets ready") as advance:
        agent.prepare(advance)
    try:
        if isinstance(agent, ServiceAgent) and agent.settings.mode == "batch":
            batches.submit(work, agent, questions, tally.questions, progress)
        else:
            _judge(work, agent, questions, tally, progress)
    except BudgetError as error:
        if run_usd is None:
            raise
        work.leave_unfinished(str(error))
    return tally.metadata()


def _judge(
    work: Work, agent: Agent, questions: Iterable[pl.DataFrame], tally: Tally, progress: ProgressResource
) -> None:
    """Ask, and keep the answers as they come."""
    with progress.track(work.context, f"{agent.name} judges") as advance:

        def more(n: int) -> None:
            tally.settled += n
            advance(tally.settled, tally.questions, tally.line())

        for answers in agent.judge(questions, more):
            accepted = work.lake.append("judgments", answers.judgments, work.context.run.run_id)
            work.lake.append("attempts", answers.attempts, work.context.run.run_id)
            tally.add(answers, accepted)


def _take_over(work: Work, model: RecordedModel, left_out: Exclusions) -> Metadata:
    """Judgments made elsewhere are taken as they are; nothing is asked."""
    from resources.agents.recorded import recorded_judgments

    rows = recorded_judgments(model, stimuli(work.lake), work.study, left_out)
    accepted = work.lake.append("judgments", rows, work.context.run.run_id)
    return {"asked": 0, "accepted": accepted}
