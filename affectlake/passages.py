"""A story as a list of stimuli: passages of equal length whose words are their captions.

What belongs here: cutting a stream of words and writing the study's tables of it. What does not: reading the words
(``formats/textgrid.py``).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats.textgrid import read_words
from affectlake.haxby import link

ALICE_WORDS = Path("alice/DownTheRabbitHoleFinal_exp120_pad_1.TextGrid")
ALICE_START_S = 20.0
"""Where the series of Brennan et al. 2016 start on the clock of their TextGrid: ten volumes of 2 s were discarded. The
published word rate of all subjects agrees: it correlates best with ours (r = .956) at this offset."""


def cut_passages(words: pl.DataFrame, *, length_s: float, start_s: float = 0.0) -> pl.DataFrame:
    """Cut a stream of words into passages that follow each other without a gap.

    Parameters
    ----------
    words : DataFrame
        From `affectlake.formats.textgrid.read_words`.
    length_s : float
        Length of a passage in seconds; a word belongs to the passage in which it begins.
    start_s : float
        Where the first passage begins on the words' clock. What was said before is left out.

    Returns
    -------
    DataFrame
        ``video_id`` (passage001, ...), ``onset`` (seconds after ``start_s``), ``duration`` (seconds), ``description``
        (the words), ``n_words``. Only passages that the words cover to their end, and in which something is said.

    Raises
    ------
    InputError
        Not one passage is covered.
    """
    place = ((pl.col("onset_s") - start_s) / length_s).floor().cast(pl.Int32).alias("place")
    end = words["end_s"].max() if words.height else None
    whole = 0 if end is None else int((float(end) - start_s) // length_s)  # type: ignore[arg-type]
    cut = words.with_columns(place).filter(pl.col("place").is_between(0, whole - 1))
    if cut.is_empty():
        raise InputError(f"no word stands in a whole passage of {length_s:g} s after {start_s:g} s")
    told = cut.sort("onset_s").group_by("place").agg(description=pl.col("word").str.join(" "), n_words=pl.len())
    return told.sort("place").select(
        video_id=pl.format("passage{}", (pl.col("place") + 1).cast(pl.String).str.pad_start(3, "0")),
        onset=pl.col("place") * length_s,
        duration=pl.lit(length_s),
        description="description",
        n_words=pl.col("n_words").cast(pl.Int64),
    )


def write_alice(folder: Path, data: Path, *, length_s: float = 12.0) -> tuple[int, Exclusions]:
    """Write the tables of the study `studies/alice.yaml` into its folder, and link the data there.

    Parameters
    ----------
    folder : Path
        Of the study; gets ``passages.csv``, ``captions.csv``, ``shown.tsv``, ``word_rate.csv``, ``word_rate_ids.txt``
        and the link ``data``.
    data : Path
        Folder that holds ``alice``, the data of Brennan et al. 2016.
    length_s : float
        Length of a passage in seconds.

    Returns
    -------
    n_passages : int
    exclusions : Exclusions
        What was left out of the words.

    Raises
    ------
    InputError
        The words are not there, or ``folder/data`` is something else.
    """
    exclusions = Exclusions()
    words = read_words(data / ALICE_WORDS, exclusions=exclusions)
    found = cut_passages(words, length_s=length_s, start_s=ALICE_START_S)
    link(folder / "data", data)
    found.select("video_id").write_csv(folder / "passages.csv")
    found.select("video_id", "description").write_csv(folder / "captions.csv")
    found.select("onset", "duration", "video_id").write_csv(folder / "shown.tsv", separator="\t")
    found.select("n_words").write_csv(folder / "word_rate.csv")
    (folder / "word_rate_ids.txt").write_text("\n".join(found["video_id"]) + "\n", encoding="utf-8")
    return found.height, exclusions
