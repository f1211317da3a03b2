"""Praat's TextGrid in its long text form: which word was spoken when.

What belongs here: intervals of one tier. What does not: what is made of the words (``passages.py``).
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats._tabular import check_file, shown

_TIER = re.compile(r'class = "IntervalTier"\s+name = "((?:[^"]|"")*)"')
_SIZE = re.compile(r"intervals: size = (\d+)")
_INTERVAL = re.compile(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"')
_SILENCE = {"", "sp", "sil", "<p:>"}
"""What aligners write where nobody speaks."""


def read_words(path: Path, *, tier: str = "word", exclusions: Exclusions) -> pl.DataFrame:
    """Read the words of one tier.

    Parameters
    ----------
    path : Path
        TextGrid, long form, UTF-8 or UTF-16.
    tier : str
        Name of the interval tier.
    exclusions : Exclusions
        Gets the silences (``silence``) and the intervals that the tier announces and the file does not hold
        (``absent_interval``): a file that was cut off is read as far as it goes.

    Returns
    -------
    DataFrame
        ``onset_s``, ``end_s`` (Float64, seconds on the file's clock), ``word``, in order of onset.

    Raises
    ------
    InputError
        The file is missing or no TextGrid in long form, has no such tier, or a time is not a number.
    """
    check_file(path)
    raw = path.read_bytes()
    text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", errors="replace")
    if '"TextGrid"' not in text[:200] or "xmin =" not in text:
        raise InputError("is no TextGrid in Praat's long form", where=str(path), remedy="Save as text file in Praat.")
    part = _tier(path, text, tier)
    found = _INTERVAL.findall(part)
    try:
        rows = [(float(low), float(high), word.replace('""', '"').strip()) for low, high, word in found]
    except ValueError as error:
        raise InputError(f"a time is not a number ({error})", where=str(path)) from None
    announced = _SIZE.search(part)
    if announced and int(announced[1]) > len(rows):
        exclusions.add(path, "absent_interval", tier, int(announced[1]) - len(rows))
    words = pl.DataFrame(
        rows, schema={"onset_s": pl.Float64, "end_s": pl.Float64, "word": pl.String}, orient="row"
    ).sort("onset_s")
    silent = pl.col("word").str.to_lowercase().is_in(list(_SILENCE))
    exclusions.add(path, "silence", tier, words.filter(silent).height)
    return words.filter(~silent)


def _tier(path: Path, text: str, tier: str) -> str:
    """The text of one tier: from its head to the next tier's."""
    starts = {match[1]: match.end() for match in _TIER.finditer(text)}
    if tier not in starts:
        raise InputError(f"has no interval tier {tier!r}; there are {shown(list(starts)) or 'none'}", where=str(path))
    following = _TIER.search(text, starts[tier])
    return text[starts[tier] : following.start() if following else len(text)]
