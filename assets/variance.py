"""Stage 6, for sets of models: which variance of a region each explains alone, and which they share."""

from functools import reduce
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from affectlake.scoring import Scene
from affectlake.tables import VARIANCE_PARTITION as VARIANCE_TABLE
from assets._work import Work
from assets.encoding import scene_of
from assets.recipes import VARIANCE
from resources.device import DeviceResource
from resources.io_manager import LakeResource
from resources.progress import ProgressResource


def variance_partition(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    progress: ProgressResource,
    device: DeviceResource,
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
    embeddings: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
) -> dg.MaterializeResult[Any]:
    """Divide the explained variance of every region of one subject among each of the study's sets of models."""
    work = Work(context, VARIANCE, lake)
    sets = work.study.variance_partition.sets
    scenes = {
        model: scene_of(work.study, responses, voxels, embeddings.filter(pl.col("model") == model), videos, captions)
        for model in sorted({m for models in sets for m in models})
    }
    parts = []
    with progress.track(context, f"sharing the variance of {work.subject}") as advance:
        for done, models in enumerate(sets, start=1):
            parts.append(_divide(work, {m: scenes[m] for m in models}, device.pick()))
            advance(done, len(sets))
    frame = pl.concat(parts).with_columns(subject=pl.lit(work.subject))
    return work.result("variance_partition", work.stamped(frame).select(VARIANCE_TABLE.schema.names()))


def _divide(work: Work, scenes: dict[str, Scene], device: str) -> pl.DataFrame:
    """One set of models, on the presentations that all of them cover; no rows where there are too few."""
    from affectlake.encoding import variance_partition as divide

    settings = work.study.encoding
    trials = reduce(np.intersect1d, [s.presentations["trial"].to_numpy() for s in scenes.values()])
    shown = {m: s.restricted(trials) for m, s in scenes.items()}
    first = next(iter(shown.values()))
    regions = {roi: columns for roi, columns in first.regions().items() if columns.size}
    if not regions or not all(s.enough for s in shown.values()):
        return pl.DataFrame(schema={c: VARIANCE_TABLE.schema[c] for c in ("roi", "set", "part", "r2")})
    found = divide(
        {m: s.vectors for m, s in shown.items()},
        first.responses,
        first.presentations["run"].to_numpy(),
        groups=regions,
        banded=work.study.variance_partition.banded,
        folds=settings.folds,
        alphas=np.asarray(settings.alpha_grid),
        exclusive=first.presentations["video_id"].to_numpy(),
        trials=first.presentations["trial"].to_numpy(),
        seed=settings.seed,
        device=device,
    )
    return found.select(pl.col("group").alias("roi"), "set", "part", pl.col("r2").cast(pl.Float64))
