"""How good the spaces are: accuracy against the ceiling, fit of similarities, training, reproducibility."""

from __future__ import annotations

from typing import Any

import polars as pl

from affectlake.report.blocks import Figure, Fold, Section, Table, Text, cell
from affectlake.report.charts import BLUE, COLOURS, DASHES, svg
from affectlake.report.numbers import ABSENT, coefficient, count, interval, percent
from affectlake.report.results import Results

CURVES = (
    ("l1_cross_entropy", "sparsity penalty", "held-out cross-entropy (nats)", "log"),
    ("l1_dimensions", "sparsity penalty", "dimensions left", "log"),
    ("loss", "share of the fit", "training cross-entropy (nats)", "linear"),
    ("accuracy_by_judgments", "training judgments", "test accuracy", "linear"),
    ("rsm_r_by_dimensions", "dimensions kept", "r of similarities", "linear"),
)
"""Curve, its axes with their units, and the scale of the first one."""


def quality(results: Results) -> Section | None:
    """Accuracy, ceiling, chance and fit of similarities of every space."""
    rows = results.table("embedding_quality")
    if rows.is_empty():
        return None
    blocks: list[Any] = [_table(results, rows)]
    judged = rows.drop_nulls("accuracy")
    if judged.height:
        blocks.insert(0, _accuracy(results, judged))
    else:
        blocks.insert(0, Text("No space was learnt from judgments, so that there is no accuracy to show."))
    if rows.drop_nulls("rsm_r").height:
        blocks.insert(1, _similarity(results, rows.drop_nulls("rsm_r")))
    return Section("spaces", "How good are the spaces?", blocks)


def _accuracy(results: Results, rows: pl.DataFrame) -> Figure:
    import altair as alt

    order = [m for m in results.ranked if m in set(rows["model"])]
    kinds = {"chance": "permuted answers (chance)", "accuracy": "held-out accuracy", "ceiling": "noise ceiling"}
    points = pl.concat(
        [
            rows.select("model", "n_test", what=pl.lit(what), x=c, low=f"{c}_low", high=f"{c}_high").drop_nulls("x")
            for c, what in kinds.items()
        ]
    ).with_columns(pl.col("low").fill_null(pl.col("x")), pl.col("high").fill_null(pl.col("x")))
    said = [
        f"{r['model']}, {r['what']}: {interval(r['x'], r['low'], r['high'], 3)}" for r in points.iter_rows(named=True)
    ]
    points = points.with_columns(said=pl.Series(said, dtype=pl.String))
    names = list(kinds.values())
    scale = alt.Scale(domain=names, range=["#6e7781", BLUE, "#9a3412"])
    y = alt.Y("model:N", sort=order, title=None)
    base = alt.Chart(points).encode(y=y, color=alt.Color("what:N", scale=scale, title=None, legend=_below()))
    bars = base.mark_rule(strokeWidth=2, aria=False).encode(x=_share("low"), x2="high:Q")
    shape = alt.Scale(domain=names, range=["cross", "circle", "diamond"])
    marks = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=_share("x"),
        shape=alt.Shape("what:N", scale=shape, title=None, legend=_below()),
        description="said:N",
    )
    return Figure(
        "accuracy",
        "Held-out accuracy of each space with its noise ceiling and chance",
        svg((bars + marks).properties(width=560, height=alt.Step(34)), "accuracy"),
        "Share of held-out questions whose odd one out the space predicts; bars are 95 % intervals (over "
        "clips; for the "
        "ceiling over questions; for chance the central 95 % of permutations). The ceiling is how often a "
        "judge repeats "
        "its own most frequent answer: no space can be expected to do better. A judge whose answers never vary has a "
        "ceiling of 1.",
    )


def _share(name: str) -> Any:
    import altair as alt

    return alt.X(f"{name}:Q", title="share of held-out questions", scale=alt.Scale(zero=False, nice=True))


def _below() -> Any:
    import altair as alt

    return alt.Legend(orient="bottom", direction="horizontal", columns=3, labelLimit=260)


def _similarity(results: Results, rows: pl.DataFrame) -> Figure:
    import altair as alt

    order = [m for m in results.ranked if m in set(rows["model"])]
    said = [
        f"{r['model']}, fit of similarities: {interval(r['rsm_r'], r['rsm_r_low'], r['rsm_r_high'], 3)}"
        for r in rows.iter_rows(named=True)
    ]
    base = alt.Chart(
        rows.select("model", "rsm_r", "rsm_r_low", "rsm_r_high", said=pl.Series(said, dtype=pl.String))
    ).encode(y=alt.Y("model:N", sort=order, title=None))
    x = alt.X("rsm_r_low:Q", title="Pearson r of predicted and measured similarity", scale=alt.Scale(domainMax=1))
    bars = base.mark_rule(strokeWidth=2, color=BLUE, aria=False).encode(x=x, x2="rsm_r_high:Q")
    marks = base.mark_point(filled=True, size=90, opacity=1, color=BLUE).encode(x="rsm_r:Q", description="said:N")
    return Figure(
        "similarity",
        "Fit of predicted to measured similarities of each space",
        svg((bars + marks).properties(width=560, height=alt.Step(30)), "similarity"),
        "Similarities that the space predicts against those measured by asking every question about the validation "
        "clips; bars are 95 % intervals, bootstrapped over pairs of clips.",
    )


def _table(results: Results, rows: pl.DataFrame) -> Table:
    by = {r["model"]: r for r in rows.iter_rows(named=True)}
    body = []
    for model in (m for m in results.ranked if m in by):
        r = by[model]
        body.append(
            [
                cell(model + (" (control)" if model in results.facts.controls else "")),
                cell(count(r["n_dimensions"]), r["n_dimensions"]),
                cell(ABSENT if r["n_train"] is None else f"{count(r['n_train'])} / {count(r['n_test'])}", r["n_train"]),
                cell(interval(r["accuracy"], r["accuracy_low"], r["accuracy_high"], 3), r["accuracy"]),
                cell(interval(r["ceiling"], r["ceiling_low"], r["ceiling_high"], 3), r["ceiling"]),
                cell(coefficient(r["chance"], 3), r["chance"]),
                cell(interval(r["rsm_r"], r["rsm_r_low"], r["rsm_r_high"]), r["rsm_r"]),
                cell(coefficient(r["top3_27"]), r["top3_27"]),
                cell(percent(r["coverage"]), r["coverage"]),
                cell(count(r["n_refused"]), r["n_refused"]),
            ]
        )
    heads = ("model", "#dimensions", "#training / test", "#accuracy [95 % CI]")
    more = ("#ceiling [95 % CI]", "#chance", "#RSM r [95 % CI]", "#top-3 of 27", "#coverage", "#given up")
    return Table(
        f"The spaces, best first. {ABSENT} where there is no value: a space taken as it is was not learnt "
        "from judgments. "
        "Top-3 of 27: share of clips whose most frequent category is among the three nearest centroids.",
        (*heads, *more),
        body,
    )


def training(results: Results) -> Section | None:
    """The curves of the fits."""
    curves = results.table("embedding_curves")
    shown = [c for c in CURVES if c[0] in set(curves["curve"])]
    if not shown:
        return None
    import altair as alt

    models = [m for m in results.facts.models if m in set(curves["model"])]
    colour = alt.Color(
        "model:N",
        title=None,
        scale=alt.Scale(domain=models, range=[COLOURS[i % len(COLOURS)] for i in range(len(models))]),
        legend=alt.Legend(orient="top", columns=4, symbolType="stroke", symbolStrokeWidth=2),
    )
    dash = alt.StrokeDash(
        "model:N",
        title=None,
        scale=alt.Scale(domain=models, range=[DASHES[i % len(DASHES)] for i in range(len(models))]),
        legend=alt.Legend(orient="top", columns=4),
    )
    panels = []
    kind: Any
    for name, along, label, kind in shown:
        points = curves.filter((pl.col("curve") == name) & ((pl.col("x") > 0) if kind == "log" else True))
        said = [
            f"{r['model']}, {label} at {along} {r['x']:.4g}: {coefficient(r['y'], 3)}"
            for r in points.iter_rows(named=True)
        ]
        frame = points.select("model", "x", "y", said=pl.Series(said, dtype=pl.String))
        base = alt.Chart(frame).encode(
            x=alt.X("x:Q", title=along, scale=alt.Scale(type=kind, nice=kind != "log"), axis=alt.Axis(tickCount=4)),
            y=alt.Y("y:Q", title=label, scale=alt.Scale(zero=False)),
        )
        line = base.mark_line(strokeWidth=1.8, aria=False).encode(color=colour, strokeDash=dash)
        dots = base.mark_point(size=16, filled=True, opacity=1).encode(color=colour, description="said:N")
        panels.append((line + dots).properties(width=235, height=170))
    chart = alt.concat(*panels, columns=3, spacing=28)
    figure = Figure(
        "training",
        "Curves of the fits: penalty, loss, learning curve and dimensions",
        svg(chart, "training"),
        "How the spaces were learnt: the sparsity penalty is the one with the lowest cross-entropy on "
        "held-out training "
        "judgments; the loss falls over the fit; accuracy grows with judgments (a single run without choosing "
        "reproducible dimensions); similarities are fitted better with more dimensions.",
    )
    return Section("training", "How the spaces were learnt", [figure])


def reproducibility(results: Results) -> Section | None:
    """How well each dimension comes back from other seeds."""
    rows = results.table("dimensions").drop_nulls("reproducibility")
    if rows.is_empty():
        return None
    import altair as alt

    said = [
        f"{r['model']}, dimension {r['dimension'] + 1}, {r['label']}: reproducibility "
        f"{interval(r['reproducibility'], r['reproducibility_low'], r['reproducibility_high'])}"
        for r in rows.iter_rows(named=True)
    ]
    frame = rows.select(
        "model",
        pl.col("dimension") + 1,
        "reproducibility",
        low=pl.col("reproducibility_low").fill_null(pl.col("reproducibility")),
        high=pl.col("reproducibility_high").fill_null(pl.col("reproducibility")),
        said=pl.Series(said, dtype=pl.String),
    )
    order = [m for m in results.ranked if m in set(frame["model"])]
    axis = alt.Axis(tickMinStep=1, grid=False)
    base = alt.Chart(frame).encode(
        x=alt.X(
            "dimension:Q",
            title="dimension (largest share first)",
            axis=axis,
            scale=alt.Scale(zero=False, nice=False, padding=8),
        )
    )
    y = alt.Y("low:Q", title="r with its match in other seeds", scale=alt.Scale(domainMax=1))
    bars = base.mark_rule(color=BLUE, strokeWidth=1.5, aria=False).encode(y=y, y2="high:Q")
    dots = base.mark_point(filled=True, size=45, color=BLUE, opacity=1).encode(
        y="reproducibility:Q", description="said:N"
    )
    chart = (
        (bars + dots)
        .properties(width=235, height=150)
        .facet(facet=alt.Facet("model:N", sort=order, title=None), columns=3, spacing=22)
    )
    note = Fold("Reproducibility and stability in numbers", [_dimension_table(results, rows)])
    figure = Figure(
        "reproducibility",
        "Reproducibility of each dimension of each space",
        svg(chart, "reproducibility"),
        "Mean correlation of a dimension with its best match in fits from other random starts; bars are 95 % "
        "intervals by Fisher's z over those fits.",
    )
    return Section("reproducibility", "Do the dimensions come back?", [figure, note])


def _dimension_table(results: Results, rows: pl.DataFrame) -> Table:
    body = []
    for model in results.ranked:
        for r in rows.filter(pl.col("model") == model).iter_rows(named=True):
            body.append(
                [
                    cell(f"{model} {r['dimension'] + 1}", None, f"dimensions-{model}.html#d{r['dimension'] + 1}"),
                    cell(r["label"]),
                    cell(coefficient(r["share"], 3), r["share"]),
                    cell(
                        interval(r["reproducibility"], r["reproducibility_low"], r["reproducibility_high"]),
                        r["reproducibility"],
                    ),
                    cell(interval(r["split_half"], r["split_half_low"], r["split_half_high"]), r["split_half"]),
                    cell(interval(r["stability"], r["stability_low"], r["stability_high"]), r["stability"]),
                ]
            )
    heads = (
        "dimension",
        "label",
        "#share",
        "#reproducibility [95 % CI]",
        "#split-half [95 % CI]",
        "#stability [95 % CI]",
    )
    return Table(
        "Reproducibility of every dimension. Split-half: matched on half of the clips and scored on the other. "
        "Stability: r with its match in a fit on 90 % of the judgments.",
        heads,
        body,
    )
