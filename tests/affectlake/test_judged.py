"""Judgments as arrays: what stands where."""

from __future__ import annotations

import numpy as np
import polars as pl

from affectlake import judged


def judgments(rows: list[tuple[int, str]]) -> pl.DataFrame:
    odd, presented = zip(*rows, strict=True)
    return pl.DataFrame(
        {"a": [3] * len(rows), "b": [5] * len(rows), "c": [9] * len(rows), "odd": odd, "presented": presented}
    )


def test_places_follow_the_columns_with_the_odd_one_last():
    frame = judgments([(9, "abc"), (3, "abc"), (3, "bca"), (5, "cab")])
    assert judged.odd_last(frame).tolist() == [[3, 5, 9], [5, 9, 3], [5, 9, 3], [3, 9, 5]]
    places = judged.positions(frame)
    assert places is not None
    assert places.tolist() == [[0, 1, 2], [1, 2, 0], [0, 1, 2], [1, 0, 2]]
    assert places.dtype == np.int8


def test_where_one_order_is_not_known_there_are_no_places():
    assert judged.positions(judgments([(9, "abc"), (3, "unknown")])) is None
