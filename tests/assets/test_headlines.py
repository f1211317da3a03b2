"""What the user interface shows of tables: true numbers, and texts of a study that stay texts."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import polars as pl
import pytest
from PIL import Image

from assets._headlines import headline

HOSTILE = r"$\frac{ <script>alert(1)</script> ](javascript:alert(2)) `x` $y$"


def scores(rois: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"roi": rois, "mean_r": [0.1 * i for i in range(len(rois))], "q": [0.01] * len(rois)})


def test_the_place_of_the_odd_one_is_where_it_was_shown() -> None:
    rows = pl.DataFrame(
        {
            "presented": ["abc", "bca", "cab", "cba", "unknown"],
            "a": [0, 0, 0, 0, 0],
            "b": [1, 1, 1, 1, 1],
            "c": [2, 2, 2, 2, 2],
            "odd": [0, 0, 0, 2, 1],  # first, third, second, first; the last was never shown by us
        }
    )
    shown = headline("judgments", rows)
    assert shown["share_shown_first"] == pytest.approx(0.5)
    assert shown["share_shown_second"] == pytest.approx(0.25)
    assert shown["share_shown_third"] == pytest.approx(0.25)


def test_a_region_with_any_name_is_drawn_and_no_text_of_the_study_becomes_markup() -> None:
    shown = headline("encoding_scores", scores([HOSTILE, "insula"]))
    markdown = shown["by_region"].md_str
    assert re.fullmatch(r"!\[[a-z -]+\]\(data:image/png;base64,[\w+/=]+\)", markdown)
    picture = Image.open(BytesIO(base64.b64decode(markdown.partition("base64,")[2][:-1])))
    assert picture.width > 200


def test_a_picture_of_many_regions_stays_small_and_readable() -> None:
    shown = headline("encoding_scores", scores([f"region {i}" for i in range(360)]))
    assert shown["regions_scored"] == 360
    assert len(shown["by_region"].md_str) < 50_000


def test_a_table_without_rows_shows_nothing() -> None:
    assert headline("encoding_scores", scores([]).clear()) == {}
    assert headline("exclusions", pl.DataFrame({"n": [1]})) == {}
