from __future__ import annotations

import polars as pl
import pytest

from affectlake.errors import InputError
from affectlake.passages import cut_passages


def words(*onsets: float) -> pl.DataFrame:
    rows = [(onset, onset + 0.5, f"w{onset:g}") for onset in onsets]
    return pl.DataFrame(rows, schema=["onset_s", "end_s", "word"], orient="row")


def test_a_word_belongs_to_the_passage_in_which_it_begins():
    found = cut_passages(words(3, 10, 13.9, 14, 21.9, 22), length_s=4, start_s=10)
    assert found.rows() == [
        ("passage001", 0.0, 4.0, "w10 w13.9", 2),
        ("passage002", 4.0, 4.0, "w14", 1),
        ("passage003", 8.0, 4.0, "w21.9", 1),
    ]


def test_a_passage_that_the_words_do_not_cover_is_left_out():
    assert cut_passages(words(0, 5, 8.2), length_s=4)["video_id"].to_list() == ["passage001", "passage002"]
    with pytest.raises(InputError, match="no word stands in a whole passage"):
        cut_passages(words(0, 1), length_s=4)


def test_the_order_of_the_words_has_no_meaning():
    some = words(0, 1, 5, 6, 9)
    assert cut_passages(some.reverse(), length_s=4).equals(cut_passages(some, length_s=4))
