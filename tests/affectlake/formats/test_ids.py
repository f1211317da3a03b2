"""Ids as text: spelling, validity, matching."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats.ids import IdRule, check_ids, match, respell, valid


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (IdRule(), "0017", "0017"),
        (IdRule(pad=4), "17", "0017"),
        (IdRule(pad=4), "12345", "12345"),
        (IdRule(strip_suffix=".mp4", pad=4), "17.mp4", "0017"),
        (IdRule(strip_prefix="clip_", strip_suffix=".mp4"), " clip_7.mp4 ", "7"),
        (IdRule(strip_suffix=".mp4"), "mp4", "mp4"),
        (IdRule(strip_prefix="a.c"), "abc", "abc"),
    ],
)
def test_a_source_is_respelt(rule: IdRule, before: str, after: str) -> None:
    assert respell(pl.Series([before, None]), rule).to_list() == [after, None]


@given(st.integers(0, 10**6), st.integers(0, 8))
def test_padding_never_loses_a_digit(number: int, pad: int) -> None:
    spelt = respell(pl.Series([f"v{number}.mp4"]), IdRule("v", ".mp4", pad))[0]
    assert spelt == str(number).rjust(pad, "0")


@pytest.mark.parametrize(
    "hostile", ["", "..", "a/b", "a b", "x" * 65, "é", "a\n", "a'--", "a\0", "../../etc/passwd", "a.mp4", None]
)
def test_hostile_ids_are_not_valid(hostile: str | None) -> None:
    assert valid(pl.Series([hostile], dtype=pl.String)).to_list() == [False]


def test_valid_ids_are() -> None:
    assert valid(pl.Series(["0017", "a-b_C", "x" * 64])).all()


def test_invalid_and_double_ids_name_their_rows() -> None:
    with pytest.raises(InputError, match=r"row 3: b/c"):
        check_ids(pl.Series(["a", "b/c"]), where="f.csv")
    with pytest.raises(InputError, match=r"'b' in rows 3, 5"):
        check_ids(pl.Series(["a", "b", "c", "b"]), where="f.csv")


def test_unmatched_ids_are_counted_one_by_one() -> None:
    exclusions = Exclusions()
    frame = pl.DataFrame({"video_id": ["a", "x", "b", "x", None], "n": range(5)})
    matched = match(frame, pl.Series(["a", "b", "c"]), source="f.csv", exclusions=exclusions)
    assert matched["n"].to_list() == [0, 2]
    assert exclusions.frame("captions").select("reason", "what", "n").rows() == [
        ("unknown_id", "(empty)", 1),
        ("unknown_id", "x", 2),
    ]


@pytest.mark.parametrize(
    ("theirs", "ours", "advice"),
    [
        (["1.mp4", "2.mp4"], ["0001", "0002"], "`ratings.id: {strip_suffix: .mp4, pad: 4}`"),
        (["clip_1"], ["1"], "`ratings.id: {strip_prefix: clip_}`"),
        (["0001", "0002"], ["1", "2"], "`stimuli.id: {pad: 4}`"),
        (["x"], ["1"], "Say how it spells ids"),
    ],
)
def test_no_match_at_all_shows_both_sides_and_what_to_try(theirs: list[str], ours: list[str], advice: str) -> None:
    with pytest.raises(InputError) as caught:
        match(
            pl.DataFrame({"video_id": theirs}),
            pl.Series(ours),
            source="f.csv",
            exclusions=Exclusions(),
            setting="ratings.id",
        )
    assert advice in str(caught.value)
    assert theirs[0] in str(caught.value)
    assert ours[0] in str(caught.value)
