"""Space against space in the brain: differences in each region, and what sets of spaces explain alone or share."""

from __future__ import annotations

from typing import Any

import polars as pl

from affectlake.report.blocks import Cell, Figure, Fold, Section, Table, Text, cell
from affectlake.report.charts import INK, ORANGE, svg
from affectlake.report.numbers import coefficient, interval, plural, probability
from affectlake.report.results import Results


def comparisons(results: Results) -> Section | None:
    """The best model of each region against the next, and every pair."""
    rows = results.table("comparisons")
    if rows.is_empty():
        return None
    encoding = rows.filter(pl.col("metric") == "encoding")
    n = int(rows["n_subjects"].max())  # type: ignore[arg-type]
    warning = (
        f"With {plural(n, 'subject')} a paired t-test says little: look at the intervals and at every subject's points."
        if n < 10
        else ""
    )
    blocks = [
        *([Text(warning)] if warning else []),
        _best(results, encoding),
        Fold(f"{_listed(rows)} comparisons", [_pairs(rows)]),
    ]
    return Section("comparisons", "Is one space better than another?", blocks)


def _best(results: Results, rows: pl.DataFrame) -> Table:
    """In each region the model with the highest mean, against the runner-up; controls apart, as in ``best_models``."""
    of_interest = (pl.col("coverage") == 1) & ~pl.col("model").is_in(list(results.facts.controls))
    means = results.table("encoding_scores").filter(of_interest)
    means = means.group_by("roi", "model").agg(pl.col("mean_r").mean()).drop_nulls()
    body = []
    for roi in results.regions:
        two = means.filter(pl.col("roi") == roi).sort(["mean_r", "model"], descending=[True, False]).head(2)
        if two.height < 2:
            continue
        first, second = two["model"].to_list()
        pair = rows.filter((pl.col("roi") == roi) & (pl.col("model_a") == min(first, second)))
        pair = pair.filter(pl.col("model_b") == max(first, second))
        if pair.is_empty():
            continue
        body.append([cell(roi), cell(first), cell(second), *_tested(pair.row(0, named=True), flip=first > second)])
    return Table(
        "The best model of each region against the next best, controls apart: mean difference of r over subjects, "
        "paired and two-sided; "
        "q is BH-FDR over the regions of a pair of models. The two were chosen by the same scores, so that the "
        "difference is too large by that choice.",
        ("region", "best model", "next best", "#difference [95 % CI]", "#t", "#p", "#q", "#n"),
        body,
    )


def _tested(row: dict[str, Any], *, flip: bool) -> list[Cell]:
    sign = -1 if flip else 1
    low, high = (row["ci_low"], row["ci_high"]) if not flip else (row["ci_high"], row["ci_low"])
    difference = sign * row["mean_difference"]
    low, high, t = (None if v is None else sign * v for v in (low, high, row["t"]))
    return [
        cell(interval(difference, low, high, 3), difference),
        cell(coefficient(t), t),
        cell(probability(row["p"]), row["p"]),
        cell(probability(row["q"]), row["q"]),
        cell(row["n_subjects"], row["n_subjects"]),
    ]


_MOST = 2000
"""Comparisons that a page lists: more would make it slow to open."""


def _listed(rows: pl.DataFrame) -> str:
    return f"All {rows.height:,}" if rows.height <= _MOST else f"The {_MOST:,} of {rows.height:,} with the smallest q"


def _pairs(rows: pl.DataFrame) -> Table:
    rows = rows if rows.height <= _MOST else rows.sort("q", nulls_last=True, maintain_order=True).head(_MOST)
    body = [
        [cell(r["roi"]), cell(r["metric"]), cell(r["model_a"]), cell(r["model_b"]), *_tested(r, flip=False)]
        for r in rows.iter_rows(named=True)
    ]
    return Table(
        "Every pair of models in every region; the difference is the first minus the second.",
        ("region", "score", "first", "second", "#difference [95 % CI]", "#t", "#p", "#q", "#n"),
        body,
    )


def variance(results: Results) -> Section | None:
    """What each model of a set explains alone and what they share."""
    rows = results.drawn(results.table("variance_partition"))
    if rows.is_empty():
        return None
    import altair as alt

    said = [
        f"{r['roi']}, {r['subject']}, {_part(r['set'], r['part'])}: R\u00b2 {coefficient(r['r2'], 3)}"
        for r in rows.iter_rows(named=True)
    ]
    parts = [_part(s, p) for s, p in rows.select("set", "part").iter_rows()]
    frame = rows.select(
        "roi",
        "r2",
        set=pl.col("set").str.replace_all("+", " and ", literal=True),
        part=pl.Series(parts, dtype=pl.String),
        said=pl.Series(said, dtype=pl.String),
    )
    y = alt.Y("roi:N", sort=results.regions or None, title=None, axis=alt.Axis(grid=True, gridDash=[1, 3]))
    base = alt.Chart(frame)
    zero = (
        base.transform_aggregate(n="count()", groupby=["set", "part"])
        .mark_rule(color="#57606a", aria=False)
        .encode(x=alt.datum(0))
    )
    points = base.mark_point(filled=True, size=42, opacity=0.85, color=ORANGE).encode(
        x=alt.X("r2:Q", title="explained variance (R\u00b2)", axis=alt.Axis(tickCount=4)), y=y, description="said:N"
    )
    mean = base.mark_tick(color=INK, thickness=2, size=14, aria=False).encode(x="mean(r2):Q", y=y)
    chart = alt.layer(zero, points, mean).properties(width=190, height=alt.Step(18))
    chart = chart.facet(row=alt.Row("set:N", title=None), column=alt.Column("part:N", title=None), spacing=18)
    figure = Figure(
        "variance",
        "Variance that models explain alone and share, one point a subject",
        svg(chart, "variance"),
        "Mean over a region's voxels of the variance that only one model of a set explains, or that several share; one "
        "point a subject, the bar is their mean. Below zero: a joint model predicts unseen presentations worse.",
    )
    return Section("variance", "What do spaces explain alone, what do they share?", [figure])


def _part(models: str, part: str) -> str:
    names = part.split("+")
    if len(names) == 1:
        return f"only {names[0]}"
    return "shared by all" if set(names) == set(models.split("+")) else "shared by " + " and ".join(names)
