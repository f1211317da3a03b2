"""What was shown in a run: ``events.tsv``, resolved to the study's clips.

What belongs here: rows and ids. What does not: where the files are (``_bids_runs.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats._bids_runs import Run

PRESENTATIONS = pl.Schema(
    {
        "session": pl.String,
        "run": pl.Int32,
        "onset_s": pl.Float64,
        "duration_s": pl.Float64,
        "video_id": pl.String,
        "source": pl.String,
    }
)
"""One row is one presentation of a known clip, in order of acquisition."""

_MISSING = ("n/a", "N/A", "NaN", "nan", "")


def read_events(path: Path, stimulus_column: str) -> pl.DataFrame:
    """Read an ``events.tsv``, or the same table as ``.csv``.

    Parameters
    ----------
    path : Path
    stimulus_column : str
        Column that names the stimulus.

    Returns
    -------
    DataFrame
        ``line`` (1-based line of the file), ``onset_s``, ``duration_s`` and ``stimulus`` (text as written, null for
        n/a), in order of onset.

    Raises
    ------
    InputError
        A column is missing, a time is not a number, or there is no row.
    """
    raw = read_text(path)
    for column in ("onset", "duration", stimulus_column):
        if column not in raw.columns:
            raise InputError(
                f"no column {column}; there are {', '.join(raw.columns)}",
                where=str(path),
                remedy="Set brain.stimulus_column to the column that names the clip."
                if column == stimulus_column
                else "BIDS requires it.",
            )
    if raw.is_empty():
        raise InputError("no events in this run: the table has no rows", where=str(path))
    events = raw.select(
        line=pl.int_range(2, pl.len() + 2),
        onset_s=pl.col("onset").cast(pl.Float64, strict=False),
        duration_s=pl.col("duration").cast(pl.Float64, strict=False),
        stimulus=pl.col(stimulus_column).str.strip_chars(),
    )
    wrong = events.filter(pl.col("stimulus").is_not_null() & ~_is_timed())
    if wrong.height:
        line, _, _, stimulus = wrong.row(0)
        onset, duration = raw.row(line - 2, named=True)["onset"], raw.row(line - 2, named=True)["duration"]
        raise InputError(
            f"onset {onset!r} or duration {duration!r} of stimulus {stimulus} is not a time in seconds",
            where=f"{path}, row {line}",
        )
    return events.sort("onset_s", "line", nulls_last=True)


def read_text(path: Path) -> pl.DataFrame:
    """Every cell of an events file as text, null where it says n/a."""
    # BIDS knows no quotes
    separator, quote = (",", '"') if path.suffix == ".csv" else ("\t", None)
    try:
        return pl.read_csv(path, separator=separator, infer_schema=False, null_values=list(_MISSING), quote_char=quote)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except pl.exceptions.NoDataError:
        raise InputError("no events in this run: the file is empty", where=str(path)) from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(
            f"""not a table with {"commas" if separator == "," else "tabs"} ({error})""", where=str(path)
        ) from error


def _is_timed() -> pl.Expr:
    onset, duration = pl.col("onset_s"), pl.col("duration_s")
    return (onset.is_finite() & duration.is_finite() & (duration >= 0)).fill_null(False)


def read_presentations(
    runs: Sequence[Run],
    *,
    stimulus_column: str,
    known: Collection[str],
    to_id: Callable[[str], str] = str,
) -> tuple[pl.DataFrame, Exclusions]:
    """Read what was shown in the runs and resolve it to the study's clips.

    Rows without a stimulus (n/a) and rows of unknown stimuli are counted, not used; so are runs without events.

    Parameters
    ----------
    runs : sequence of Run
        Of one subject, from `find_runs`.
    stimulus_column : str
        Column of ``events.tsv`` that names the stimulus.
    known : collection of str
        The study's ``video_id``.
    to_id : callable
        Maps a stimulus as written to a ``video_id``.

    Returns
    -------
    presentations : DataFrame
        Rows of `PRESENTATIONS`, in order of acquisition.
    exclusions : Exclusions
        ``unknown_id`` (by id), ``no_stimulus`` and ``no_events``, by file.

    Raises
    ------
    InputError
        An events file is wrong or ends after its image does; fewer than half of the stimuli are known, or two of them
        map to one clip: then the column or the mapping is wrong, and every join by id would be.
    """
    exclusions, tables = Exclusions(), []
    for run in runs:
        if run.events is None:
            exclusions.add(run.bold, "no_events", f"run {run.run}", run.n_volumes)
            continue
        events = read_events(run.events, stimulus_column)
        _check_end(run, run.events, events)
        labels = {"session": run.session, "run": run.run, "source": str(run.events)}
        tables.append(events.with_columns(pl.lit(value).alias(name) for name, value in labels.items()))
    if not tables:
        raise InputError("no run has events", where=runs[0].subject if runs else None)
    found, unused = resolve_stimuli(pl.concat(tables), stimulus_column, known, to_id)
    exclusions.update(unused)
    return found.select(PRESENTATIONS.names()).cast(PRESENTATIONS), exclusions


def resolve_stimuli(
    table: pl.DataFrame, stimulus_column: str, known: Collection[str], to_id: Callable[[str], str]
) -> tuple[pl.DataFrame, Exclusions]:
    """Resolve what was shown to the study's clips; the rows of no clip and of unknown ones are counted and dropped.

    Parameters
    ----------
    table : DataFrame
        ``stimulus`` (text as written, or null), ``source`` and ``line``; other columns stay.
    stimulus_column : str
        Where ``stimulus`` comes from, for messages.
    known, to_id
        As for `read_presentations`.

    Returns
    -------
    table : DataFrame
        With ``video_id``.
    exclusions : Exclusions
        ``unknown_id`` (by id) and ``no_stimulus``.

    Raises
    ------
    InputError
        Fewer than half of the stimuli are known, or two of them map to one clip.
    """
    exclusions, clips = Exclusions(), set(known)
    ids = {text: to_id(text) for text in table["stimulus"].drop_nulls().unique()}
    _check_mapping(table, ids, stimulus_column, clips, to_id)
    known_ids = {text: video_id for text, video_id in ids.items() if video_id in clips}
    table = table.with_columns(
        video_id=pl.col("stimulus").replace_strict(known_ids, default=None, return_dtype=pl.String)
    )
    unused = table.filter(pl.col("video_id").is_null()).group_by("source", "stimulus").len()
    for source, stimulus, n in unused.iter_rows():
        exclusions.add(source, "no_stimulus" if stimulus is None else "unknown_id", stimulus or "n/a", n)
    return table.drop_nulls("video_id"), exclusions


def _check_end(run: Run, path: Path, events: pl.DataFrame) -> None:
    """Refuse events that last longer than the image; half a volume is left for rounding."""
    ends = events.filter(_is_timed()).select("line", end=pl.col("onset_s") + pl.col("duration_s")).sort("end")
    length = run.n_volumes * run.tr_s
    if ends.height and ends["end"][-1] > length + run.tr_s / 2:
        raise InputError(
            f"the last event ends at {ends['end'][-1]:g} s, but {run.bold.name} ends at {length:g} s "
            f"({run.n_volumes} volumes of {run.tr_s:g} s)",
            where=f"{path}, row {ends['line'][-1]}",
            remedy="Check RepetitionTime, and that events and image belong to the same run.",
        )


def _check_mapping(
    table: pl.DataFrame, ids: Mapping[str, str], column: str, known: set[str], to_id: Callable[[str], str]
) -> None:
    """Refuse a column or a mapping under which joins by id would go wrong."""
    pairs = table.drop_nulls("stimulus").unique("stimulus", keep="first", maintain_order=True)
    hits: dict[str, str] = {}
    for stimulus, source, line in pairs.select("stimulus", "source", "line").iter_rows():
        video_id = ids[stimulus]
        if video_id in hits:
            raise InputError(
                f"{stimulus} and {hits[video_id]} both map to {video_id}, so the mapping of ids is not one to one",
                where=f"{source}, row {line}, column {column}",
                remedy="Correct brain.id in the study file.",
            )
        if video_id in known:
            hits[video_id] = stimulus
    if hits and 2 * len(hits) >= pairs.height:
        return
    shown = pairs["stimulus"].to_list()
    raise InputError(
        f"only {len(hits)} of {pairs.height} stimuli are clips of the study: the column says "
        f"{_some(shown)}, read as {_some(ids[text] for text in shown)}; the study has {_some(sorted(known))}",
        where=f"{table['source'][0]}, column {column}",
        remedy=_advice(Path(table["source"][0]), column, known, to_id),
    )


def _advice(path: Path, column: str, known: set[str], to_id: Callable[[str], str]) -> str:
    """Name the column that does name known clips, if there is one."""
    columns = read_text(path).iter_columns() if path.suffix in (".tsv", ".csv") else ()
    for other in columns:
        values = other.drop_nulls().unique().to_list()
        hits = sum(to_id(value) in known for value in values)
        if other.name not in (column, "onset", "duration") and hits and 2 * hits >= len(values):
            return f"Column {other.name} does name clips of the study: set brain.stimulus_column to it."
    return "Set brain.stimulus_column to the column that names the clips, or brain.id to how it spells them."


def _some(values: Iterable[str], n: int = 3) -> str:
    texts = list(values)
    return ", ".join(texts[:n]) + (", ..." if len(texts) > n else "")
