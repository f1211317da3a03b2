"""Stage 2: what is asked."""

from typing import Any

import dagster as dg
import polars as pl

from assets._work import Work
from assets.recipes import TRIPLETS
from resources.io_manager import LakeResource


def triplets(context: dg.AssetExecutionContext, lake: LakeResource, videos: pl.LazyFrame) -> dg.MaterializeResult[Any]:
    """Plan the questions that are still missing, as one more wave; what was planned before stays."""
    from affectlake.triplets import plan

    work = Work(context, TRIPLETS, lake)
    wanted = work.study.triplets
    canonical = videos.filter((pl.col("status") != "left") & pl.col("duplicate_of").is_null())
    wave = plan(
        canonical.select("item").collect()["item"].to_numpy(),
        work.lake.read("triplets"),
        train=wanted.train,
        test=wanted.test,
        validation_items=wanted.validation_items,
        ceiling_triplets=wanted.ceiling.triplets if wanted.ceiling else 0,
        ceiling_repeats=wanted.ceiling.repeats if wanted.ceiling else 2,
        panel=wanted.panel,
        seed=wanted.seed,
    )
    added = work.lake.append("triplets", wave, context.run.run_id)
    return work.appended("triplets", {"added": added})
