"""Draws ``docs/figures/cheaper_questions.svg`` from the benchmark's numbers beside it.

``python benchmarks/cheaper_questions.py --csv docs/figures/cheaper_questions.csv`` makes the numbers, then
``python docs/make_cheaper_questions.py`` the figure.
"""

from __future__ import annotations

from pathlib import Path

import altair as alt
import polars as pl

from affectlake.report.charts import COLOURS, DASHES, SHAPES, svg

FOLDER = Path(__file__).with_name("figures")
WAYS = {
    "random": "random, one choice (simulated judge)",
    "service": "random, one choice (through the client)",
    "soft": "soft labels (through the client)",
    "active": "active, in waves",
    "warm": "warm start from the captions' space",
}
PANELS = (
    ("r", "mean r of matched dimensions", 0.8),
    ("points", "held-out accuracy, points short", 0.5),
)


def figure() -> str:
    """The figure as SVG."""
    rows = pl.read_csv(FOLDER / "cheaper_questions.csv").with_columns(points=(-100 * pl.col("shortfall")).clip(0.02))
    rows = rows.with_columns(way=pl.col("way").replace_strict(WAYS))
    names = [name for name in WAYS.values() if name in set(rows["way"])]
    places = [list(WAYS.values()).index(name) for name in names]
    legend = alt.Legend(orient="top", columns=2, labelLimit=400)

    def scaled(kind: type, values: tuple[object, ...]) -> object:
        scale = alt.Scale(domain=names, range=[values[i % len(values)] for i in places])
        return kind("way:N", title=None, scale=scale, legend=legend)

    panels = []
    for column, title, goal in PANELS:
        base = alt.Chart(rows).encode(
            x=alt.X("judgments:Q", title="training judgments", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(
                values=[1000, 2000, 5000, 10000, 20000, 40000], format="~s")),
            color=scaled(alt.Color, COLOURS),
        )  # fmt: skip
        # less than 0.02 points short is as good as nothing
        log = alt.Scale(type="log", reverse=True, domain=[0.02, 40], nice=False)
        short = {"scale": log, "axis": alt.Axis(values=[0.02, 0.1, 0.5, 2, 10, 40])} if column == "points" else {}
        y = alt.Y(f"{column}:Q", title=title, **short)
        points = base.mark_point(size=22, filled=True, opacity=0.6).encode(y=y, shape=scaled(alt.Shape, SHAPES))
        # the active waves end at slightly different numbers in each seed: their budgets are rounded for the median
        medians = base.transform_calculate(step="round(log(datum.judgments) / log(1.15))").transform_aggregate(
            judgments="median(judgments)", **{column: f"median({column})"}, groupby=["way", "step"]
        )
        lines = medians.mark_line(strokeWidth=2).encode(y=y, strokeDash=scaled(alt.StrokeDash, DASHES))
        rule = (
            alt.Chart(pl.DataFrame({"goal": [goal]})).mark_rule(color="#57606a", strokeDash=[2, 2]).encode(y="goal:Q")
        )
        panels.append((rule + points + lines).properties(width=330, height=260))
    return svg(alt.hconcat(*panels, spacing=30), "cheaper-questions")


if __name__ == "__main__":
    (FOLDER / "cheaper_questions.svg").write_text(figure(), encoding="utf-8")
