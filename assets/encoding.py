"""Stage 6: how well each space predicts each region of each brain, by encoding and by similarity."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from affectlake.scoring import Scene, region_rows, run_rows, voxel_rows, with_q
from affectlake.tables import RSA_SCORES
from assets._items import scoring_items
from assets._plots import glass_brain
from assets._work import Work
from assets.recipes import ENCODING, RSA
from resources.device import DeviceResource
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
        "encoding_scores", _named(work, region_rows(scene, regions, found), stamp=True), device.describe()
    )
    yield work.result("run_scores", _named(work, run_rows(regions, found)))
    by_voxel = voxel_rows(scene, found)
    picture = glass_brain(scene.voxels, by_voxel, "r", _title(work, "cross-validated r"))
    yield work.result("voxel_scores", _named(work, by_voxel), picture)


def _title(work: Work, what: str) -> str:
    return f"{what} of {work.model} in {work.subject}{' (SYNTHETIC data)' if work.study.synthetic else ''}"


def _named(work: Work, rows: pl.DataFrame, *, stamp: bool = False) -> pl.DataFrame:
    named = rows.with_columns(subject=pl.lit(work.subject), model=pl.lit(work.model))
    return work.stamped(named) if stamp else named


def rsa_scores(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    progress: ProgressResource,
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
    embeddings: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
) -> dg.MaterializeResult[Any]:
    """Correlate one space's similarities with each region's."""
    work = Work(context, RSA, lake)
    scene = scene_of(work.study, responses, voxels, embeddings, videos, captions).by_clip()
    with progress.track(context, f"similarities of {work.model} and {work.subject}"):
        rows = _similarities(work, scene)
    frame = rows.with_columns(n_stimuli=pl.lit(scene.presentations.height, dtype=pl.Int32), method=pl.lit("pearson"))
    return work.result("rsa_scores", _named(work, frame, stamp=True))


def _similarities(work: Work, scene: Scene) -> pl.DataFrame:
    """Rows of regions with at least two usable voxels; none for a space of one column, which has no similarities."""
    from affectlake.rsa import brain_rsm, roi, roi_tests
    from affectlake.similarity import predicted_rsm

    learnt = work.study.model(work.model).agent != "features"
    regions = {name: scene.responses[:, c] for name, c in scene.regions().items() if c.size >= 2}
    rows: list[tuple[object, ...]] = []
    if scene.enough and regions and (learnt or scene.vectors.shape[1] >= 2):
        similar = predicted_rsm(scene.vectors) if learnt else brain_rsm(scene.vectors)
        settings = work.study.encoding
        if settings.null:
            tests = roi_tests({work.model: similar}, regions, null=settings.null, seed=settings.seed)
            rows = [(name, regions[name].shape[1], test.rho, test.p) for (_, name), test in tests.items()]
        else:
            rows = [(name, values.shape[1], roi(similar, values), None) for name, values in regions.items()]
    schema = {name: RSA_SCORES.schema[name] for name in ("roi", "n_voxels", "rho", "p")}
    return with_q(pl.DataFrame(rows, schema=schema, orient="row"))


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
