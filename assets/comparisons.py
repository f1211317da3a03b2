"""Stage 7: model against model, paired over subjects."""

from typing import Any

import dagster as dg
import polars as pl

import sql
from affectlake.contrast import compare
from affectlake.scoring import searchlight_by_region
from assets._work import Work
from assets.recipes import COMPARISONS
from resources.io_manager import LakeResource, preview


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
    from resources.query import query

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
            searchlight_by_region(light.join(covering, on=["subject", "model"], how="semi"), voxels).select(
                "subject", "model", "roi", metric=pl.lit("searchlight"), score="rho"
            ),
        ]
    )
    runs = run_scores.join(covering, on=["subject", "model"], how="semi").collect()
    paired = compare(scores.select(*keys, "score").collect(), runs)
    leaderboard = query(work.lake, work.study, sql.read("leaderboard"))
    return work.result("comparisons", work.stamped(paired), {"leaderboard": preview(leaderboard)})
