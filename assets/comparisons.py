"""Stage 7: model against model, paired over subjects."""

from itertools import combinations
from typing import Any

import dagster as dg
import polars as pl

import sql
from affectlake.scoring import with_q
from affectlake.tables import COMPARISONS as COMPARISONS_TABLE
from assets._work import Work
from assets.recipes import COMPARISONS
from resources.io_manager import LakeResource, preview
from resources.query import query


def comparisons(
    context: dg.AssetExecutionContext, lake: LakeResource, encoding_scores: pl.LazyFrame, rsa_scores: pl.LazyFrame
) -> dg.MaterializeResult[Any]:
    """Compare every pair of models in every region; a model that does not cover the scoring set is left out."""
    work = Work(context, COMPARISONS, lake)
    covering = pl.col("model").is_in(work.study.model_names) & pl.col("subject").is_in(work.study.subjects)
    encoding = encoding_scores.filter(covering & (pl.col("coverage") == 1)).drop_nulls("mean_r")
    scores = pl.concat(
        [
            encoding.select("subject", "model", "roi", metric=pl.lit("encoding"), score="mean_r"),
            rsa_scores.filter(covering)
            .join(encoding.select("subject", "model").unique(), on=["subject", "model"], how="semi")
            .select("subject", "model", "roi", metric=pl.lit("rsa"), score="rho"),
        ]
    ).collect()
    rows = [
        row for group, found in scores.group_by("metric", "roi") for row in _pairs(str(group[0]), str(group[1]), found)
    ]
    schema = {k: v for k, v in COMPARISONS_TABLE.schema.items() if k not in ("q", "code_version", "source_versions")}
    paired = with_q(pl.DataFrame(rows, schema=schema), family=("metric", "model_a", "model_b"))
    leaderboard = query(work.lake, work.study, sql.read("leaderboard"))
    return work.result("comparisons", work.stamped(paired), {"leaderboard": preview(leaderboard)})


def _pairs(metric: str, roi: str, scores: pl.DataFrame) -> list[dict[str, Any]]:
    """One row a pair of models that share subjects."""
    from affectlake.statistics import paired

    wide = scores.pivot("model", index="subject", values="score").sort("subject")
    rows = []
    for a, b in combinations(sorted(set(wide.columns) - {"subject"}), 2):
        both = wide.select("subject", a, b).drop_nulls()
        if both.is_empty():
            continue
        test = paired(both[a].to_numpy(), both[b].to_numpy())
        differences = both.select("subject", difference=pl.col(a) - pl.col(b)).to_dicts()
        rows.append(
            {
                "roi": roi,
                "metric": metric,
                "model_a": a,
                "model_b": b,
                "n_subjects": test.n,
                "mean_difference": test.mean_difference,
                "t": test.t,
                "p": test.p,
                "ci_low": test.ci_low,
                "ci_high": test.ci_high,
                "by_subject": differences,
            }
        )
    return rows
