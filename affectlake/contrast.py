"""Model against model, region by region: paired over subjects, and within each subject over its runs.

What belongs here: frames of scores in, rows of the table ``comparisons`` out. What does not: the tests themselves
(``statistics.py``), which scores are compared (``assets``).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import polars as pl

from affectlake.scoring import with_q
from affectlake.statistics import bootstrap_intervals, paired
from affectlake.tables import COMPARISONS, STAMP_NAMES

Intervals = dict[tuple[str, str, str, str], tuple[float, float, int]]
"""Subject, region and two models to the interval of their difference and the number of runs."""


def compare(scores: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    """Compare every pair of models in every region, by every metric.

    Parameters
    ----------
    scores : DataFrame
        ``subject``, ``model``, ``roi``, ``metric``, ``score``; one row each, none null.
    runs : DataFrame
        ``subject``, ``model``, ``roi``, ``run``, ``n``, ``mean_r``: what a bootstrap over the runs of one subject
        resamples, for the metric ``encoding``.

    Returns
    -------
    DataFrame
        Rows of the table ``comparisons`` without stamps.
    """
    within = _within_subjects(runs)
    rows = [
        row
        for (metric, roi), found in sorted(scores.partition_by("metric", "roi", as_dict=True).items())
        for row in _pairs(str(metric), str(roi), found, within if metric == "encoding" else {})
    ]
    schema = {k: v for k, v in COMPARISONS.schema.items() if k not in ("q", *STAMP_NAMES)}
    found = with_q(pl.DataFrame(rows, schema=schema), family=("metric", "model_a", "model_b"))
    return found.select(c for c in COMPARISONS.schema if c not in STAMP_NAMES)


def _pairs(metric: str, roi: str, scores: pl.DataFrame, within: Intervals) -> list[dict[str, Any]]:
    """One row a pair of models that share subjects."""
    wide = scores.pivot("model", index="subject", values="score").sort("subject")
    rows = []
    for a, b in combinations(sorted(set(wide.columns) - {"subject"}), 2):
        both = wide.select("subject", a, b).drop_nulls()
        if both.is_empty():
            continue
        test = paired(both[a].to_numpy(), both[b].to_numpy())
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
                "by_subject": [_of_subject(s, x - y, within.get((s, roi, a, b))) for s, x, y in both.iter_rows()],
            }
        )
    return rows


def _of_subject(subject: str, difference: float, interval: tuple[float, float, int] | None) -> dict[str, Any]:
    low, high, n_runs = interval or (None, None, None)
    return {"subject": subject, "difference": difference, "ci_low": low, "ci_high": high, "n_runs": n_runs}


def _within_subjects(runs: pl.DataFrame) -> Intervals:
    """Intervals of the differences over the runs of each subject; none where there are fewer than two runs."""
    found: Intervals = {}
    for (subject,), own in runs.partition_by("subject", as_dict=True).items():
        by_model = {str(key[0]): part for key, part in own.partition_by("model", as_dict=True).items()}
        for a, b in combinations(sorted(by_model), 2):
            joined = by_model[a].join(by_model[b], on=["roi", "run", "n"], suffix="_b")
            wide = joined.select("run", "n", "roi", d=pl.col("mean_r") - pl.col("mean_r_b"))
            wide = wide.pivot("roi", index=["run", "n"], values="d").sort("run").drop_nulls()
            rois = wide.columns[2:]
            if wide.height < 2 or not rois:
                continue
            low, high = bootstrap_intervals(wide.select(rois).to_numpy(), wide["n"].to_numpy())
            for roi, lowest, highest in zip(rois, low.tolist(), high.tolist(), strict=True):
                found[str(subject), roi, a, b] = (lowest, highest, wide.height)
    return found
