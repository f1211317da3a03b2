"""What the dimensions mean, over all models: their ratings, their names, and the graph that joins them."""

from __future__ import annotations

from typing import Any

import polars as pl

from affectlake.report.blocks import Figure, Section, Table, Text, cell
from affectlake.report.charts import COLOURS, INK, SHAPES, svg
from affectlake.report.numbers import ABSENT, coefficient, interval, plural
from affectlake.report.regional import diverging
from affectlake.report.results import SIGNIFICANT, Results

_NAMED = 14
"""Nodes of the graph that carry their name: those with the highest PageRank."""


def meaning(results: Results) -> Section | None:
    """The best model's dimensions by ratings; the other models' stand on their own pages."""
    if results.best not in results.with_pages:
        return None
    figure = heatmap(results, str(results.best))
    if figure is None:
        return None
    note = f"Shown for {results.best}; every model has a page of its own, with its dimensions, their clips and a map."
    return Section("meaning", "What do the dimensions mean?", [Text(note), figure])


def page_of(model: str, dimension: int) -> str:
    """Where a dimension is shown."""
    return f"dimensions-{model}.html#d{dimension + 1}"


def heatmap(results: Results, model: str) -> Figure | None:
    """Dimensions down, ratings across; None where nothing was rated."""
    rows = results.table("dimensions").filter(pl.col("model") == model)
    cells = rows.select("dimension", "label", "correlations").explode("correlations").unnest("correlations")
    cells = cells.drop_nulls("r")
    if cells.is_empty():
        return None
    import altair as alt

    names = _names(rows)
    said = [
        f"{names[r['dimension']]}, {r['name']} ({r['scale']}): r {coefficient(r['r'])}"
        + (", q < .05" if r["q"] < SIGNIFICANT else "")
        for r in cells.iter_rows(named=True)
    ]
    frame = cells.select(
        "scale",
        "name",
        "r",
        dim=pl.col("dimension").replace_strict(names, return_dtype=pl.String),
        mark=pl.col("q") < SIGNIFICANT,
        said=pl.Series(said, dtype=pl.String),
    )
    panels = []
    for place, scale in enumerate(frame["scale"].unique().sort()):
        panels.append(_panel(frame.filter(pl.col("scale") == scale), scale, list(names.values()), first=place == 0))
    chart = alt.hconcat(*panels, spacing=14)
    name = f"ratings-{model}"
    rated = results.lazy("ratings").select("video_id").unique()
    n = (
        results.lazy("embeddings")
        .filter(pl.col("model") == model)
        .join(rated, on="video_id", how="semi")
        .collect()
        .height
    )
    return Figure(
        name,
        f"Correlation of each dimension of {model} with each rating",
        svg(chart, name),
        f"Pearson r of each dimension with each of the ratings, over n = {n:,} rated clips; a dot marks q < "
        ".05 (BH-FDR over "
        "all of the space's pairs).",
    )


def _panel(frame: pl.DataFrame, scale: str, order: list[str], *, first: bool) -> Any:
    import altair as alt

    plain: dict[str, Any] = {"domain": False, "ticks": False}
    y = alt.Y("dim:N", sort=order, title=None, axis=alt.Axis(**plain, labelLimit=240) if first else None)
    columns = sorted(frame["name"].unique())
    base = alt.Chart(frame).encode(
        x=alt.X("name:N", sort=columns, title=None, axis=alt.Axis(**plain, labelAngle=-90, labelFontSize=11)), y=y
    )
    legend = (
        alt.Legend(orient="bottom", gradientLength=200, title="r", titleOrient="left", format=".1f") if first else None
    )
    colour = alt.Color("r:Q", scale=diverging(1.0), legend=legend)
    rects = base.mark_rect(stroke="white", strokeWidth=0.6).encode(color=colour, description="said:N")
    dots = base.transform_filter("datum.mark").mark_circle(size=7, color=INK, aria=False, opacity=1)
    return (rects + dots).properties(
        width=alt.Step(16),
        height=alt.Step(18),
        title=alt.Title({"category": "categories", "dimension": "dimensions"}.get(scale, scale), fontSize=12),
    )


def _names(rows: pl.DataFrame) -> dict[int, str]:
    """Each dimension's number and label, which together are unique."""
    return {r["dimension"]: f"{r['dimension'] + 1} {r['label']}" for r in rows.iter_rows(named=True)}


def index(results: Results) -> Section:
    """Every dimension of every model."""
    links = _matched(results)
    rows = results.table("dimensions")
    body = []
    for model in results.with_pages:
        for r in rows.filter(pl.col("model") == model).iter_rows(named=True):
            match = links.get((model, r["dimension"]))
            body.append(
                [
                    cell(r["label"], r["label"], page_of(model, r["dimension"])),
                    cell(model),
                    cell(r["dimension"] + 1, r["dimension"]),
                    cell(r["kind"]),
                    cell(coefficient(r["share"], 3), r["share"]),
                    cell(
                        interval(r["reproducibility"], r["reproducibility_low"], r["reproducibility_high"]),
                        r["reproducibility"],
                    ),
                    cell(match[0] if match else ABSENT),
                    cell(coefficient(match[1]) if match else ABSENT, match[1] if match else None),
                ]
            )
    heads = ("dimension", "model", "#number", "kind", "#share", "#reproducibility [95 % CI]", "closest elsewhere", "#r")
    table = Table(
        "Every dimension of every model. Kind: whether the ratings that name it are categories, dimensions or both. "
        "Closest elsewhere: its one-to-one match in another model with the highest r over clips.",
        heads,
        body,
    )
    return Section("index", "All dimensions", [table])


def _matched(results: Results) -> dict[tuple[str, int], tuple[str, float]]:
    """Of each dimension the best of its one-to-one matches in other models."""
    labels = {(r["model"], r["dimension"]): r["label"] for r in results.table("dimensions").iter_rows(named=True)}
    links = results.table("dimension_links").filter(pl.col("matched") & (pl.col("model_a") != pl.col("model_b")))
    found: dict[tuple[str, int], tuple[str, float]] = {}
    for r in links.sort("r").iter_rows(named=True):
        a, b = (r["model_a"], r["dimension_a"]), (r["model_b"], r["dimension_b"])
        for here, there in ((a, b), (b, a)):
            found[here] = (f"{there[0]} {there[1] + 1}: {labels.get(there, '')}", r["r"])
    return found


def graph(results: Results) -> Section | None:
    """Which dimensions of all models belong together."""
    nodes = results.table("dimension_graph").join(
        results.table("dimensions").select("model", "dimension", "label"), on=["model", "dimension"], how="left"
    )
    joined = nodes.drop_nulls("community")
    if joined.is_empty():
        return None
    edges = results.table("dimension_links").filter("edge")
    figure = _drawn(joined, edges)
    alone = nodes.height - joined.height
    note = f" {plural(alone, 'dimension')} joined to none {'is' if alone == 1 else 'are'} not drawn." if alone else ""
    return Section("graph", "Which dimensions belong together?", [figure, _communities(joined, note)])


def _placed(nodes: pl.DataFrame, edges: pl.DataFrame) -> dict[tuple[str, int], tuple[float, float]]:
    import networkx as nx

    net = nx.Graph()
    net.add_nodes_from(nodes.select("model", "dimension").iter_rows())
    for r in edges.iter_rows(named=True):
        net.add_edge((r["model_a"], r["dimension_a"]), (r["model_b"], r["dimension_b"]), weight=r["r"])
    place = nx.spring_layout(net, seed=0, k=2.2 / max(len(net), 1) ** 0.5, iterations=200)
    return {node: (float(x), float(y)) for node, (x, y) in place.items()}


def _drawn(nodes: pl.DataFrame, edges: pl.DataFrame) -> Figure:
    import altair as alt

    place = _placed(nodes, edges)
    lines = pl.DataFrame(
        [
            (*place[r["model_a"], r["dimension_a"]], *place[r["model_b"], r["dimension_b"]], r["r"])
            for r in edges.iter_rows(named=True)
        ],
        schema=dict.fromkeys(("x", "y", "x2", "y2", "r"), pl.Float64),
        orient="row",
    )
    frame = _nodes(nodes, place)
    models = sorted(set(frame["model"]))
    hidden: dict[str, Any] = {"axis": None, "scale": alt.Scale(zero=False, padding=18)}
    x, y = alt.X("x:Q", **hidden), alt.Y("y:Q", **hidden)
    rules = (
        alt.Chart(lines)
        .mark_rule(color="#8c959f", aria=False)
        .encode(
            x=x,
            y=y,
            x2="x2:Q",
            y2="y2:Q",
            opacity=alt.Opacity("r:Q", scale=alt.Scale(domain=[0.2, 1], range=[0.15, 0.8]), legend=None),
        )
    )
    communities = sorted(set(frame["group"]), key=lambda g: (g == "smaller", g))
    colours = [("#6e7781" if g == "smaller" else COLOURS[i]) for i, g in enumerate(communities)]
    bottom = alt.Legend(orient="bottom", columns=4, symbolOpacity=1)
    dots = (
        alt.Chart(frame)
        .mark_point(filled=True, opacity=0.95, stroke="white", strokeWidth=0.8)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "group:N", title="community", scale=alt.Scale(domain=communities, range=colours), legend=bottom
            ),
            shape=alt.Shape(
                "model:N",
                title="model",
                scale=alt.Scale(domain=models, range=[SHAPES[i % len(SHAPES)] for i in range(len(models))]),
                legend=bottom,
            ),
            size=alt.Size("pagerank:Q", scale=alt.Scale(zero=True, range=[30, 320]), legend=None),
            description="said:N",
        )
    )
    words = alt.Chart(_spread(frame)).mark_text(
        fontSize=11, dy=-13, color=INK, aria=False, stroke="white", strokeWidth=3, strokeJoin="round"
    )
    halo = words.encode(x=x, y=y, text="short:N")
    text = (
        alt.Chart(_spread(frame)).mark_text(fontSize=11, dy=-13, color=INK, aria=False).encode(x=x, y=y, text="short:N")
    )
    chart = (rules + dots + halo + text).properties(width=760, height=520)
    return Figure(
        "component-graph",
        "Graph of all models' dimensions",
        svg(chart, "component-graph"),
        "Every dimension of every model; two are joined where they correlate above 0.2 over clips (darker: stronger). "
        "Size is PageRank, colour the Louvain community, shape the model; the most central ones carry the "
        "first word of "
        "their name. "
        "Places are a spring layout with a fixed seed: nearness says little, lines say it.",
    )


def _nodes(nodes: pl.DataFrame, place: dict[tuple[str, int], tuple[float, float]]) -> pl.DataFrame:
    rows = []
    for r in nodes.iter_rows(named=True):
        x, y = place[r["model"], r["dimension"]]
        group = str(r["community"] + 1) if r["community"] < len(COLOURS) - 1 else "smaller"
        said = (
            f"{r['model']} {r['dimension'] + 1}, {r['label']}: community {r['community'] + 1}, "
            f"PageRank {coefficient(r['pagerank'], 4)}, joined with {r['degree']}"
        )
        rows.append((x, y, r["model"], group, r["pagerank"], said, (r["label"] or "").partition(" / ")[0]))
    names = ("x", "y", "model", "group", "pagerank", "said", "short")
    return pl.DataFrame(rows, schema=list(names), orient="row")


def _spread(frame: pl.DataFrame) -> pl.DataFrame:
    """The most central nodes whose names do not stand on each other."""
    wide, high = (float(frame[c].max() - frame[c].min()) or 1.0 for c in ("x", "y"))  # type: ignore[operator, arg-type]
    kept: list[dict[str, Any]] = []
    for r in frame.sort("pagerank", descending=True).iter_rows(named=True):
        apart = all(abs(r["x"] - k["x"]) / wide > 0.16 or abs(r["y"] - k["y"]) / high > 0.07 for k in kept)
        if apart and r["short"] not in {k["short"] for k in kept}:
            kept.append(r)
        if len(kept) == _NAMED:
            break
    return pl.DataFrame(kept, schema=frame.schema)


def _communities(nodes: pl.DataFrame, note: str) -> Table:
    found = (
        nodes.sort("pagerank", descending=True)
        .group_by("community", maintain_order=True)
        .agg(
            pl.len().alias("n"),
            pl.col("model").n_unique().alias("models"),
            pl.format("{} ({} {})", pl.col("label").fill_null(""), "model", pl.col("dimension") + 1).alias("names"),
            pl.col("pagerank").sum(),
        )
    )
    body = [
        [
            cell(r["community"] + 1, r["community"]),
            cell(r["n"], r["n"]),
            cell(r["models"], r["models"]),
            cell(coefficient(r["pagerank"], 3), r["pagerank"]),
            cell("; ".join(r["names"][:6]) + (" \u2026" if r["n"] > 6 else "")),
        ]
        for r in found.sort("community").iter_rows(named=True)
    ]
    return Table(
        f"Communities of dimensions, the most central members first.{note}",
        ("#community", "#dimensions", "#models", "#PageRank", "members"),
        body,
    )
