"""The page on the tables is the contracts' own words."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "make_tables.py"))["page"]()
    assert (DOCS / "tables.md").read_text() == made, "run `python docs/make_tables.py`"
