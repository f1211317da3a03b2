"""Jobs: what schedules and people start by name. What belongs here: selections of assets and the upkeep of tables."""

from typing import Any

import dagster as dg

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


JUDGING = job_name(JUDGMENTS)
