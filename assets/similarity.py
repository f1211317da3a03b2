"""Stage 6, by similarities: regions one by one, and the voxels around each voxel for all models in one pass."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from affectlake.maps import placed
from affectlake.scoring import Scene, with_q
from affectlake.tables import RSA_SCORES, SEARCHLIGHT_SCORES
from assets._work import Metadata, Work
from assets.encoding import named, scene_of
from assets.recipes import RSA, SEARCHLIGHT
from resources.agents.features import read_space
from resources.analyses import Searchlight
from resources.device import DeviceResource
from resources.io_manager import LakeResource
from resources.progress import ProgressResource
from resources.study import Study


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
    """Correlate one space's similarities with each region's, as they are and with controls partialled out."""
    work = Work(context, RSA, lake)
    scene = scene_of(work.study, responses, voxels, embeddings, videos, captions).by_clip()
    rsa = work.study.rsa
    with progress.track(context, f"similarities of {work.model} and {work.subject}"):
        parts = [_compared(work, scene, method, {}) for method in rsa.methods]
        if rsa.partial and work.model not in rsa.partial:
            scene, controls = _controlled(work.study, scene, videos.collect())
            parts += [_compared(work, scene, method, controls) for method in rsa.methods]
    return work.result("rsa_scores", named(work, with_q(pl.concat(parts), family=("method",)), stamp=True))


def _compared(work: Work, scene: Scene, method: str, controls: dict[str, Any]) -> pl.DataFrame:
    """Rows of regions with at least two usable voxels."""
    from affectlake.rsa import roi, roi_tests
    from affectlake.similarity import similarities_of

    regions = {name: scene.responses[:, c] for name, c in scene.regions().items() if c.size >= 2}
    name, n = f"partial_{method}" if controls else method, scene.presentations.height
    options: dict[str, Any] = {"method": method, "controls": list(controls.values())}
    rows: list[tuple[object, ...]] = []
    if scene.enough and regions:
        similar = similarities_of(scene.vectors, learnt=work.study.model(work.model).agent != "features")
        settings = work.study.encoding
        if settings.null:
            tests = roi_tests({"": similar}, regions, null=settings.null, seed=settings.seed, **options)
            rows = [(r, name, n, regions[r].shape[1], test.rho, test.p) for (_, r), test in tests.items()]
        else:
            rows = [(r, name, n, y.shape[1], roi(similar, y, **options), None) for r, y in regions.items()]
    columns = ("roi", "method", "n_stimuli", "n_voxels", "rho", "p")
    return pl.DataFrame(rows, schema={c: RSA_SCORES.schema[c] for c in columns}, orient="row")


def _controlled(study: Study, scene: Scene, videos: pl.DataFrame) -> tuple[Scene, dict[str, Any]]:
    """The clips that all controls cover, and the controls' similarities of them."""
    from affectlake.similarity import similarities_of

    spaces = {}
    for name in study.rsa.partial:
        model: Any = study.model(name)
        ids = study.resolve(model.ids) if model.ids else None
        spaces[name] = read_space(name, study.resolve(model.file), ids, videos, model.id)
    shown = scene.presentations
    for space in spaces.values():
        shown = shown.filter(pl.col("video_id").is_in(space.video_ids.implode()))
    scene = scene.restricted(shown["trial"].to_numpy())
    controls = {}
    for name, space in spaces.items():
        rows = pl.DataFrame({"video_id": space.video_ids}).with_row_index("row")
        order = scene.presentations.join(rows, on="video_id", maintain_order="left")["row"].to_numpy()
        controls[name] = similarities_of(space.vectors[order], learnt=False) if len(order) > 2 else np.empty((0, 0))
    return scene, controls


def searchlight_scores(
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
    """Correlate the similarities of all models with those around each voxel of one subject, in one pass."""
    from affectlake.rsa import searchlight_scores as scored

    work = Work(context, SEARCHLIGHT, lake)
    settings = work.study.rsa.searchlight or Searchlight()
    models = settings.models or work.study.model_names
    scene, vectors = _together(work.study, models, responses, voxels, embeddings, videos, captions)
    used = scene.voxels.filter(pl.col("status") == "used")
    if not (vectors and scene.enough and scene.responses.shape[1] > 1 and placed(scene.voxels)):
        return work.result("searchlight_scores", SEARCHLIGHT_SCORES.empty())
    with progress.track(context, f"searchlight over {work.subject}") as advance:
        found = scored(
            np.stack(list(vectors.values())),
            scene.responses,
            used.select("i", "j", "k").to_numpy(),
            radius=settings.radius,
            shape=settings.shape,
            min_voxels=settings.min_voxels,
            exact=settings.exact,
            device=device.pick(),
            progress=advance,
        )
    frames = [
        pl.DataFrame({"voxel": used["voxel"], "rho": rho, "factor_error": np.full(rho.size, error, np.float32)})
        .filter(pl.col("rho").is_not_nan())
        .with_columns(model=pl.lit(model))
        for model, rho, error in zip(vectors, found.scores, found.error, strict=True)
    ]
    n = pl.lit(scene.presentations.height, dtype=pl.Int32)
    rows = pl.concat(frames).with_columns(subject=pl.lit(work.subject), n_stimuli=n)
    metadata: Metadata = {"largest_factor_error": float(found.error.max()), "factors": ", ".join(map(str, found.ranks))}
    return work.result(
        "searchlight_scores", work.stamped(rows).select(SEARCHLIGHT_SCORES.schema.names()), metadata | device.describe()
    )


def _together(
    study: Study,
    models: tuple[str, ...],
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
    embeddings: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
) -> tuple[Scene, dict[str, Any]]:
    """The clips that all models cover, and every model's similarities of them: one pass needs one set of clips."""
    from affectlake.judged import vectors
    from affectlake.similarity import similarities_of

    spaces = {m: embeddings.filter(pl.col("model") == m).collect() for m in models}
    spaces = {m: space for m, space in spaces.items() if space.height}
    if not spaces:
        return scene_of(study, responses, voxels, embeddings, videos, captions), {}
    shared = pl.concat([s.select("video_id") for s in spaces.values()]).group_by("video_id").len()
    shared = shared.filter(pl.col("len") == len(spaces)).sort("video_id")
    first = next(iter(spaces.values())).join(shared, on="video_id", how="semi")
    scene = scene_of(study, responses, voxels, first.lazy(), videos, captions).by_clip()
    if not scene.enough:
        return scene, {}
    clips = scene.presentations.select("video_id")
    found = {}
    for model, space in spaces.items():
        rows = vectors(clips.join(space, on="video_id", maintain_order="left"))
        if rows.shape[1]:
            found[model] = similarities_of(rows, learnt=study.model(model).agent != "features")
    return scene, found
