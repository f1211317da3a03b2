"""The kinds of pictures that stand in an asset's metadata: bars, histograms, lines and heat maps, as small PNGs.

Texts of a study (regions, models, labels) are drawn as they are written: a ``$`` begins no formula.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

DARK, LIGHT = "#0b5cad", "#c3c9d0"
MOST_ROWS = 40
"""Rows that a picture has at most: it lives in the event log."""
COLOURS = 64
"""Colours of a picture, for the same reason."""
_LABEL = 34


def shown(figure: Any, what: str, dpi: int = 80) -> dg.MetadataValue:
    """A figure as Markdown, which the user interface renders; ``what`` is ours and no text of a study."""
    from PIL import Image

    drawn, small = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    image = base64.b64encode(small.getvalue()).decode()
    return dg.MetadataValue.md(f"![{what}](data:image/png;base64,{image})")


def bars(
    names: Sequence[str], values: Sequence[float], label: str, what: str, *, dark: Sequence[bool] | None = None
) -> dg.MetadataValue:
    """Names down, the last one on top; of more than can be shown the last ones."""
    figure, axes = _figure(4.6, 0.8 + 0.2 * min(len(names), MOST_ROWS))
    colours = [DARK if d else LIGHT for d in dark[-MOST_ROWS:]] if dark is not None else DARK
    places = range(len(names[-MOST_ROWS:]))
    axes.barh(places, values[-MOST_ROWS:], color=colours)
    axes.set_yticks(places, [plain(n) for n in names[-MOST_ROWS:]])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(label)
    axes.locator_params(axis="x", nbins=6)
    return shown(figure, what)


def histogram(values: Sequence[float], label: str, counted: str, what: str) -> dg.MetadataValue:
    """How often which values occur."""
    figure, axes = _figure(4.6, 2.4)
    axes.hist(values, bins=30, color=DARK)
    axes.set(xlabel=label, ylabel=counted)
    return shown(figure, what)


def lines(along: str, label: str, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], what: str) -> Any:
    """Curves by name, each as its x and its y."""
    figure, axes = _figure(5.6, 2.6)
    for name, (x, y) in curves.items():
        axes.plot(x, y, label=plain(name), marker="." if len(x) < MOST_ROWS else "", linewidth=1)
    axes.set(xlabel=along, ylabel=label)
    if len(curves) > 1:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return shown(figure, what)


def heat(
    matrix: npt.NDArray[np.floating[Any]], label: str, what: str, names: tuple[Sequence[str], Sequence[str]] = ((), ())
) -> dg.MetadataValue:
    """A matrix in colours that are white at 0, with names of its rows and columns where there are few."""
    import numpy as np

    rows, columns = names
    height = 0.2 * len(rows) + 1.2 + (1.6 if columns else 0) if rows else 3.6
    figure, axes = _figure(max(4.2, 0.32 * len(columns) + 2.2), height)
    limit = max(float(np.nanmax(np.abs(matrix), initial=0.0)), 1e-6)
    low = -limit if np.nanmin(matrix, initial=0.0) < 0 else 0.0
    image = axes.imshow(matrix, cmap="RdBu_r" if low else "Blues", vmin=low, vmax=limit, aspect="auto")
    axes.set_xticks(range(len(columns)), [plain(c) for c in columns], rotation=60, ha="right")
    axes.set_yticks(range(len(rows)), [plain(r) for r in rows])
    figure.colorbar(image, ax=axes, label=label)
    return shown(figure, what)


def plain(text: str) -> str:
    """A text that is drawn as it is, cut where it is long."""
    short = text if len(text) <= _LABEL else text[: _LABEL - 1] + "\u2026"
    return short.replace("$", r"\$")


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure with its own canvas: no display, no global state; inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.tick_params(labelsize=8)
    return figure, axes
