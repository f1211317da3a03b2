"""Stage 7: model against model, paired over subjects."""

from typing import Any

import dagster as dg
import polars as pl

import sql
from affectlake.contrast import compare
from assets._work import Work
from assets.recipes import COMPARISONS
from resources.io_manager import LakeResource, preview
from resources.query import query


def comparisons(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    encoding_scores: pl.LazyFrame,
    run_scores: pl.LazyFrame,
    rsa_scores: pl.LazyFrame,
    searchlight_scores: pl.LazyFrame,
    voxels: pl.LazyFrame,
) -> dg.MaterializeResult[Any]:
    """Compare every pair of models in every region; a model that does not cover the scoring set is left out."""
    work = Work(context, COMPARISONS, lake)
    studied = pl.col("model").is_in(work.study.model_names) & pl.col("subject").is_in(work.study.subjects)
    encoding = encoding_scores.filter(studied & (pl.col("coverage") == 1)).drop_nulls("mean_r")
    covering = encoding.select("subject", "model").unique()
    keys = ("subject", "model", "roi", "metric")
    similar = pl.when(pl.col("method") == "pearson").then(pl.lit("rsa")).otherwise(pl.format("rsa_{}", "method"))
    light = searchlight_scores if work.study.rsa.searchlight else searchlight_scores.clear()
    scores = pl.concat(
        [
            encoding.select("subject", "model", "roi", metric=pl.lit("encoding"), score="mean_r"),
            rsa_scores.join(covering, on=["subject", "model"], how="semi").select(
                "subject", "model", "roi", metric=similar, score="rho"
            ),
            _by_region(light.join(covering, on=["subject", "model"], how="semi"), voxels),
        ]
    )
    runs = run_scores.join(covering, on=["subject", "model"], how="semi").collect()
    paired = compare(scores.select(*keys, "score").collect(), runs)
    leaderboard = query(work.lake, work.study, sql.read("leaderboard"))
    return work.result("comparisons", work.stamped(paired), {"leaderboard": preview(leaderboard)})


def _by_region(light: pl.LazyFrame, voxels: pl.LazyFrame) -> pl.LazyFrame:
    """Mean over a region's centres, as Du et al. 2025 average their searchlights."""
    regions = voxels.select("subject", "voxel", roi="rois").explode("roi").drop_nulls("roi")
    means = light.join(regions, on=["subject", "voxel"]).group_by("subject", "model", "roi")
    return means.agg(score=pl.col("rho").cast(pl.Float64).mean()).select(
        "subject", "model", "roi", pl.lit("searchlight").alias("metric"), "score"
    )
