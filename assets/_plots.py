"""Curves of a space and maps of a brain as pictures in an asset's metadata."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import dagster as dg
import polars as pl

from assets._work import Metadata

PANELS = (
    ("l1_cross_entropy", "l1", "held-out cross-entropy (nats)"),
    ("l1_dimensions", "l1", "dimensions"),
    ("loss", "share of the fit", "training cross-entropy (nats)"),
    ("accuracy_by_judgments", "training judgments", "test accuracy"),
    ("rsm_r_by_dimensions", "dimensions kept", "r of similarities"),
)
"""Curve, axis and what is drawn, from left to right; a curve without points is left out."""


def drawn(curves: pl.DataFrame) -> Metadata:
    """Draw the rows of ``embedding_curves``; nothing where there are none."""
    panels = [panel for panel in PANELS if panel[0] in curves["curve"]]
    if not panels:
        return {}
    from matplotlib.figure import Figure  # its own canvas: no display, no global state

    figure = Figure(figsize=(3.2 * len(panels), 2.6), layout="constrained")
    for (name, along, label), axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        _draw(axes, curves.filter(pl.col("curve") == name).sort("x"))
        axes.set(xlabel=along, ylabel=label)
    return {"curves": _shown(figure, "curves of the fit")}


def _shown(figure: Any, what: str) -> dg.MetadataValue:
    """The figure as Markdown, which the user interface renders."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    image = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![{what}](data:image/png;base64,{image})")


VIEWS = (("from the right", 0, "y", "z"), ("from behind", 1, "x", "z"), ("from above", 2, "x", "y"))
"""View, axis that is looked along, and the axes of the picture, which run to the front, the right and up."""


def glass_brain(voxels: pl.DataFrame, scores: pl.DataFrame, column: str, title: str) -> Metadata:
    """Draw one score as a glass brain: at each point the value farthest from 0 along the line of sight.

    In the subject's own space, with the outline of the subject's own voxels, whatever space that is. Nothing is drawn
    where the voxels have no places or none has a score.
    """
    from affectlake.maps import placed, subject_volume, upright

    if not placed(voxels) or scores.is_empty():
        return {}
    import numpy as np
    from matplotlib.figure import Figure

    data, ends = upright(subject_volume(voxels, scores, column))
    inside, _ = upright(subject_volume(voxels, voxels.select("voxel", there=pl.lit(1.0)), "there"))
    limit = max(float(np.abs(data).max()), 1e-6)
    figure = Figure(figsize=(8.4, 2.8), layout="constrained")
    panels = figure.subplots(1, 3)
    for (view, along, across, up), axes in zip(VIEWS, panels, strict=True):
        box = {"extent": (*ends["xyz".index(across)], *ends["xyz".index(up)]), "origin": "lower"}
        farthest = np.take_along_axis(data, np.abs(data).argmax(axis=along, keepdims=True), along).squeeze(along)
        colours = axes.imshow(farthest.T, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", **box)
        axes.contour(inside.max(axis=along).T, levels=[0.5], colors="0.4", linewidths=0.8, **box)
        axes.set(title=view, xlabel=f"{across} (mm)", ylabel=f"{up} (mm)")
    figure.colorbar(colours, ax=list(panels), label=column)
    figure.suptitle(title, fontsize=10)
    return {"glass_brain": _shown(figure, title)}


def _draw(axes: Any, curve: pl.DataFrame) -> None:
    axes.plot(curve["x"], curve["y"], marker="." if curve.height < 40 else "")
    if curve["y_low"].null_count() == 0:
        axes.fill_between(curve["x"], curve["y_low"], curve["y_high"], alpha=0.25, linewidth=0)
