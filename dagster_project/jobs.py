"""Jobs: what schedules and people start by name: one table's partition, all that is behind, the upkeep of the lake."""

from typing import Any

import dagster as dg
from pydantic import Field

from affectlake.errors import LakeError
from assets.recipes import JUDGMENTS, RECIPES
from resources.io_manager import LakeResource
from resources.provenance import Recipe
from resources.study import Study


def job_name(recipe: Recipe) -> str:
    """Name of the job that computes one recipe's tables."""
    return f"compute_{recipe.name}"


def asset_jobs(study: Study) -> list[Any]:
    """One job for every recipe of the study: its tables have the same partitions and are computed together."""
    return [
        dg.define_asset_job(
            job_name(recipe),
            selection=dg.AssetSelection.assets(*recipe.outputs),
            description=f"Computes {', '.join(recipe.outputs)}.",
        )
        for recipe in RECIPES
        if recipe.applies(study)
    ]


@dg.op(description="Merges small files and removes those of versions that are older than the study keeps.")
def maintain_lake(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """What `affectlake maintain` does, with one line of the log a table."""
    from resources.upkeep import maintain

    rows = maintain(lake.lake, keep_days=lake.study.study.automation.keep_days)
    for row in rows.iter_rows(named=True):
        context.log.info(", ".join(f"{name} {value}" for name, value in row.items() if value is not None))
    context.add_output_metadata(
        {
            "tables": rows.height,
            "files_before": int(rows["files_before"].sum()),
            "files_after": int(rows["files_after"].sum()),
            "files_removed": int(rows["files_removed"].sum()),
        }
    )


@dg.job(description="Upkeep of the lake's tables; safe beside other runs.")
def maintain() -> None:
    """Compact and vacuum all tables."""
    maintain_lake()


class Behind(dg.Config):
    """What to bring up to date; everything where nothing is named."""

    tables: list[str] = Field([], description="Tables, with what they are computed from.")
    models: list[str] = Field([], description="Partitions of these models only.")
    subjects: list[str] = Field([], description="Partitions of these subjects only.")


@dg.op(description="What `affectlake run` does: what is missing or stale, one partition after the other.")
def compute_behind(context: dg.OpExecutionContext, config: Behind, lake: LakeResource) -> None:
    """Compute in the process of this run, so that no partition waits for a process of its own.

    Each partition is still a run of its own, with its events and its data version, and one that fails stops only what
    is computed from it. (A Dagster run over several partitions would have one data version and one end for all of them,
    and loses keys of tables that are partitioned by subject and model.)

    Raises
    ------
    LakeError
        A table that nothing computes, or steps that failed.
    StudyError
        A model or subject that the study does not have.
    """
    from dagster_project.runner import Launcher, compute, fail_dead_runs, selected

    study, tables = lake.study.study, lake.lake
    selection = selected(study, config.tables, config.models, config.subjects)
    tables.prepare()
    fail_dead_runs(context.instance)
    launcher = Launcher(study, context.instance, tables.root)
    launcher.tags["affectlake/started_by"] = f"run {context.run_id}"
    outcome = compute(study, tables, selection, launcher, lambda done, n, what="": None)
    context.log.info(f"{len(outcome.computed)} runs; {outcome.current} of {outcome.all} partitions are current")
    for name, problem in outcome.failed.items():
        context.log.error(f"{name}: {problem}")
    if outcome.failed or outcome.blocked:
        raise LakeError(
            f"{len(outcome.failed)} steps failed, and {len(outcome.blocked)} partitions wait for them: "
            f"{', '.join([*outcome.failed, *outcome.blocked])}",
            remedy="Their runs say why; what succeeded is kept, and this job computes the rest when it is run again.",
        )
    context.add_output_metadata(
        {
            "runs": len(outcome.computed),
            "pending_batches": len(outcome.pending),
            "current_partitions": outcome.current,
            "partitions": outcome.all,
        }
    )


@dg.job(description="One run for everything that is missing or stale. Starts no process for each partition.")
def bring_up_to_date() -> None:
    """`affectlake run` from the user interface."""
    compute_behind()


JUDGING = job_name(JUDGMENTS)
