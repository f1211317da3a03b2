"""Descriptions of videos: a CSV with the columns ``video_id,description``, several rows a video.

The text is other people's and untrusted: it is kept as it is and never interpreted here.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from affectlake.exclusions import Exclusions
from affectlake.formats._tabular import FIRST_ROW, read_cells
from affectlake.formats.ids import AS_IS, IdSpelling, respell


def read_captions(path: Path, *, id_rule: IdSpelling = AS_IS, exclusions: Exclusions) -> pl.DataFrame:
    """Read a file of descriptions.

    Parameters
    ----------
    path : Path
        CSV with the columns ``video_id`` and ``description``, UTF-8 with or without byte order mark, also gzipped.
    id_rule : IdSpelling
        How the file spells ids.
    exclusions : Exclusions
        Counts rows without a description (``empty_caption``) or without an id (``no_id``).

    Returns
    -------
    polars.DataFrame
        Columns ``video_id`` (String), ``caption`` (Int32) and ``text`` (String), in file order. ``caption`` is the
        0-based number of the description within its video, empty ones counted: number 7 is the eighth in the file.

    Raises
    ------
    InputError
        The file is missing, is no CSV, or lacks a column.
    """
    cells = read_cells(path, ("video_id", "description"))
    frame = cells.select(
        respell(cells["video_id"], id_rule).alias("video_id"), pl.col("description").str.strip_chars().alias("text")
    ).with_row_index("row", offset=FIRST_ROW)
    no_id = pl.col("video_id").is_null() | (pl.col("video_id") == "")
    for (row,) in frame.filter(no_id).select("row").iter_rows():
        exclusions.add(path, "no_id", f"row {row}")
    frame = frame.filter(~no_id).with_columns(pl.int_range(pl.len(), dtype=pl.Int32).over("video_id").alias("caption"))
    empty = pl.col("text").is_null() | (pl.col("text") == "")
    for video_id, n in frame.filter(empty).group_by("video_id").len().iter_rows():
        exclusions.add(path, "empty_caption", video_id[:64], n)
    return frame.filter(~empty).select("video_id", "caption", "text")
