"""Judgments made elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.tables import JUDGMENTS
from resources.agents.recorded import recorded_judgments


def read(toy: Any, name: str, text: str) -> tuple[pl.DataFrame, Exclusions]:
    (toy.folder / "recorded.txt").write_text(text)
    exclusions = Exclusions()
    frame = recorded_judgments(toy.study.model(name), toy.stimuli, toy.study, exclusions)
    return JUDGMENTS.validate(frame), exclusions


def test_numbers_stand_for_lines_of_the_ids_file(toy: Any) -> None:
    ids = (toy.folder / "ids.txt").read_text().split()
    frame, exclusions = read(toy, "last", "0 1 2\n3 4 5\n")
    item = dict(toy.stimuli.videos.select("video_id", "item").iter_rows())
    assert frame["odd"].to_list() == [item[ids[2]], item[ids[5]]]
    assert sorted(frame.select("a", "b", "c").row(0)) == sorted(item[i] for i in ids[:3])
    assert exclusions.total() == 0


def test_without_ids_numbers_are_items_and_the_odd_one_is_where_it_was_said(toy: Any) -> None:
    frame, _ = read(toy, "numbered", "9 1 2\n")
    assert frame.select("a", "b", "c", "odd").row(0) == (1, 2, 9, 9)
    assert frame["presented"].to_list() == ["unknown"]


def test_answers_to_the_same_set_are_repeats(toy: Any) -> None:
    frame, _ = read(toy, "numbered", "1 2 3\n2 1 3\n4 5 6\n3 2 1\n")
    assert frame.select("repeat", "odd").rows() == [(0, 1), (1, 2), (0, 4), (2, 3)]


def test_judgments_about_other_clips_are_counted(toy: Any) -> None:
    # item 7 left the study, 99 never was in it
    frame, exclusions = read(toy, "numbered", "1 2 3\n1 2 7\n7 4 99\n99 5 6\n")
    assert frame.height == 1
    assert exclusions.frame("judgments").select("reason", "what", "n").rows() == [
        ("unknown_id", "number 7", 1),
        ("unknown_id", "number 99", 2),
    ]
    with pytest.raises(InputError, match="none of its 1 judgments"):
        read(toy, "numbered", "97 98 99\n")


def test_a_number_without_an_id_is_an_error(toy: Any) -> None:
    with pytest.raises(InputError, match=r"row 2: 1 rows name a number that ids.txt has no id for \(40 ids\)"):
        read(toy, "last", "0 1 2\n3 4 40\n")


def test_the_version_is_that_of_the_judgments(toy: Any) -> None:
    first, _ = read(toy, "numbered", "1 2 3\n")
    same, _ = read(toy, "numbered", "1\t2\t3\n")
    other, _ = read(toy, "numbered", "2 1 3\n")
    versions = [f["stimulus_version"][0] for f in (first, same, other)]
    assert versions[0] == versions[1] != versions[2]
    assert np.unique([f["prompt_version"][0] for f in (first, same, other)]).size == 1
