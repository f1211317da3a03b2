"""What the methods text of a study says: its settings, what its tables hold, and the versions that computed them."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import polars as pl

from affectlake.methods import Paragraph, paragraphs
from resources.lake import Lake
from resources.study import Study

PACKAGES = ("affectlake", "dagster", "deltalake", "polars", "numpy", "scipy", "torch")
"""Packages whose versions a reader wants to know."""


def methods_text(study: Study, lake: Lake) -> list[Paragraph]:
    """The methods text of a study as (heading, text)."""
    return paragraphs(study.model_dump(mode="json"), counts(study, lake), versions())


def versions() -> dict[str, str]:
    """Python and the packages with their versions."""
    return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def counts(study: Study, lake: Lake) -> dict[str, Any]:
    """What the tables hold of the study's present models and subjects, as the text's sentences need it."""
    clips = lake.scan("videos").filter(pl.col("status") != "left")
    return {
        "clips": _height(clips.filter(pl.col("duplicate_of").is_null())),
        "duplicates": _height(clips.filter(pl.col("duplicate_of").is_not_null())),
        "captions": _height(lake.scan("captions")),
        "rated": _height(lake.scan("ratings").select("video_id").unique()),
        "triplets": dict(lake.scan("triplets").group_by("purpose").len().sort("purpose").collect().iter_rows()),
        "models": _models(study, lake),
        "subjects": _subjects(study, lake),
        "regions": _height(lake.scan("encoding_scores").select("roi").unique()),
    }


def _models(study: Study, lake: Lake) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {name: {} for name in study.model_names}
    columns = {"n_refused": "given_up", "n_train": "n_train", "n_dimensions": "n_dimensions"}
    quality = lake.scan("embedding_quality").select("model", *columns).collect()
    for row in quality.filter(pl.col("model").is_in(study.model_names)).iter_rows(named=True):
        found[row["model"]] = {name: row[column] or 0 for column, name in columns.items()}
    for model, n in lake.scan("judgments").group_by("model").len().collect().iter_rows():
        if model in found:
            found[model]["judgments"] = n
    return found


def _subjects(study: Study, lake: Lake) -> dict[str, dict[str, int]]:
    shown = (
        lake.scan("responses")
        .group_by("subject")
        .agg(presentations=pl.col("trial").n_unique(), runs=pl.col("run").n_unique())
    )
    voxels = lake.scan("voxels").group_by("subject").agg(voxels=pl.len(), dropped=(pl.col("status") != "used").sum())
    rows = shown.join(voxels, on="subject").collect().rows_by_key("subject", named=True, unique=True)
    return {name: rows[name] for name in study.subjects if name in rows}


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())
