"""Curves of a space and maps of a brain as pictures in an asset's metadata."""

from __future__ import annotations

from typing import Any

import polars as pl

from assets._drawings import shown
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
    return {"curves": shown(figure, "curves of the fit", dpi=90)}


def glass_brain(voxels: pl.DataFrame, scores: pl.DataFrame, column: str, title: str) -> Metadata:
    """One score as a glass brain; nothing where the voxels have no places or none has a score."""
    from affectlake import pictures

    figure = pictures.glass_brain(voxels, scores, column, title)
    return {} if figure is None else {"glass_brain": shown(figure, title, dpi=90)}


def _draw(axes: Any, curve: pl.DataFrame) -> None:
    axes.plot(curve["x"], curve["y"], marker="." if curve.height < 40 else "")
    if curve["y_low"].null_count() == 0:
        axes.fill_between(curve["x"], curve["y_low"], curve["y_high"], alpha=0.25, linewidth=0)
