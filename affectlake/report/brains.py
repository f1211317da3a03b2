"""What the spaces predict in the brain: leaderboard, regions by models, similarity."""

from __future__ import annotations

from typing import Any

import polars as pl

from affectlake.report.blocks import Cell, Figure, Section, Table, cell
from affectlake.report.charts import BLUE, INK, svg
from affectlake.report.numbers import ABSENT, coefficient, count, percent, plural, probability
from affectlake.report.results import SIGNIFICANT, Results


def leaderboard(results: Results) -> Section | None:
    """Models, best first, and every region by every model."""
    scores = results.table("encoding_scores")
    if scores.drop_nulls("mean_r").is_empty():
        return None
    return Section(
        "brain",
        "Which space predicts which region?",
        [_models(results, scores), matrix(results, scores), _regions(results, scores)],
    )


def _models(results: Results, scores: pl.DataFrame) -> Table:
    tested = pl.col("q").is_not_null().sum()
    found = scores.group_by("model").agg(
        pl.col("mean_r").mean(),
        pl.col("normalised_r").mean(),
        pl.col("subject").filter(pl.col("mean_r").is_not_null()).n_unique().alias("n_subjects"),
        (pl.col("q") < SIGNIFICANT).sum().alias("n_significant"),
        tested.alias("n_tested"),
        pl.col("coverage").min(),
    )
    by = {r["model"]: r for r in found.iter_rows(named=True)}
    normalised = scores["normalised_r"].null_count() < scores.height
    body = []
    for rank, model in enumerate((m for m in results.ranked if m in by), start=1):
        r, top = by[model], _top(scores.filter(pl.col("model") == model))
        row = [
            cell(rank, rank),
            cell(model + (" (control)" if model in results.facts.controls else "")),
            cell(coefficient(r["mean_r"], 3), r["mean_r"]),
            *([cell(coefficient(r["normalised_r"]), r["normalised_r"])] if normalised else []),
            cell(f"{r['n_significant']} of {r['n_tested']}", r["n_significant"]),
            cell(top),
            cell(r["n_subjects"], r["n_subjects"]),
            cell(percent(r["coverage"]), r["coverage"]),
        ]
        body.append(row)
    heads = ["#rank", "model", "#mean r", *(["#r / ceiling"] if normalised else [])]
    note = "" if normalised else " There is no ceiling: no clip was shown twice, or its repeats do not agree."
    return Table(
        "Leaderboard: cross-validated Pearson r, mean over voxels, regions and subjects. Significant: regions of a "
        "subject with q < .05 among those tested (permutations; BH-FDR over the regions of a subject and "
        f"model).{note}",
        [*heads, "#significant", "best region", "#subjects", "#coverage"],
        body,
    )


def _top(scores: pl.DataFrame) -> str:
    means = scores.group_by("roi").agg(pl.col("mean_r").mean()).drop_nulls().sort("mean_r", "roi")
    return f"{means['roi'][-1]} ({coefficient(means['mean_r'][-1])})" if means.height else ABSENT


def matrix(results: Results, scores: pl.DataFrame, name: str = "matrix") -> Figure:
    """Regions down, models across, one point a subject."""
    import altair as alt

    rows = results.drawn(scores.drop_nulls("mean_r"))
    said = [
        f"{r['model']}, {r['roi']}, {r['subject']}: r {coefficient(r['mean_r'], 3)}, q {probability(r['q'])}, "
        f"n {r['n_stimuli']} presentations"
        for r in rows.iter_rows(named=True)
    ]
    mark = pl.when(pl.col("q") < SIGNIFICANT).then(pl.lit("q < .05")).otherwise(pl.lit("not significant"))
    frame = rows.select("subject", "model", "roi", "mean_r", mark=mark, said=pl.Series(said, dtype=pl.String))
    models = [m for m in results.ranked if m in set(frame["model"])]
    y = alt.Y("roi:N", sort=results.regions, title=None, axis=alt.Axis(grid=True, gridDash=[1, 3]))
    x = alt.X("mean_r:Q", title="cross-validated r", axis=alt.Axis(tickCount=4, format=".1f"))
    fill = alt.Color(
        "mark:N",
        title=None,
        scale=alt.Scale(domain=["q < .05", "not significant"], range=[BLUE, "#8c959f"]),
        legend=alt.Legend(orient="top"),
    )
    shape = alt.Shape(
        "mark:N",
        title=None,
        scale=alt.Scale(domain=["q < .05", "not significant"], range=["circle", "cross"]),
        legend=alt.Legend(orient="top"),
    )
    base = alt.Chart(frame)
    zero = (
        base.transform_aggregate(n="count()", groupby=["model"])
        .mark_rule(color="#57606a", aria=False)
        .encode(x=alt.datum(0))
    )
    points = base.mark_point(filled=True, size=46, opacity=0.85).encode(
        x=x, y=y, color=fill, shape=shape, description="said:N"
    )
    layers = [zero, points]
    if frame["subject"].n_unique() > 1:
        mean = base.mark_tick(color=INK, thickness=2, size=14, aria=False).encode(x="mean(mean_r):Q", y=y)
        layers.append(mean)
    chart = (
        alt.layer(*layers)
        .properties(width=205, height=alt.Step(20))
        .facet(facet=alt.Facet("model:N", sort=models, title=None), columns=3, spacing=20)
    )
    n = frame["subject"].n_unique()
    shown = " to ".join(count(v) for v in dict.fromkeys((rows["n_stimuli"].min(), rows["n_stimuli"].max())))  # type: ignore[arg-type]
    several = f"{plural(n, 'subject')}, one point each; the bar is their mean. " if n > 1 else ""
    return Figure(
        name,
        "Scores of every region by every model, one point a subject",
        svg(chart, name),
        f"Mean over a region's voxels of the cross-validated Pearson r. {several}Filled discs: q < .05 by permutation "
        f"of the stimuli within runs (one-sided, BH-FDR over the regions of a subject and model; n = {shown} "
        "presentations a subject). Models are in the "
        f"order of the leaderboard, regions in the order of the best model's score in them.{results.note_on_regions}",
    )


def _regions(results: Results, scores: pl.DataFrame) -> Table:
    models = [m for m in results.ranked if m in set(scores["model"])]
    means = scores.group_by("roi", "model").agg(
        pl.col("mean_r").mean(), (pl.col("q") < SIGNIFICANT).sum().alias("k"), pl.col("mean_r").count().alias("n")
    )
    by = {(r["roi"], r["model"]): r for r in means.iter_rows(named=True)}
    body = [[cell(roi), *(_score(by.get((roi, m))) for m in models)] for roi in results.regions]
    return Table(
        "Regions by models: mean r over subjects (subjects with q < .05 / subjects scored).",
        ["region", *(f"#{m}" for m in models)],
        body,
    )


def _score(row: dict[str, Any] | None) -> Cell:
    if row is None or row["mean_r"] is None:
        return cell("not scored")
    return cell(f"{coefficient(row['mean_r'])} ({row['k']}/{row['n']})", row["mean_r"])


def similarity(results: Results) -> Section | None:
    """Similarities of spaces and of regions."""
    rows = results.table("rsa_scores")
    if rows.is_empty():
        return None
    import altair as alt

    means = (
        results.drawn(rows)
        .group_by("roi", "model", "method")
        .agg(pl.col("rho").mean(), (pl.col("q") < SIGNIFICANT).sum().alias("k"), pl.col("rho").count().alias("n"))
    )
    means = means.sort("model", "roi", "method")
    said = [
        f"{r['model']}, {r['roi']}, {r['method']}: {coefficient(r['rho'], 3)}, {r['k']} of {plural(r['n'], 'subject')} "
        "with q < .05"
        for r in means.iter_rows(named=True)
    ]
    frame = means.with_columns(
        said=pl.Series(said, dtype=pl.String),
        shown=pl.Series(
            [f"{coefficient(r['rho'])} ({r['k']}/{r['n']})" for r in means.iter_rows(named=True)], dtype=pl.String
        ),
    )
    bound = max(float(frame["rho"].abs().max()), 0.01)  # type: ignore[arg-type]
    models = [m for m in results.ranked if m in set(frame["model"])]
    base = alt.Chart(frame).encode(
        x=alt.X(
            "model:N", sort=models, title=None, axis=alt.Axis(orient="top", labelAngle=-30, domain=False, ticks=False)
        ),
        y=alt.Y("roi:N", sort=results.regions or None, title=None, axis=alt.Axis(domain=False, ticks=False)),
    )
    colour = alt.Color(
        "rho:Q",
        title="mean correlation",
        scale=diverging(bound),
        legend=alt.Legend(orient="bottom", gradientLength=220, format=".2f", titleOrient="left"),
    )
    cells = base.mark_rect(stroke="white").encode(color=colour, description="said:N")
    dark = alt.condition(abs(alt.datum.rho) > 0.87 * bound, alt.value("white"), alt.value(INK))
    words = base.mark_text(fontSize=11, aria=False).encode(text="shown:N", color=dark)
    chart = (cells + words).properties(width=alt.Step(86), height=alt.Step(22))
    if frame["method"].n_unique() > 1:
        chart = chart.facet(row=alt.Row("method:N", title=None))
    figure = Figure(
        "rsa",
        "Correlation of similarities of models and regions",
        svg(chart, "rsa"),
        "Correlation of a space's similarities with those of a region's response patterns: mean over subjects, and how "
        "many subjects have q < .05 of those scored (permutation of the clips, one-sided, BH-FDR over regions).",
    )
    return Section("rsa", "Are the same clips similar?", [figure])


def diverging(bound: float) -> Any:
    """Colours of values around zero, to ``bound`` on both sides."""
    import altair as alt

    from affectlake.report.charts import DIVERGING

    return alt.Scale(domain=[-bound, -bound / 2, 0, bound / 2, bound], range=list(DIVERGING), clamp=True)
