"""How a figure is drawn: Altair's chart as static SVG whose marks say their numbers, in the report's own type.

Static, so that pages are read without JavaScript, printed and mailed at their size; the page's script adds a pointer
and the arrow keys to the marks, and reads to the user what stands in them.
"""

from __future__ import annotations

import re
from typing import Any

FONT = "Arial, 'Liberation Sans', sans-serif"
INK, SOFT, LINE = "#1b1f24", "#57606a", "#d8dee4"
BLUE, ORANGE = "#0b5cad", "#b45309"

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#3d8fb8", "#111111")
"""Okabe and Ito's colours, with the yellow and the light blue darkened for lines on white."""
DASHES = ([1, 0], [5, 3], [2, 2], [8, 3, 2, 3])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DIVERGING = ("#762a83", "#af8dc3", "#f7f7f7", "#7fbf7b", "#1b7837")
"""Purple over white to green (ColorBrewer): told apart by the colour-blind, and in print by its ends."""

_ID = re.compile(r'\bid="([^"]+)"|url\((?:&quot;)?#([^)&]+)(?:&quot;)?\)|href="#([^"]+)"')


def svg(chart: Any, name: str) -> str:
    """A chart as SVG, with identifiers that begin with ``name``, since several stand in a page, and that never vary."""
    import altair as alt
    import vl_convert

    with alt.data_transformers.disable_max_rows():
        spec = chart.configure(**_config()).to_dict()
    text: str = vl_convert.vegalite_to_svg(spec)
    numbers: dict[str, int] = {}

    def own(match: re.Match[str]) -> str:
        given = next(group for group in match.groups() if group)
        return match.group(0).replace(given, f"{name}-{numbers.setdefault(given, len(numbers))}")

    return _ID.sub(own, text)


def _config() -> dict[str, Any]:
    text = {"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": INK}
    return {
        "font": FONT,
        "background": "white",
        "view": {"stroke": None},
        "axis": {
            **text,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelLimit": 260,
            "labelFlush": False,
            "labelOverlap": True,
            "gridColor": "#eaeef2",
            "domainColor": "#8c959f",
            "tickColor": "#8c959f",
        },
        "legend": {**text, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 260},
        "header": {**text, "labelFontSize": 13, "labelFontWeight": "bold", "titleFontSize": 12, "labelLimit": 260},
        "title": {"font": FONT, "fontSize": 13, "color": INK, "anchor": "start"},
    }
