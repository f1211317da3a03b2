"""Stage 3: who finds which one odd. Asks exactly what is missing and keeps every answer as it comes."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import dagster as dg
import polars as pl

from affectlake.errors import BudgetError
from affectlake.exclusions import Exclusions
from assets._judging import RUN_USD, Missing, Tally, agent_of, count_unperceived, sentinels, stimuli
from assets._work import Metadata, Work
from assets.recipes import JUDGMENTS
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
) -> Iterator[dg.MaterializeResult[Any]]:
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
    yield work.appended("judgments", counts, exclusions=left_out)
    yield work.appended("attempts")


def _ask(work: Work, triplets: pl.LazyFrame, progress: ProgressResource, left_out: Exclusions) -> Metadata:
    model = work.study.model(work.model)
    tag = work.context.run.tags.get(RUN_USD)
    agent = agent_of(model, work.study, work.lake, None if tag is None else float(tag))
    count_unperceived(agent, work.lake.read("videos"), left_out)
    missing = Missing(agent, model, triplets, work.study.triplets.seed, work.lake)
    n = missing.count()
    if n == 0:
        return {"asked": 0}
    again = sentinels(agent, model, triplets, work.study, work.lake)
    tally = Tally(n + again.height)
    with progress.track(work.context, f"{model.name} gets ready") as advance:
        agent.prepare(advance)
    with progress.track(work.context, f"{model.name} judges") as advance:

        def more(n: int) -> None:
            tally.settled += n
            advance(tally.settled, tally.questions, tally.line())

        try:
            for answers in agent.judge(chain([again] if again.height else [], missing), more):
                accepted = work.lake.append("judgments", answers.judgments, work.context.run.run_id)
                work.lake.append("attempts", answers.attempts, work.context.run.run_id)
                tally.add(answers, accepted)
        except BudgetError as error:
            if tag is None:
                raise
            work.leave_unfinished(str(error))
    return tally.metadata()


def _take_over(work: Work, model: RecordedModel, left_out: Exclusions) -> Metadata:
    """Judgments made elsewhere are taken as they are; nothing is asked."""
    from resources.agents.recorded import recorded_judgments

    rows = recorded_judgments(model, stimuli(work.lake), work.study, left_out)
    accepted = work.lake.append("judgments", rows, work.context.run.run_id)
    return {"asked": 0, "accepted": accepted}
