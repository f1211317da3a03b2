"""What the user interface shows of a table beside its rows: a few values that it plots over time, and a picture."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import dagster as dg
import polars as pl

SIGNIFICANT = 0.05


def headline(table: str, frame: pl.DataFrame) -> dict[str, Any]:
    """Values and pictures of one partition's rows; nothing for tables whose rows say enough."""
    make = _MAKERS.get(table)
    found = make(frame) if make is not None and frame.height else {}
    return {name: value for name, value in found.items() if value is not None}


def _quality(frame: pl.DataFrame) -> dict[str, Any]:
    row = frame.row(0, named=True)
    return {name: row[name] for name in ("accuracy", "ceiling", "rsm_r", "coverage", "n_dimensions", "n_refused")}


def _dimensions(frame: pl.DataFrame) -> dict[str, Any]:
    kinds = {f"kind_{kind}": n for kind, n in frame["kind"].value_counts().sort("kind").iter_rows()}
    return {"mean_reproducibility": frame["reproducibility"].mean(), **kinds}


def _scores(column: str, label: str) -> Callable[[pl.DataFrame], dict[str, Any]]:
    def make(frame: pl.DataFrame) -> dict[str, Any]:
        scored = frame.drop_nulls(column)
        return {
            f"mean_{column.removeprefix('mean_')}": scored[column].mean(),
            "regions_scored": scored.height,
            "regions_significant": scored.filter(pl.col("q") < SIGNIFICANT).height,
            "by_region": _bars(scored.sort(column), column, label) if scored.height else None,
        }

    return make


def _bars(scored: pl.DataFrame, column: str, label: str) -> dg.MetadataValue:
    """Regions down, the best on top; those with q < .05 are filled."""
    from matplotlib.figure import Figure

    shown = scored.tail(40)
    figure = Figure(figsize=(4.6, 0.8 + 0.2 * shown.height), layout="constrained")
    axes = figure.subplots()
    colours = ["#0b5cad" if q is not None and q < SIGNIFICANT else "#c3c9d0" for q in shown["q"]]
    axes.barh(shown["roi"].to_list(), shown[column].to_list(), color=colours)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(f"{label} (dark: q < .05)")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    image = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{label} by region](data:image/png;base64,{image})")


def _comparisons(frame: pl.DataFrame) -> dict[str, Any]:
    return {
        "pairs_of_models": frame.select("model_a", "model_b").unique().height,
        "significant": frame.filter(pl.col("q") < SIGNIFICANT).height,
        "subjects": frame["n_subjects"].max(),
    }


def _searchlight(frame: pl.DataFrame) -> dict[str, Any]:
    best = frame.group_by("model").agg(pl.col("rho").mean()).sort("model")
    return {f"mean_rho_{model}": rho for model, rho in best.iter_rows()}


def _decoding(frame: pl.DataFrame) -> dict[str, Any]:
    return {
        "mean_identification": frame["identification"].mean(),
        "best_identification": frame["identification"].max(),
        "regions_significant": frame.filter(pl.col("q") < SIGNIFICANT).height,
    }


_MAKERS: dict[str, Callable[[pl.DataFrame], dict[str, Any]]] = {
    "embedding_quality": _quality,
    "dimensions": _dimensions,
    "encoding_scores": _scores("mean_r", "cross-validated r"),
    "rsa_scores": _scores("rho", "correlation of similarities"),
    "searchlight_scores": _searchlight,
    "decoding_scores": _decoding,
    "comparisons": _comparisons,
}
