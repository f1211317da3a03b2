"""Figures of regions by models: one point a subject, or one colour a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from affectlake.report.blocks import Figure
from affectlake.report.charts import BLUE, DIVERGING, INK, svg
from affectlake.report.numbers import coefficient, count, plural, probability
from affectlake.report.results import SIGNIFICANT, Results


@dataclass(frozen=True)
class Points:
    """What a figure of points says.

    Attributes
    ----------
    column, score, axis : str
        Where the score stands, what a point calls it, and what its axis does.
    label, reading : str
        The figure's name, and how its caption begins.
    permuted : str
        What was permuted within runs to test the score.
    chance : float
        Where the line of chance stands.
    """

    column: str
    score: str
    axis: str
    label: str
    reading: str
    permuted: str
    chance: float = 0.0


def points(results: Results, scores: pl.DataFrame, name: str, figure: Points) -> Figure:
    """Regions down, models across, one point a subject; significant ones are told apart by shape and colour.

    Parameters
    ----------
    results : Results
    scores : polars.DataFrame
        ``subject``, ``model``, ``roi``, ``q``, ``n_stimuli`` and the figure's column.
    name : str
        Identifier of the figure within its page.
    figure : Points
    """
    import altair as alt

    rows = results.drawn(scores.drop_nulls(figure.column))
    said = [
        f"{r['model']}, {r['roi']}, {r['subject']}: {figure.score} "
        f"{coefficient(r[figure.column], 3)}, q {probability(r['q'])}, n {r['n_stimuli']} presentations"
        for r in rows.iter_rows(named=True)
    ]
    mark = pl.when(pl.col("q") < SIGNIFICANT).then(pl.lit("q < .05")).otherwise(pl.lit("not significant"))
    frame = rows.select(
        "subject", "model", "roi", value=figure.column, mark=mark, said=pl.Series(said, dtype=pl.String)
    )
    models = [m for m in results.ranked if m in set(frame["model"])]
    y = alt.Y("roi:N", sort=results.regions or None, title=None, axis=alt.Axis(grid=True, gridDash=[1, 3]))
    scale = alt.Scale(zero=figure.chance == 0)
    x = alt.X("value:Q", title=figure.axis, scale=scale, axis=alt.Axis(tickCount=4, format=".1f"))
    marks = ["q < .05", "not significant"]
    top = alt.Legend(orient="top")
    fill = alt.Color("mark:N", title=None, scale=alt.Scale(domain=marks, range=[BLUE, "#8c959f"]), legend=top)
    shape = alt.Shape("mark:N", title=None, scale=alt.Scale(domain=marks, range=["circle", "cross"]), legend=top)
    base = alt.Chart(frame)
    line = base.transform_aggregate(n="count()", groupby=["model"]).mark_rule(color="#57606a", aria=False)
    layers = [
        line.encode(x=alt.datum(figure.chance)),
        base.mark_point(filled=True, size=46, opacity=0.85).encode(
            x=x, y=y, color=fill, shape=shape, description="said:N"
        ),
    ]
    n = frame["subject"].n_unique()
    if n > 1:
        layers.append(
            base.mark_tick(color=INK, thickness=2, size=14, aria=False).encode(
                x=alt.X("mean(value):Q", scale=scale), y=y
            )
        )
    chart = (
        alt.layer(*layers)
        .properties(width=205, height=alt.Step(20))
        .facet(facet=alt.Facet("model:N", sort=models, title=None), columns=3, spacing=20)
    )
    shown = " to ".join(count(v) for v in dict.fromkeys((rows["n_stimuli"].min(), rows["n_stimuli"].max())))  # type: ignore[arg-type]
    several = f" {plural(n, 'subject')}, one point each; the bar is their mean." if n > 1 else ""
    return Figure(
        name,
        figure.label,
        svg(chart, name),
        f"{figure.reading}{several} Filled discs: q < .05 by permutation of {figure.permuted} within runs (one-sided, "
        f"BH-FDR over the regions of a subject and model; n = {shown} presentations a subject). Models are in the "
        f"order of the leaderboard, regions in the order of the best model's score in them.{results.note_on_regions}",
    )


def heat(
    results: Results, means: pl.DataFrame, said: list[str], shown: list[str], name: str, label: str, caption: str
) -> Figure:
    """Regions down, models across, one coloured cell with its number.

    Parameters
    ----------
    results : Results
    means : polars.DataFrame
        ``roi``, ``model``, ``rho``, and ``method`` where there are several.
    said, shown : list of str
        Of each row what is read to the user, and its cell's text.
    name, label, caption : str
    """
    import altair as alt

    bound = max(float(means["rho"].abs().max()), 0.01)  # type: ignore[arg-type]
    models = [m for m in results.ranked if m in set(means["model"])]
    words_of = {"said": pl.Series(said, dtype=pl.String), "shown": pl.Series(shown, dtype=pl.String)}
    base = alt.Chart(means.with_columns(**words_of)).encode(
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
    if "method" in means.columns and means["method"].n_unique() > 1:
        chart = chart.facet(row=alt.Row("method:N", title=None))
    return Figure(name, label, svg(chart, name), caption)


def diverging(bound: float) -> Any:
    """Colours of values around zero, to ``bound`` on both sides."""
    import altair as alt

    return alt.Scale(domain=[-bound, -bound / 2, 0, bound / 2, bound], range=list(DIVERGING), clamp=True)
