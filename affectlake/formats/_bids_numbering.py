"""Proof that the stimulus column of the events is the study's numbering of clips and not one that looks like it.

Two numberings of one set of clips share most of their numbers, so that nearly every row of the wrong one names a clip:
in ds005191 ``stimID`` and ``stimLabel`` are equal for 858 of 2,180 clips, and the numbers of both end near 2,185. That
ids are known therefore proves nothing about numbers. What does not belong here: reading presentations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import polars as pl

from affectlake.errors import InputError
from affectlake.formats._bids_events import read_text
from affectlake.formats._bids_runs import Run

_NOT_A_NAME = {"onset", "duration", "video_id", "file", "duplicate_of"}


def event_tables(runs: Sequence[Run]) -> list[tuple[Path, pl.DataFrame]]:
    """The events of the runs as they are written, for `check_numbering`."""
    return [(run.events, read_text(run.events)) for run in runs if run.events is not None]


def check_numbering(
    tables: Sequence[tuple[Path, pl.DataFrame]],
    manifest: pl.DataFrame,
    *,
    stimulus_column: str,
    to_id: Callable[[str], str] = str,
    no_clip: Collection[str] = (),
) -> None:
    """Refuse a stimulus column that is not the study's numbering of its clips.

    Where events and manifest have a column of one name that tells clips apart, both must say the same of every
    presentation. Where they have none, and stimuli and clips are plain numbers, the numbers shown must be those of
    the study's canonical clips, all of them and no others: a bijection is the least that a numbering has to show.
    Names that are no numbers are left to `read_presentations`, for which unknown ones are a count.

    Parameters
    ----------
    tables : sequence of (Path, DataFrame)
        What one subject was shown: files, and their cells as text.
    manifest : DataFrame
        From `affectlake.formats.videos.read_names`: ``video_id``, ``duplicate_of``, and the manifest's other columns
        as they are written.
    stimulus_column : str
        Column of the events that names the stimulus.
    to_id : callable
        Maps a stimulus as written to a ``video_id``.
    no_clip : collection of str
        What the column says where no clip is shown, as written.

    Raises
    ------
    InputError
        Events contradict the manifest, or numbers are no bijection. The message names file, row and column.
    """
    events = [(path, raw.with_row_index("(line)", offset=2)) for path, raw in tables if stimulus_column in raw.columns]
    names = _names(manifest, events)
    ids: dict[str, str] = {}
    for path, raw in events:
        shown = raw.drop_nulls(stimulus_column)
        shown = shown.filter(~pl.col(stimulus_column).str.strip_chars().is_in(list(no_clip)))
        ids |= {text: to_id(text.strip()) for text in shown[stimulus_column].unique() if text not in ids}
        for name in names:
            if name in raw.columns:
                _agree(path, shown, name, manifest, stimulus_column, ids, to_id)
    if not names and events:
        _bijection(events[0][0], manifest, stimulus_column, set(ids.values()))


def _names(manifest: pl.DataFrame, events: Sequence[tuple[Path, pl.DataFrame]]) -> list[str]:
    """Columns of both that tell canonical clips apart."""
    canonical = manifest.filter(pl.col("duplicate_of").is_null())
    shared = {name for _, raw in events for name in raw.columns} & set(manifest.columns) - _NOT_A_NAME
    return sorted(n for n in shared if canonical[n].null_count() == 0 and canonical[n].is_unique().all())


def _agree(
    path: Path,
    shown: pl.DataFrame,
    name: str,
    manifest: pl.DataFrame,
    column: str,
    ids: dict[str, str],
    to_id: Callable[[str], str],
) -> None:
    """Compare what the events and the manifest say in the column ``name`` of the clip that each row is read as."""
    says = {v: (t, to_id(t.strip())) for v, t in manifest.select("video_id", name).drop_nulls().iter_rows()}
    rows = shown.select("(line)", pl.col(column).alias("stimulus"), pl.col(name).alias("other")).drop_nulls()
    wrong = [
        (line, stimulus, other, says[ids[stimulus]][0])
        for line, stimulus, other in rows.iter_rows()
        if ids[stimulus] in says and says[ids[stimulus]][1] != to_id(other.strip())
    ]
    if not wrong:
        return
    line, stimulus, other, expected = wrong[0]
    raise InputError(
        f"{column} {stimulus.strip()} is read as the clip {ids[stimulus]}, whose {name} is {expected} in the manifest "
        f"and {other.strip()} in the events; so for {len(wrong)} of the file's {rows.height} presentations",
        where=f"{path}, row {line}",
        remedy=f"If {column} is another numbering than the study's, set brain.stimulus_column to the column that the "
        f"manifest's ids come from. If {name} is what differs, take that column out of the manifest.",
    )


def _bijection(path: Path, manifest: pl.DataFrame, column: str, shown: set[str]) -> None:
    """Refuse numbers that are not exactly those of the canonical clips."""
    known = set(manifest["video_id"])
    if not all(name.isdigit() for name in known | shown):
        return
    twice = dict(manifest.select("video_id", "duplicate_of").drop_nulls().iter_rows())
    strange, unseen = shown - known, known - twice.keys() - {twice.get(name, name) for name in shown}
    if not strange and not unseen:
        return
    raise InputError(
        f"the column's {len(shown)} numbers are not the study's {len(known)} clips: {len(strange)} numbers are no clip"
        f"{_such_as(strange)}, {len(unseen)} clips are not shown{_such_as(unseen)}; it may be another numbering",
        where=f"{path}, column {column}",
        remedy=f"If it is the right one, say so: give the manifest a column {column} that holds it for each clip. What "
        "stands where no clip is shown belongs into brain.no_clip.",
    )


def _such_as(names: set[str]) -> str:
    return f" (such as {', '.join(sorted(names)[:3])})" if names else ""
