"""The set of clips that every model of a study is scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import InputError
from resources.study import Study


def scoring_items(study: Study, videos: pl.DataFrame, captions: pl.LazyFrame) -> npt.NDArray[np.int32]:
    """Items of the study's declared set, sorted; clips that left and repeated clips are never in it.

    Raises
    ------
    InputError
        A file of ids names a clip that the study does not have.
    """
    canonical = videos.filter((pl.col("status") != "left") & pl.col("duplicate_of").is_null())
    if study.items == "captioned":
        described = captions.select(pl.col("video_id").unique()).collect()
        canonical = canonical.join(described, on="video_id", how="semi")
    elif study.items != "all":
        canonical = canonical.filter(pl.col("video_id").is_in(_listed(study, canonical)))
    return np.sort(canonical["item"].to_numpy())


def _listed(study: Study, videos: pl.DataFrame) -> list[str]:
    path = study.resolve(Path(study.items))
    ids = path.read_text(encoding="utf-8").split()
    unknown = sorted(set(ids) - set(videos["video_id"]))
    if unknown:
        raise InputError(
            f"names {len(unknown)} clips that the study does not have, such as {', '.join(unknown[:3])}",
            where=str(path),
        )
    return ids
