"""Batches of questions as an asset sees them: collect what has ended, send what is missing, say what is pending."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg
import polars as pl

from affectlake.errors import BudgetError
from assets._checks import specs
from assets._judging import Tally
from assets._work import Work
from resources.agents.service.agent import ServiceAgent
from resources.agents.service.batches import Batches, open_batches, told
from resources.progress import ProgressResource


def collect(work: Work, agent: ServiceAgent, tally: Tally) -> None:
    """Keep the answers of the batches that have ended."""
    batches = Batches(agent, work.lake, work.context.run.run_id)
    try:
        for answers in batches.collect():
            accepted = work.lake.append("judgments", answers.judgments, work.context.run.run_id)
            work.lake.append("attempts", answers.attempts, work.context.run.run_id)
            tally.add(answers, accepted)
    finally:
        batches.close()


def submit(
    work: Work, agent: ServiceAgent, missing: Iterable[pl.DataFrame], total: int, progress: ProgressResource
) -> None:
    """Send the missing questions.

    Raises
    ------
    AgentError
        The service takes no batch.
    BudgetError
        The cap on costs leaves room for none, and none is pending.
    """
    batches = Batches(agent, work.lake, work.context.run.run_id)
    sent = 0
    try:
        with progress.track(work.context, f"{agent.name} is sent questions") as advance:

            def more(n: int) -> None:
                nonlocal sent
                sent += n
                advance(sent, total)

            capped = batches.submit(missing, more)
    finally:
        batches.close()
    if capped is not None and pending(work).is_empty():
        remedy = "Raise `max_usd` and run again; what is done is kept."
        raise BudgetError(f"{capped}; ${agent.spent_usd:.4f} is spent", where=f"model {agent.name}", remedy=remedy)
    if capped is not None:
        work.context.log.warning(f"{agent.name}: {total - sent:,} questions were not sent: {capped}")


def pending(work: Work) -> pl.DataFrame:
    """The model's open batches."""
    return open_batches(work.lake).filter(pl.col("model") == work.model)


def waiting(
    work: Work, batches: pl.DataFrame, metadata: dict[str, Any]
) -> Iterator[dg.AssetObservation | dg.AssetCheckResult]:
    """What the user interface shows while batches are pending: there are no judgments to build on or to check yet."""
    for line in told(batches):
        work.context.log.info(line)
    for spec in specs(work.recipe):
        yield dg.AssetCheckResult(
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            asset_key=spec.asset_key,
            check_name=spec.name,
            description="not looked at: batches are pending",
        )
    yield dg.AssetObservation(
        "judgments",
        partition=work.model,
        description="; ".join(told(batches)),
        metadata={
            **metadata,
            "batches_pending": batches.height,
            "questions_pending": int(batches["requests"].sum()),
            "pending_until": str(batches["until"].max()),
        },
    )
