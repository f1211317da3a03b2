"""Stage 6: how well each space predicts each region of each brain."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from affectlake.scoring import Scene, region_rows, run_rows, voxel_rows
from assets._items import scoring_items
from assets._plots import glass_brain
from assets._work import Work
from assets.recipes import ENCODING
from resources.device import RIDGE, DeviceResource
from resources.io_manager import LakeResource
from resources.progress import ProgressResource
from resources.study import Study


def encoding_scores(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    progress: ProgressResource,
    device: DeviceResource,
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
    embeddings: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Predict every voxel from one space and summarise by region and run."""
    from affectlake.encoding import cross_validate

    work = Work(context, ENCODING, lake)
    settings = work.study.encoding
    scene = scene_of(work.study, responses, voxels, embeddings, videos, captions)
    regions = scene.regions()
    analytic = settings.voxel_p == "analytic"
    found = None
    if scene.enough:
        with progress.track(context, f"{work.model} predicts {work.subject}") as advance:
            found = cross_validate(
                scene.vectors,
                scene.responses,
                scene.presentations["run"].to_numpy(),
                folds=settings.folds,
                gap=settings.gap,
                alphas=np.asarray(settings.alpha_grid),
                together=scene.sharing(settings.alpha),
                exclusive=scene.presentations["video_id"].to_numpy(),
                trials=scene.presentations["trial"].to_numpy(),
                null=settings.null,
                groups={roi: columns for roi, columns in regions.items() if columns.size},
                seed=settings.seed,
                device=device.pick(),
                progress=advance,
            )
    yield work.result(
        "encoding_scores", named(work, region_rows(scene, regions, found, analytic), stamp=True), device.describe(RIDGE)
    )
    yield work.result("run_scores", named(work, run_rows(regions, found)))
    by_voxel = voxel_rows(scene, found, analytic)
    picture = glass_brain(scene.voxels, by_voxel, "r", _title(work, "cross-validated r"))
    yield work.result("voxel_scores", named(work, by_voxel), picture)


def _title(work: Work, what: str) -> str:
    return f"{what} of {work.model} in {work.subject}{' (SYNTHETIC data)' if work.study.synthetic else ''}"


def named(work: Work, rows: pl.DataFrame, *, stamp: bool = False) -> pl.DataFrame:
    """``rows`` with the partition's subject and model, and on request with what they were computed from."""
    named = rows.with_columns(subject=pl.lit(work.subject), model=pl.lit(work.model))
    return work.stamped(named) if stamp else named


def scene_of(
    study: Study,
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
    embeddings: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
) -> Scene:
    """Bring together one subject's responses and one model's vectors, on the study's scoring set."""
    clips = videos.collect()
    scored = clips.filter(pl.col("item").is_in(scoring_items(study, clips, captions)))["video_id"]
    return Scene.of(responses.collect(), voxels.collect(), embeddings.collect(), scored)
