"""What happens by the clock. All are off until someone switches them on in the user interface."""

from collections.abc import Iterator

import dagster as dg

from assets._judging import RUN_USD
from assets.recipes import JUDGMENTS
from dagster_project.jobs import JUDGING, maintain
from dagster_project.planning import State, state
from dagster_project.sensors import lake_of, now
from resources.lake import Lake
from resources.provenance import Ledger, keys
from resources.study import ServiceModel, Study

NIGHTLY, WEEKLY = "0 2 * * *", "0 4 * * 0"
"""At 02:00 each day and at 04:00 on Sundays (UTC)."""


def build_schedules(study: Study, root: str = "") -> list[dg.ScheduleDefinition]:
    """The schedules of a study."""
    made: list[dg.ScheduleDefinition] = [
        dg.ScheduleDefinition(
            name="maintain_weekly",
            job=maintain,
            cron_schedule=WEEKLY,
            description="Merges small files and removes versions older than `automation.keep_days` of the study file.",
        ),
    ]
    return [*made, _nightly(study, root)] if study.models else made


def _nightly(study: Study, root: str) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="judgments_nightly",
        cron_schedule=NIGHTLY,
        job_name=JUDGING,
        description="Puts the questions that are missing, within `automation.max_usd_per_night` of the study file.",
    )
    def judgments_nightly(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        models = {m: usd for m, usd in top_up(now(study), lake_of(study, root)).items() if m in study.model_names}
        if not models:
            yield dg.SkipReason("no model lacks judgments that it may be asked for")
        for model, usd in models.items():
            tags = {} if usd is None else {RUN_USD: f"{usd:.6f}"}
            key = f"{context.scheduled_execution_time:%Y-%m-%d}|{model}"
            yield dg.RunRequest(run_key=key, partition_key=model, tags=tags)

    return judgments_nightly


def top_up(study: Study, lake: Lake) -> dict[str, float | None]:
    """Models that lack judgments, and what each may spend this night: even parts, None for those that cost nothing."""
    ledger = Ledger(lake)
    lacking = [
        key["model"]
        for key in keys(JUDGMENTS.dimensions, study)
        if state(JUDGMENTS, key, study, ledger) in (State.MISSING, State.STALE)
    ]
    paid = [name for name in lacking if isinstance(study.model(name), ServiceModel)]
    night = study.automation.max_usd_per_night
    part = None if night is None or not paid else night / len(paid)
    return {name: part if name in paid else None for name in lacking if name not in paid or part is not None}
