"""A study's results in a notebook: ``marimo edit docs/notebook.py``, with AFFECTLAKE_STUDY naming the study."""

import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="A study's results")


@app.cell
def _():
    import marimo as mo
    import polars as pl

    import affectlake

    lake = affectlake.open_lake()  # the study that AFFECTLAKE_STUDY names, or a path: open_lake("mine/study.yaml")
    return lake, mo, pl


@app.cell
def _(lake, mo):
    synthetic = " **The data are SYNTHETIC.**" if lake.study.synthetic else ""
    mo.md(f"# {lake.study.name}\n\nTables: {', '.join(f'`{t}`' for t in lake.tables)}.{synthetic}")
    return


@app.cell
def _(lake, mo):
    mo.vstack([mo.md("## A named query, as rows"), lake.query("leaderboard")])
    return


@app.cell
def _(lake, mo, pl):
    # A table is a polars LazyFrame: only what the question needs is read.
    by_region = (
        lake.encoding_scores.group_by("roi", "model")
        .agg(pl.col("mean_r").mean())
        .collect()
        .pivot("model", index="roi", values="mean_r")
        .sort("roi")
    )
    mo.vstack([mo.md("## Mean r by region, with polars"), by_region])
    return (by_region,)


@app.cell
def _(lake, mo):
    # SQL is a DuckDB relation, which goes on until its rows are asked for.
    significant = lake.sql(
        "SELECT model, subject, count(*) AS n FROM encoding_scores WHERE q < $q GROUP BY ALL", q=0.05
    )
    regions = significant.order("n DESC, model, subject").pl()
    mo.vstack([mo.md("## Regions with q < .05, with SQL"), regions])
    return (regions,)


@app.cell
def _(lake, mo, pl):
    # The past: the versions that a number was computed from stand beside it.
    import json

    row = lake.encoding_scores.filter(pl.col("mean_r").is_not_null()).sort("mean_r", descending=True).head(1).collect()
    versions = json.loads(row["source_versions"].item())
    then = lake.as_of(embeddings=versions["embeddings"])
    vectors = then.embeddings.filter(pl.col("model") == row["model"].item()).collect()
    mo.md(
        f"## Back to the sources\n\nThe highest r, {row['mean_r'].item():.3f} in {row['roi'].item()}, was computed "
        f"from version {versions['embeddings']} of `embeddings`: {vectors.height} vectors."
    )
    return (vectors,)


if __name__ == "__main__":
    app.run()
