"""One subject's page: its scores, its runs, its voxels, and what was dropped of them."""

from __future__ import annotations

from typing import Any

import polars as pl

from affectlake.report import glass
from affectlake.report.blocks import Figure, Section, Table, Text, cell, sections
from affectlake.report.brains import matrix
from affectlake.report.charts import BLUE, INK, svg
from affectlake.report.numbers import coefficient, count, plural, probability
from affectlake.report.regional import diverging
from affectlake.report.results import SIGNIFICANT, Results


def of(results: Results, subject: str) -> list[Section]:
    """Everything that is known of one subject."""
    mine = pl.col("subject") == subject
    scores = results.table("encoding_scores").filter(mine)
    voxel_scores = results.lazy("voxel_scores").filter(mine).collect()
    return sections(
        (
            _scores(results, subject, scores),
            _distributions(results, subject, voxel_scores),
            _runs(results, subject),
            glass.voxels_of(results, subject, voxel_scores),
            glass.searchlight_of(results, subject),
            _counts(results, subject, scores),
        )
    )


def facts(results: Results, subject: str) -> list[tuple[str, str]]:
    """What stands at the head of the page."""
    found = (
        results.lazy("responses")
        .filter((pl.col("subject") == subject) & (pl.col("voxel_block") == 0))
        .select(pl.len().alias("presentations"), pl.col("run").n_unique(), pl.col("video_id").n_unique())
        .collect()
        .row(0, named=True)
    )
    voxels = results.lazy("voxels").filter(pl.col("subject") == subject).select("status").collect()["status"]
    return [
        ("presentations", count(found["presentations"])),
        ("clips", count(found["video_id"])),
        ("runs", count(found["run"])),
        ("voxels used", count(int((voxels == "used").sum()))),
        ("voxels dropped", count(int((voxels != "used").sum()))),
    ]


def _scores(results: Results, subject: str, scores: pl.DataFrame) -> Section | None:
    if scores.drop_nulls("mean_r").is_empty():
        return None
    models = [m for m in results.ranked if m in set(scores["model"])]
    by = {(r["roi"], r["model"]): r for r in scores.iter_rows(named=True)}
    body = [[cell(roi), *(_score(by.get((roi, m))) for m in models)] for roi in results.regions]
    n = int(scores["n_stimuli"].max())  # type: ignore[arg-type]
    table = Table(
        f"Mean r of every region and model for {subject}, with q in brackets and * for q < .05; n = "
        f"{count(n)} presentations."
        " Permutation, one-sided, BH-FDR over regions.",
        ["region", *(f"#{m}" for m in models)],
        body,
    )
    return Section("scores", "Scores by region", [matrix(results, scores, "scores-by-region"), table])


def _score(row: dict[str, Any] | None) -> Any:
    if row is None or row["mean_r"] is None:
        return cell("not scored")
    star = "*" if row["q"] is not None and row["q"] < SIGNIFICANT else ""
    return cell(f"{coefficient(row['mean_r'])}{star} ({probability(row['q'])})", row["mean_r"])


def _distributions(results: Results, subject: str, scores: pl.DataFrame) -> Section | None:
    voxels = results.lazy("voxels").filter(pl.col("subject") == subject).select("voxel", "rois").collect()
    placed = scores.join(voxels.explode("rois").drop_nulls("rois"), on="voxel", maintain_order="left")
    spread = placed.group_by("model", roi="rois").agg(
        *(
            pl.col("r").quantile(q, "linear").cast(pl.Float64).alias(f"q{round(100 * q)}")
            for q in (0.05, 0.25, 0.5, 0.75, 0.95)
        ),
        pl.len().alias("n"),
    )
    spread = results.drawn(spread.sort("model", "roi"))
    if spread.is_empty() or int(spread["n"].max()) < 2:  # type: ignore[arg-type]
        return None
    import altair as alt

    said = [
        f"{r['model']}, {r['roi']}: median {coefficient(r['q50'], 3)}, half of {plural(r['n'], 'voxel')} between "
        f"{coefficient(r['q25'], 3)} and {coefficient(r['q75'], 3)}"
        for r in spread.iter_rows(named=True)
    ]
    frame = spread.with_columns(said=pl.Series(said, dtype=pl.String))
    models = [m for m in results.ranked if m in set(frame["model"])]
    y = alt.Y("roi:N", sort=results.regions, title=None, axis=alt.Axis(grid=True, gridDash=[1, 3]))
    base = alt.Chart(frame).encode(y=y)
    title = "cross-validated r of a voxel"
    whisker = base.mark_rule(color="#57606a", aria=False).encode(
        x=alt.X("q5:Q", title=title, axis=alt.Axis(tickCount=5, format=".1f")), x2="q95:Q"
    )
    box = base.mark_bar(color=BLUE, height=9, opacity=0.75).encode(x="q25:Q", x2="q75:Q", description="said:N")
    middle = base.mark_tick(color=INK, thickness=2, size=13, aria=False).encode(x="q50:Q")
    once = alt.Chart(frame).transform_aggregate(n="count()", groupby=["model"])
    zero = once.mark_rule(color="#57606a", aria=False).encode(x=alt.datum(0))
    chart = alt.layer(zero, whisker, box, middle).properties(width=205, height=alt.Step(20))
    chart = chart.facet(facet=alt.Facet("model:N", sort=models, title=None), columns=3, spacing=20)
    figure = Figure(
        "distributions",
        "Distribution of scores over the voxels of each region",
        svg(chart, "distributions"),
        "The middle half of a region's voxels, their median, and thin lines from the 5th to the 95th percentile.",
    )
    return Section("voxels", "Scores over voxels", [figure])


def _runs(results: Results, subject: str) -> Section | None:
    rows = results.lazy("run_scores").filter(pl.col("subject") == subject).collect().sort("model", "roi", "run")
    rows = results.drawn(rows)
    if rows.is_empty():
        return None
    import altair as alt

    said = [
        f"{r['model']}, {r['roi']}, run {r['run']}: r {coefficient(r['mean_r'], 3)}, n {r['n']} presentations"
        for r in rows.iter_rows(named=True)
    ]
    frame = rows.select("model", "roi", "run", "mean_r", said=pl.Series(said, dtype=pl.String))
    bound = max(float(frame["mean_r"].abs().max()), 0.01)  # type: ignore[arg-type]
    models = [m for m in results.ranked if m in set(frame["model"])]
    n_runs = frame["run"].n_unique()
    labels = alt.Axis(labelAngle=0, labelOverlap=True, domain=False, ticks=False)
    chart = (
        alt.Chart(frame)
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("run:O", title="held-out run", axis=labels),
            y=alt.Y("roi:N", sort=results.regions, title=None, axis=alt.Axis(domain=False, ticks=False)),
            color=alt.Color(
                "mean_r:Q",
                title="mean r",
                scale=diverging(bound),
                legend=alt.Legend(orient="bottom", gradientLength=220, format=".2f", titleOrient="left"),
            ),
            description="said:N",
        )
        .properties(width=max(205, 6 * n_runs), height=alt.Step(18))
        .facet(facet=alt.Facet("model:N", sort=models, title=None), columns=3 if n_runs <= 30 else 1, spacing=20)
    )
    figure = Figure(
        "runs",
        "Scores of every region in every run",
        svg(chart, "runs"),
        "Mean over voxels of the r within each held-out run: a score that rests on a few runs shows here.",
    )
    return Section("by-run", "Scores by run", [figure])


def _counts(results: Results, subject: str, scores: pl.DataFrame) -> Section | None:
    blocks: list[Any] = []
    if scores.height:
        kept = scores.group_by("roi").agg(
            pl.col("n_voxels").max(),
            pl.col("n_scored").max(),
            pl.col("n_dropped").max(),
            pl.col("n_constant_prediction").max(),
        )
        by = {r["roi"]: r for r in kept.iter_rows(named=True)}
        names = ("n_voxels", "n_scored", "n_dropped", "n_constant_prediction")
        rows = [
            [cell(roi), *(cell(count(by[roi][n]), by[roi][n]) for n in names)] for roi in results.regions if roi in by
        ]
        blocks.append(
            Table(
                "Voxels of each region. Dropped: constant or not a number in at least one run. Constant "
                "prediction: the "
                "most voxels, over models, that were predicted by a constant in a fold and count as r = 0.",
                ("region", "#voxels", "#scored", "#dropped", "#constant prediction"),
                rows,
            )
        )
    rows_out = results.table("exclusions").filter(pl.col("partition").str.split("|").list.contains(subject))
    if rows_out.height:
        found = rows_out.group_by("stage", "reason", maintain_order=True).agg(pl.col("n").sum(), pl.col("what"))
        body = [
            [
                cell(r["stage"]),
                cell(r["reason"].replace("_", " ")),
                cell(count(r["n"]), r["n"]),
                cell(", ".join(r["what"][:8]) + (" \u2026" if len(r["what"]) > 8 else "")),
            ]
            for r in found.iter_rows(named=True)
        ]
        blocks.append(Table("Inputs that were not used.", ("table", "reason", "#rows", "what"), body))
    else:
        blocks.append(Text("All inputs of this subject were used."))
    return Section("dropped", "What was dropped", blocks)
