"""Bringing the files that a study names under ``downloads``, with their progress drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from affectlake.errors import StudyError
from resources.downloads import Advance, fetch
from resources.study import Study


def fetch_all(study: Study, console: Console) -> tuple[int, int]:
    """Fetch every file that is not there yet.

    Returns
    -------
    fetched, there : int
        Files brought, and files that were there already.

    Raises
    ------
    StudyError
        The study names none.
    InputError
        One cannot be fetched; those before it are in place.
    """
    if not study.downloads:
        raise StudyError(
            "names no files to fetch", where=str(study.path), remedy="List url, md5 and target under `downloads:`."
        )
    fetched = 0
    for download in study.downloads:
        with _bar(console, str(download.target)) as advance:
            fetched += fetch(download, study.folder, advance)
    return fetched, len(study.downloads) - fetched


@contextmanager
def _bar(console: Console, name: str) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(name, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
