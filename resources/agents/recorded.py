"""Judgments made elsewhere, by people or by machines: read, not asked."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats.ids import check_ids
from affectlake.formats.things import read_triplets
from affectlake.tables import JUDGMENTS
from affectlake.triplets import rank
from resources.agents.features import read_ids
from resources.agents.local import ABSENT, digest, listed_items, shaped
from resources.agents.protocol import Stimuli
from resources.study import RecordedModel, Study

UNKNOWN_ORDER = "unknown"
"""Stored as the presented order: such files do not say it, and any of the six would be a claim."""


def recorded_judgments(settings: RecordedModel, stimuli: Stimuli, study: Study, exclusions: Exclusions) -> pl.DataFrame:
    """The judgments of a recorded model.

    Parameters
    ----------
    settings : RecordedModel
        The file, its column of the odd one, and the ids of its numbers.
    stimuli : Stimuli
        The study's videos.
    study : Study
        Resolves the paths.
    exclusions : Exclusions
        Counts judgments with a clip that is not the study's, by clip (``unknown_id``).

    Returns
    -------
    polars.DataFrame
        Rows of the table ``judgments``, in file order. Answers to the same set get repeat numbers 0, 1, ... in file
        order. ``presented`` is :data:`UNKNOWN_ORDER`, ``judged_at`` the file's time of change, ``stimulus_version`` a
        hash of the judgments.

    Raises
    ------
    InputError
        A file cannot be read, a row names a number without an id, or no judgment is about the study's clips.
    """
    file = study.resolve(settings.file)
    numbers = read_triplets(file, odd=settings.odd)
    item = _items_by_number(settings, study, stimuli.videos, numbers)
    items = item[numbers]
    known = (items != ABSENT).all(axis=1)
    _count_unknown(numbers[~known], item, file, exclusions)
    if not known.any():
        raise InputError(
            f"none of its {len(numbers)} judgments is about three clips of the study",
            where=str(file),
            remedy=f"`models.{settings.name}.ids` holds the video id of each of its numbers, one a line from number 0.",
        )
    items = items[known].astype(np.int32)
    a, b, c = np.sort(items, axis=1).T
    frame = pl.DataFrame(
        {"triplet_id": rank(items), "a": a.copy(), "b": b.copy(), "c": c.copy(), "odd": items[:, 2].copy()}
    ).with_columns(
        pl.int_range(pl.len(), dtype=pl.Int32).over("triplet_id").alias("repeat"),
        model=pl.lit(settings.name),
        presented=pl.lit(UNKNOWN_ORDER),
        prompt_version=pl.lit(f"recorded-odd-{settings.odd}"),
        stimulus_version=pl.lit(digest(items)),
        judged_at=pl.lit(datetime.fromtimestamp(file.stat().st_mtime, UTC)).cast(pl.Datetime("us", "UTC")),
    )
    return shaped(frame, JUDGMENTS.schema)


def _items_by_number(
    settings: RecordedModel, study: Study, videos: pl.DataFrame, numbers: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """The item of each number of the file; :data:`ABSENT` where the clip is not the study's."""
    known = listed_items(videos)
    if settings.ids is None:
        ids = pl.DataFrame({"item": np.arange(int(numbers.max()) + 1, dtype=np.int32)})
        found = ids.join(known.with_columns(known=pl.col("item")), on="item", how="left", maintain_order="left")[
            "known"
        ]
    else:
        path = study.resolve(settings.ids)
        listed = read_ids(path)
        check_ids(listed, where=f"{path} (line = row - 1)")
        _check_range(numbers, listed.len(), study.resolve(settings.file), path)
        found = pl.DataFrame({"video_id": listed}).join(known, on="video_id", how="left", maintain_order="left")["item"]
    return found.cast(pl.Int64).fill_null(ABSENT).to_numpy()


def _check_range(numbers: npt.NDArray[np.int32], n_ids: int, file: Path, ids: Path) -> None:
    bad = (numbers >= n_ids).any(axis=1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{int(bad.sum())} rows name a number that {ids.name} has no id for ({n_ids} ids); the first is "
            f"{numbers[row].max()}",
            where=f"{file}, row {row + 1}",
            remedy="The file's numbers are 0-based: line 1 of `ids` is number 0.",
        )


def _count_unknown(
    numbers: npt.NDArray[np.int32], item: npt.NDArray[np.int64], file: Path, exclusions: Exclusions
) -> None:
    """One count a judgment, under its first unknown clip."""
    first = (item[numbers] == ABSENT).argmax(axis=1)
    unknown, counts = np.unique(numbers[np.arange(len(numbers)), first], return_counts=True)
    for number, n in zip(unknown.tolist(), counts.tolist(), strict=True):
        exclusions.add(file, "unknown_id", f"number {number}", n)
