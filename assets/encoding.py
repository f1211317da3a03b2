"""Stage 6: how well each space predicts each region of each brain, by encoding and by similarity."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake import judged
from affectlake.errors import InputError
from affectlake.tables import ENCODING_SCORES, RSA_SCORES, RUN_SCORES, VOXEL_SCORES
from assets._items import scoring_items
from assets._work import Work
from assets.recipes import ENCODING, RSA
from resources.device import DeviceResource
from resources.io_manager import LakeResource
from resources.progress import ProgressResource

MIN_PRESENTATIONS = 12
"""With fewer presentations of covered clips nothing is scored; the regions stand in the table without a score."""


@dataclass(frozen=True)
class Scene:
    """One subject's responses beside one model's vectors, row by row a presentation of a clip that both have."""

    presentations: pl.DataFrame
    responses: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    voxels: pl.DataFrame
    coverage: float

    @property
    def enough(self) -> bool:
        """True where there is something to score."""
        return self.presentations.height >= MIN_PRESENTATIONS and self.responses.shape[1] > 0

    def regions(self) -> dict[str, npt.NDArray[np.int64]]:
        """Columns of ``responses`` by region; regions without a usable voxel have none."""
        used = self.voxels.filter(pl.col("status") == "used").with_row_index("column")
        members = used.select("column", roi="rois").explode("roi").drop_nulls().group_by("roi").agg("column")
        found = {roi: np.sort(np.asarray(columns, dtype=np.int64)) for roi, columns in members.iter_rows()}
        names = self.voxels["rois"].explode().drop_nulls().unique().sort()
        return {roi: found.get(roi, np.zeros(0, np.int64)) for roi in names}

    def sharing(self, scope: str) -> npt.NDArray[np.str_] | None:
        """Label of each column of ``responses`` by which penalties are shared; None where they are not."""
        if scope == "target":
            return None
        rois = self.voxels.filter(pl.col("status") == "used")["rois"].list.sort().list.join(";")
        return np.array(rois.to_list() if scope == "roi" else [""] * rois.len())


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
    scene = _scene(work, responses, voxels, embeddings, videos, captions)
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
    yield work.result("encoding_scores", _region_rows(work, scene, regions, found), device.describe())
    yield work.result("run_scores", _run_rows(work, regions, found))
    yield work.result("voxel_scores", _voxel_rows(work, scene, found))


def rsa_scores(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
    embeddings: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
) -> dg.MaterializeResult[Any]:
    """Correlate one space's similarities with each region's."""
    from affectlake.rsa import brain_rsm, roi_test
    from affectlake.similarity import predicted_rsm
    from affectlake.statistics import fdr

    work = Work(context, RSA, lake)
    scene = _scene(work, responses, voxels, embeddings, videos, captions)
    rows: list[dict[str, Any]] = []
    regions = {roi: columns for roi, columns in scene.regions().items() if columns.size >= 2}
    learnt = work.study.model(work.model).agent != "features"
    # stimuli that differ in one number only have no pattern that could be alike
    if scene.enough and regions and (learnt or scene.vectors.shape[1] >= 2):
        similar = predicted_rsm(scene.vectors) if learnt else brain_rsm(scene.vectors)
        for roi, columns in regions.items():
            test = roi_test(similar, scene.responses[:, columns], null=max(work.study.encoding.null, 1))
            rows.append({"roi": roi, "n_voxels": columns.size, "rho": test.rho, "p": test.p})
    frame = pl.DataFrame(rows, schema={"roi": pl.String, "n_voxels": pl.Int32, "rho": pl.Float64, "p": pl.Float64})
    frame = frame.with_columns(
        subject=pl.lit(work.subject),
        model=pl.lit(work.model),
        method=pl.lit("pearson"),
        n_stimuli=pl.lit(scene.presentations.height, dtype=pl.Int32),
        q=pl.Series(fdr(frame["p"].to_numpy()) if frame.height else [], dtype=pl.Float64),
    )
    return work.result("rsa_scores", work.stamped(frame).select(RSA_SCORES.schema.names()))


def _scene(
    work: Work,
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
    embeddings: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
) -> Scene:
    from affectlake.brainframes import response_matrix

    clips = videos.collect()
    wanted = clips.filter(pl.col("item").is_in(scoring_items(work.study, clips, captions)))["video_id"]
    voxel_rows = voxels.collect().sort("voxel")
    presentations, matrix = response_matrix(responses.collect())
    space = embeddings.select("video_id", "vector").collect()
    in_set = presentations.with_row_index("row").filter(pl.col("video_id").is_in(wanted.implode()))
    covered = in_set.join(space, on="video_id", maintain_order="left")
    used = np.flatnonzero((voxel_rows["status"] == "used").to_numpy())
    return Scene(
        covered.select("session", "run", "trial", "video_id"),
        matrix[np.ix_(covered["row"].to_numpy(), used)],
        judged.vectors(covered),
        voxel_rows,
        covered.height / in_set.height if in_set.height else 0.0,
    )


def _region_rows(work: Work, scene: Scene, regions: dict[str, npt.NDArray[np.int64]], found: Any) -> pl.DataFrame:
    from affectlake.statistics import fdr

    sizes = dict(scene.voxels["rois"].explode().drop_nulls().value_counts().iter_rows())
    rows: list[dict[str, Any]] = []
    significant = _q(found)
    for roi, columns in regions.items():
        row: dict[str, Any] = {
            "roi": roi,
            "n_stimuli": scene.presentations.height,
            "coverage": scene.coverage,
            "n_voxels": sizes[roi],
            "n_scored": columns.size if found is not None else 0,
            "n_dropped": sizes[roi] - columns.size,
            "n_constant_prediction": 0,
        }
        if found is not None and columns.size:
            row |= {
                "n_constant_prediction": int(found.constant_prediction[columns].sum()),
                "mean_r": float(found.r[columns].mean(dtype=np.float64)),
                "median_r": float(np.median(found.r[columns])),
                "mean_r2": float(found.r2[columns].mean(dtype=np.float64)),
                "p": found.group_p.get(roi),
            }
            if significant is not None:
                row["share_significant"] = float((significant[columns] < 0.05).mean())
        rows.append(row)
    schema = {k: v for k, v in ENCODING_SCORES.schema.items() if k not in ("subject", "model", "q")}
    for stamp in ("code_version", "source_versions"):
        schema.pop(stamp)
    frame = pl.DataFrame(rows, schema=schema).with_columns(subject=pl.lit(work.subject), model=pl.lit(work.model))
    tested = frame.filter(pl.col("p").is_not_null()).select("roi", "p")
    q = tested.select("roi", q=pl.Series(fdr(tested["p"].to_numpy()) if tested.height else [], dtype=pl.Float64))
    frame = frame.join(q, on="roi", how="left")
    return work.stamped(frame).select(ENCODING_SCORES.schema.names())


def _q(found: Any) -> npt.NDArray[np.float64] | None:
    from affectlake.statistics import fdr

    return None if found is None or found.p is None else fdr(found.p)


def _run_rows(work: Work, regions: dict[str, npt.NDArray[np.int64]], found: Any) -> pl.DataFrame:
    rows: list[tuple[object, ...]] = []
    if found is not None:
        for roi, columns in regions.items():
            if columns.size:
                by_run = found.r_by_run[:, columns].mean(axis=1, dtype=np.float64)
                labels = (int(run) for run in found.run_labels)
                for run, n, r in zip(labels, found.rows_by_run.tolist(), by_run.tolist(), strict=True):
                    rows.append((work.subject, work.model, roi, run, n, r))
    return pl.DataFrame(rows, schema=RUN_SCORES.schema, orient="row")


def _voxel_rows(work: Work, scene: Scene, found: Any) -> pl.DataFrame:
    if found is None:
        return VOXEL_SCORES.empty()
    used = scene.voxels.filter(pl.col("status") == "used")["voxel"]
    if used.len() != found.r.size:
        raise InputError("scores and usable voxels differ in number", where=f"{work.subject} {work.model}")
    n = found.r.size
    nothing = pl.Series([None] * n, dtype=pl.Float64)
    return pl.DataFrame(
        {
            "subject": pl.Series([work.subject] * n, dtype=pl.String),
            "model": pl.Series([work.model] * n, dtype=pl.String),
            "voxel": used,
            "r": pl.Series(found.r, dtype=pl.Float32),
            "alpha": pl.Series(np.median(found.alpha, axis=0), dtype=pl.Float64),
            "p": pl.Series(found.p, dtype=pl.Float64) if found.p is not None else nothing,
            "q": pl.Series(_q(found), dtype=pl.Float64) if found.p is not None else nothing,
        }
    )
