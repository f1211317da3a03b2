"""The study's clips: the list of them, and what their media files are.

What belongs here: the manifest, the numbering of items, facts about media files. What does not: frames
(:mod:`affectlake.formats.media` decodes).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from affectlake.errors import InputError
from affectlake.formats._tabular import FIRST_ROW, read_cells, shown
from affectlake.formats.ids import AS_IS, IdSpelling, check_ids, respell
from affectlake.formats.media import Probe, probe, sample_frames
from affectlake.tables import VIDEOS

__all__ = ["assign_items", "describe_media", "media_path", "probe", "read_manifest", "read_names", "sample_frames"]


def read_manifest(path: Path, *, id_rule: IdSpelling = AS_IS, id_column: str = "video_id") -> pl.DataFrame:
    """Read the list of the study's clips.

    Parameters
    ----------
    path : Path
        CSV with a column of ids and, where there are media, ``file``; ``duplicate_of`` may name the canonical clip that
        a row repeats. Other columns are not read. Also gzipped.
    id_rule : IdSpelling
        How the file spells ids, those in ``duplicate_of`` too.
    id_column : str
        Name of the column of ids.

    Returns
    -------
    polars.DataFrame
        Columns ``video_id``, ``file``, ``duplicate_of`` (String; null where not given), in file order.

    Raises
    ------
    InputError
        The file is missing, empty or lacks the column; an id is invalid or stands twice; ``duplicate_of`` names an
        unknown clip, the row itself, or a clip that is a duplicate. The message names the rows.
    """
    cells = read_cells(path, (id_column,))
    if cells.is_empty():
        raise InputError("lists no video", where=str(path), remedy="Write one row for each clip.")

    def text(name: str) -> pl.Series:
        found = cells[name] if name in cells.columns else pl.Series(name, [None] * cells.height, dtype=pl.String)
        return found.str.strip_chars().replace("", None)

    frame = pl.DataFrame(
        {
            "video_id": respell(cells[id_column], id_rule),
            "file": text("file"),
            "duplicate_of": respell(text("duplicate_of"), id_rule),
        }
    )
    check_ids(frame["video_id"], where=str(path))
    _check_duplicates(frame, path)
    return frame


def read_names(path: Path, *, id_rule: IdSpelling = AS_IS, id_column: str = "video_id") -> pl.DataFrame:
    """Read all columns of the manifest: scans may know a clip by another name.

    Parameters
    ----------
    path, id_rule, id_column
        As for :func:`read_manifest`.

    Returns
    -------
    polars.DataFrame
        ``video_id`` and ``duplicate_of`` in the study's spelling, and the file's other columns as they are written
        (String), the column of ids among them where it has another name.

    Raises
    ------
    InputError
        As for :func:`read_manifest`.
    """
    clips = read_manifest(path, id_rule=id_rule, id_column=id_column).select("video_id", "duplicate_of")
    return pl.concat([clips, read_cells(path).drop("video_id", "duplicate_of", strict=False)], how="horizontal")


def _check_duplicates(frame: pl.DataFrame, path: Path) -> None:
    canonical = frame.filter(pl.col("duplicate_of").is_null())["video_id"]
    wrong = frame.with_row_index("row", offset=FIRST_ROW).filter(
        pl.col("duplicate_of").is_not_null() & ~pl.col("duplicate_of").is_in(canonical.implode())
    )
    if wrong.is_empty():
        return
    row, video_id, _, target = wrong.row(0)
    known = target in frame["video_id"]
    raise InputError(
        f"{video_id!r} is a duplicate of {target!r}, which is "
        + ("a duplicate itself" if known else "no video of this list")
        + (f" (and {wrong.height - 1} rows more)" if wrong.height > 1 else ""),
        where=f"{path}, row {row}",
        remedy="`duplicate_of` names the one canonical clip, whose own `duplicate_of` is empty.",
    )


def assign_items(manifest: pl.DataFrame, previous: pl.DataFrame | None = None) -> pl.DataFrame:
    """Number the clips: known ids keep their item, new ids get the next numbers in id order, none is used again.

    Parameters
    ----------
    manifest : polars.DataFrame
        From :func:`read_manifest`.
    previous : polars.DataFrame, optional
        The table ``videos`` so far.

    Returns
    -------
    polars.DataFrame
        Rows of the table ``videos``, sorted by item. Clips of the manifest have status ``no_media`` until
        :func:`describe_media` has looked at their files; clips that left it keep their row with status ``left``.
    """
    before = VIDEOS.empty() if previous is None else previous.select(VIDEOS.schema.names())
    first = 0 if before.is_empty() else int(before["item"].max()) + 1  # type: ignore[arg-type]
    known = before.select("video_id", "item")
    new = (
        manifest.join(known, on="video_id", how="anti")
        .sort("video_id")
        .select("video_id", pl.int_range(first, first + pl.len(), dtype=pl.Int32).alias("item"))
    )
    listed = manifest.join(pl.concat([known, new]), on="video_id", how="left", validate="1:1").with_columns(
        status=pl.lit("no_media"), detail=pl.lit(None, pl.String)
    )
    left = before.join(manifest, on="video_id", how="anti").with_columns(
        status=pl.lit("left"), detail=pl.lit("is no longer in the manifest")
    )
    # duplicate_of may name a clip that left; it is kept as a fact of the time when the clip was listed
    return pl.concat([VIDEOS.empty(), listed, left], how="diagonal").sort("item")


def describe_media(
    videos: pl.DataFrame, media_root: Path | None, progress: Callable[[int], None] = lambda done: None
) -> pl.DataFrame:
    """Look at every clip's media file.

    Parameters
    ----------
    videos : polars.DataFrame
        From :func:`assign_items`. Rows with status ``left`` are returned as they are.
    media_root : Path or None
        Folder that the column ``file`` is relative to; None where the study has no media.
    progress : callable
        Told how many more clips are done.

    Returns
    -------
    polars.DataFrame
        The table ``videos``. A file that is not there, is no video or exceeds a limit becomes a status with a detail.

    Raises
    ------
    InputError
        A file lies outside the media root: nothing there is opened.
    """
    listed = videos.filter(pl.col("status") != "left")
    files = listed["file"].to_list()
    # all paths are checked before the first file is opened
    paths = [
        media_path(f, media_root, v) if f and media_root else None
        for f, v in zip(files, listed["video_id"], strict=True)
    ]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        probed = []
        for path, found in zip(paths, pool.map(lambda p: probe(p) if p else None, paths), strict=True):
            probed.append(_columns(found, no_root=path is None and media_root is None))
            progress(1)
    facts = pl.DataFrame(probed, schema={n: VIDEOS.schema[n] for n in _FACTS}, orient="row")
    # the rows of `probed` are those of `listed`: it was made from them one by one
    described = pl.concat([listed.drop(_FACTS), facts], how="horizontal")
    described = described.with_columns(
        detail=pl.when(pl.col("file").is_null()).then(pl.lit(None, pl.String)).otherwise(pl.col("detail"))
    )
    columns = VIDEOS.schema.names()
    rest = videos.filter(pl.col("status") == "left").select(columns)
    return pl.concat([described.select(columns), rest]).sort("item")


_FACTS = ("sha256", "duration_s", "frame_rate", "width", "height", "status", "detail")


def _columns(found: Probe | None, *, no_root: bool) -> tuple[Any, ...]:
    if found is None:
        return (*[None] * 5, "no_media", "the study names no media_root" if no_root else None)
    return tuple(getattr(found, name) for name in _FACTS)


def media_path(file: str, media_root: Path, video_id: str) -> Path:
    """Where a clip's file is.

    Parameters
    ----------
    file : str
        Path relative to ``media_root``, as in the manifest.
    media_root : Path
        The folder of the media.
    video_id : str
        The clip, for the message.

    Returns
    -------
    Path
        Absolute, links followed.

    Raises
    ------
    InputError
        The path is absolute or leads, also by a link, out of the media root.
    """
    root = media_root.resolve()
    pure = PurePosixPath(file)
    path = None if "\0" in file or pure.is_absolute() else (root / pure).resolve()
    if path is None or not path.is_relative_to(root):
        raise InputError(
            f"the file {shown([file])} of video {video_id!r} is outside the media root {root}",
            where="the manifest",
            remedy="Give paths relative to `stimuli.media_root` and put the files (or that root) where both meet.",
        )
    return path
