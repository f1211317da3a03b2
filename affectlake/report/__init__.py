"""The report: one self-contained site that opens from disk, drawn from a study's tables.

What belongs here: from frames to HTML text. What does not: reading the lake, writing files, or computing a result; a
number on a page stands in a table, or is a mean or a quantile of numbers that do.

Kept libraries draw: Altair and vl-convert the figures (static SVG whose marks say their numbers), nilearn the brains,
networkx and scikit-learn place the dimensions and the clips, Jinja2 fills the pages and escapes every text.
"""

from __future__ import annotations

from affectlake.report.results import Facts, Results
from affectlake.report.site import pages

__all__ = ["Facts", "Results", "pages"]
