"""How sources spell the study's video ids, and which of a source's rows speak of the study's videos.

What belongs here: ids as text. What does not: reading files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Protocol

import polars as pl

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats._tabular import rows, shown

VIDEO_ID = r"^[A-Za-z0-9_-]{1,64}$"
"""What a video id looks like: it is safe as a file name, in a predicate and in a web page."""


class IdSpelling(Protocol):
    """How one source spells ids; the study file's ``id:`` section has these keys."""

    @property
    def strip_prefix(self) -> str:
        """Text removed from the front, where it is there."""
        ...

    @property
    def strip_suffix(self) -> str:
        """Text removed from the end, where it is there."""
        ...

    @property
    def pad(self) -> int:
        """Width to which zeros are put in front."""
        ...


@dataclass(frozen=True)
class IdRule:
    """An :class:`IdSpelling` for those who have no study file."""

    strip_prefix: str = ""
    strip_suffix: str = ""
    pad: int = 0


AS_IS = IdRule()
"""The rule of a source that spells ids as the study does."""


def respell(ids: pl.Series, rule: IdSpelling) -> pl.Series:
    """The study's spelling of a source's ids: spaces around them dropped, prefix and suffix stripped, zeros padded.

    Parameters
    ----------
    ids : polars.Series of String
        Ids as the source has them; null stays null.
    rule : IdSpelling
        Prefix, suffix and width.

    Returns
    -------
    polars.Series of String
        As long as ``ids``. Whether they are valid is not checked here.
    """
    out = ids.str.strip_chars()
    if rule.strip_prefix:
        out = out.str.strip_prefix(rule.strip_prefix)
    if rule.strip_suffix:
        out = out.str.strip_suffix(rule.strip_suffix)
    return out.str.pad_start(rule.pad, "0") if rule.pad else out


def valid(ids: pl.Series) -> pl.Series:
    """Which ids keep the rule of :data:`VIDEO_ID`; null does not."""
    # $ would let a line feed at the end pass
    return ids.str.contains(VIDEO_ID).fill_null(False) & ~ids.str.contains("\n", literal=True).fill_null(True)


def check_ids(ids: pl.Series, *, where: str, remedy: str | None = None) -> None:
    """Refuse ids that are no valid video ids or stand twice.

    Raises
    ------
    InputError
        The message names the rows, counted as a spreadsheet does (the header is row 1).
    """
    bad = ~valid(ids)
    if bad.any():
        raise InputError(
            f"{int(bad.sum())} ids are not valid ({rows(bad)}: {shown(ids.filter(bad).fill_null('(empty)'))})",
            where=where,
            remedy=remedy or "An id has 1 to 64 letters, digits, _ or -; `id: {strip_suffix: .mp4}` removes an ending.",
        )
    doubled = ids.is_duplicated()
    if doubled.any():
        first = ids.filter(doubled)[0]
        raise InputError(
            f"{ids.filter(doubled).n_unique()} ids stand more than once, such as {first!r} in {rows(ids == first)}",
            where=where,
            remedy="Keep one row for each id.",
        )


def match(
    frame: pl.DataFrame, videos: pl.Series, *, source: str | Path, exclusions: Exclusions, setting: str = "id"
) -> pl.DataFrame:
    """Rows of ``frame`` whose ``video_id`` is one of the study's; the others are counted in ``exclusions``.

    Parameters
    ----------
    frame : polars.DataFrame
        Has a column ``video_id`` in the study's spelling (after :func:`respell`).
    videos : polars.Series of String
        The study's ids.
    source : str or Path
        The file that the rows came from.
    exclusions : Exclusions
        Gets one count for each id that is not the study's.
    setting : str
        Key of the study file where the source's spelling is declared, such as ``ratings.id``.

    Returns
    -------
    polars.DataFrame
        The matched rows, in their order.

    Raises
    ------
    InputError
        Not one row matches: that is a spelling, not a gap. Shows both sides and a setting that would match.
    """
    known = frame["video_id"].is_in(videos.implode()).fill_null(False)
    unknown = frame.filter(~known)["video_id"].fill_null("(empty)").value_counts(sort=True, name="n")
    for video_id, n in unknown.iter_rows():
        exclusions.add(source, "unknown_id", video_id[:64], n)
    if frame.height and videos.len() and not known.any():
        ids = frame["video_id"].unique(maintain_order=True).fill_null("(empty)")
        raise InputError(
            f"not one of its {ids.len()} ids is the study's: it has {shown(ids)}; the study has {shown(videos)}",
            where=str(source),
            remedy=_advice(ids, videos, setting),
        )
    return frame.filter(known)


def _advice(ids: pl.Series, videos: pl.Series, setting: str) -> str:
    """A setting that would match, else the settings there are."""
    for rule in _candidates(ids, videos):
        if respell(ids, rule).is_in(videos.implode()).any():
            return f"Try `{setting}: {_yaml(rule)}`."
    for rule in _candidates(videos, ids):
        if respell(videos, rule).is_in(ids.implode()).any():
            return f"Try `stimuli.id: {_yaml(rule)}`, which respells the study's own ids."
    return f"Say how it spells ids: `{setting}: {{strip_prefix: clip_, strip_suffix: .mp4, pad: 4}}`."


def _candidates(ids: pl.Series, wanted: pl.Series) -> Iterator[IdRule]:
    """Rules worth a try, the simplest first."""
    prefix = ids.str.extract(r"^([^0-9]+)").drop_nulls().mode().head(1).to_list()
    suffix = ids.str.extract(r"(\.[A-Za-z0-9]+)$").drop_nulls().mode().head(1).to_list()
    width = wanted.str.len_chars().mode().head(1).to_list()
    for before, after, pad in product(["", *prefix], ["", *suffix], [0, *width]):
        yield IdRule(before, after, min(pad, 64))


def _yaml(rule: IdRule) -> str:
    keys = {"strip_prefix": rule.strip_prefix, "strip_suffix": rule.strip_suffix, "pad": rule.pad}
    return "{" + ", ".join(f"{k}: {v}" for k, v in keys.items() if v) + "}"
