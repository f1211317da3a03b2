"""Stage 6, the other way round: what models say of the clips, read from each region of each brain."""

from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from affectlake.scoring import Scene, decoded_row, with_q
from affectlake.tables import DECODING_SCORES, STAMP_NAMES
from assets._work import Work
from assets.encoding import scene_of
from assets.recipes import DECODING
from resources.device import RIDGE, DeviceResource
from resources.io_manager import LakeResource
from resources.progress import ProgressResource


def decoding_scores(
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
    """Decode the scores of the study's chosen models from every region of one subject."""
    work = Work(context, DECODING, lake)
    parts = []
    for model in work.study.decoding.models:
        mine = embeddings.filter(pl.col("model") == model)
        scene = scene_of(work.study, responses, voxels, mine, videos, captions)
        with progress.track(context, f"{model} from {work.subject}") as advance:
            parts.append(_decoded(work, scene, device.pick(), advance).with_columns(model=pl.lit(model)))
    rows = work.stamped(pl.concat(parts).with_columns(subject=pl.lit(work.subject)))
    return work.result("decoding_scores", rows.select(DECODING_SCORES.schema.names()), device.describe(RIDGE))


def _decoded(work: Work, scene: Scene, device: str, advance: Any) -> pl.DataFrame:
    """One model from every region with a usable voxel; no rows where there is too little to score."""
    from affectlake.decoding import decode

    settings = work.study.encoding
    regions = {roi: columns for roi, columns in scene.regions().items() if columns.size}
    rows = []
    for done, (roi, columns) in enumerate(regions.items(), start=1):
        if scene.enough and scene.vectors.shape[1] > 1:
            found = decode(
                scene.responses[:, columns],
                scene.vectors,
                scene.presentations["run"].to_numpy(),
                folds=settings.folds,
                alphas=np.asarray(settings.alpha_grid),
                exclusive=scene.presentations["video_id"].to_numpy(),
                trials=scene.presentations["trial"].to_numpy(),
                gap=settings.gap,
                null=work.study.decoding.null,
                seed=settings.seed,
                device=device,
            )
            rows.append(decoded_row(scene, roi, columns, found))
        advance(done, len(regions))
    own = ("subject", "model", "q", *STAMP_NAMES)
    return with_q(pl.DataFrame(rows, schema={k: v for k, v in DECODING_SCORES.schema.items() if k not in own}))
