"""Stage 4: the space behind the judgments, how good it is, and what its dimensions mean."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake import judged
from affectlake.exclusions import Exclusions
from affectlake.tables import DIMENSIONS as DIMENSIONS_TABLE
from affectlake.tables import EMBEDDING_QUALITY
from affectlake.tables import EMBEDDINGS as EMBEDDINGS_TABLE
from assets._items import scoring_items
from assets._judging import counted, stimuli
from assets._work import Work
from assets.recipes import EMBEDDINGS
from resources.device import DeviceResource
from resources.io_manager import LakeResource
from resources.progress import Advance, ProgressResource
from resources.study import FeaturesModel

if TYPE_CHECKING:
    from affectlake.spose import Spose

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Space:
    """One model's vectors by item, however they came to be; rows without a judgment or a feature are left out."""

    items: npt.NDArray[np.int32]
    vectors: Floats
    labels: tuple[str, ...] = ()
    n_judgments: npt.NDArray[np.int32] | None = None
    prompt_version: str | None = None
    fit: "Spose | None" = None
    judgments: pl.DataFrame = field(default_factory=pl.DataFrame)
    purposes: pl.DataFrame = field(default_factory=pl.DataFrame)


def embeddings(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    progress: ProgressResource,
    device: DeviceResource,
    judgments: pl.LazyFrame,
    triplets: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
    ratings: pl.LazyFrame,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Learn one model's space from its training judgments, or take its features as they are."""
    work = Work(context, EMBEDDINGS, lake)
    model = work.study.model(work.model)
    clips, rated, left_out = videos.collect(), ratings.collect(), Exclusions()
    if isinstance(model, FeaturesModel):
        space = _features(work, model, clips, left_out)
    else:
        with progress.track(context, f"{model.name}: learning the space") as advance:
            space = _learn(work, judgments.collect(), triplets.collect(), clips, device.pick(), advance)
    rows = _embedding_rows(space, clips).with_columns(model=pl.lit(work.model))
    yield work.result(
        "embeddings", work.stamped(rows).select(EMBEDDINGS_TABLE.schema.names()), device.describe(), left_out
    )
    yield work.result("dimensions", _dimension_rows(work, space, clips, rated), _notes(space))
    yield work.result("embedding_quality", _quality_row(work, space, clips, captions, rated))


def _features(work: Work, model: FeaturesModel, clips: pl.DataFrame, left_out: Exclusions) -> Space:
    from resources.agents.features import feature_space

    video_ids, vectors, names = feature_space(model, stimuli(work), work.study, left_out)
    items = pl.DataFrame({"video_id": video_ids}).join(clips, on="video_id", maintain_order="left")["item"]
    return Space(items.to_numpy(), vectors, names)


def _learn(
    work: Work, judgments: pl.DataFrame, triplets: pl.DataFrame, clips: pl.DataFrame, device: str, advance: Advance
) -> Space:
    from affectlake.spose import fit_reproducible

    settings = work.study.embedding
    answers, purposes, version = counted(work, judgments, triplets)
    train = judged.with_purpose(answers, purposes, "train")
    fit = fit_reproducible(
        judged.odd_last(train),
        int(clips["item"].max() or 0) + 1,  # type: ignore[arg-type]
        dimensions_kept=settings.keep,
        seeds=settings.seeds,
        dimensions=settings.dimensions,
        l1=settings.l1,
        seed=settings.seed,
        probabilities=judged.odd_probabilities(train),
        device="cuda" if device == "cuda" else "cpu",
        progress=lambda share, text: advance(round(1000 * share), 1000),
    )
    times = judged.times_judged(train)
    items = times["item"].to_numpy()
    return Space(items, fit.weights[items], (), times["n_judgments"].to_numpy(), version, fit, answers, purposes)


def _embedding_rows(space: Space, clips: pl.DataFrame) -> pl.DataFrame:
    n = None if space.n_judgments is None else pl.Series(space.n_judgments, dtype=pl.Int32)
    rows = pl.DataFrame(
        {
            "item": pl.Series(space.items, dtype=pl.Int32),
            "vector": pl.Series(np.ascontiguousarray(space.vectors)).arr.to_list(),
            "n_judgments": n if n is not None else pl.Series([None] * len(space.items), dtype=pl.Int32),
        }
    ).with_columns(prompt_version=pl.lit(space.prompt_version, dtype=pl.String))
    return rows.join(clips.select("item", "video_id"), on="item")


def _dimension_rows(work: Work, space: Space, clips: pl.DataFrame, rated: pl.DataFrame) -> pl.DataFrame:
    from affectlake.naming import name_dimensions

    names = [(s, n) for s, n in rated.select("scale", "name").unique().sort("scale", "name").iter_rows()]
    ids = pl.DataFrame({"item": pl.Series(space.items, dtype=pl.Int32)}).join(
        clips.select("item", "video_id"), on="item", maintain_order="left"
    )["video_id"]
    meanings = name_dimensions(space.vectors, judged.rating_matrix(rated, ids, names), names)
    weight = np.abs(space.vectors).sum(axis=0, dtype=np.float64)
    share = weight / weight.sum() if weight.sum() > 0 else weight
    fit = space.fit
    rows = [
        {
            "model": work.model,
            "dimension": d,
            "label": space.labels[d] if space.labels else meaning.label,
            "kind": meaning.kind,
            "share": float(share[d]),
            "reproducibility": _at(fit.reproducibility if fit else None, d),
            "reproducibility_low": _at(fit.reproducibility_low if fit else None, d),
            "reproducibility_high": _at(fit.reproducibility_high if fit else None, d),
            "correlations": [{"scale": c.scale, "name": c.name, "r": c.r, "q": c.q} for c in meaning.correlations],
        }
        for d, meaning in enumerate(meanings)
    ]
    schema = {k: v for k, v in DIMENSIONS_TABLE.schema.items() if k not in ("code_version", "source_versions")}
    return work.stamped(pl.DataFrame(rows, schema=schema))


def _at(values: npt.NDArray[np.float64] | None, d: int) -> float | None:
    return None if values is None or not np.isfinite(values[d]) else float(values[d])


def _notes(space: Space) -> dict[str, Any]:
    if space.fit is None:
        return {}
    return {"l1": space.fit.l1, **({"lacks": "; ".join(space.fit.lacks)} if space.fit.lacks else {})}


def _quality_row(
    work: Work,
    space: Space,
    clips: pl.DataFrame,
    captions: pl.LazyFrame,
    rated: pl.DataFrame,
) -> pl.DataFrame:
    scored = scoring_items(work.study, clips, captions)
    covered = np.intersect1d(space.items, scored)
    row: dict[str, Any] = dict.fromkeys(EMBEDDING_QUALITY.schema)
    row |= {
        "model": work.model,
        "n_dimensions": space.vectors.shape[1],
        "n_items": len(covered),
        "coverage": len(covered) / len(scored) if len(scored) else 0.0,
        "n_refused": work.lake.scan("attempts", work.key).filter("final").select(pl.len()).collect().item(),
    }
    row |= _categorisation(space, covered, clips, rated)
    if space.fit is not None:
        row |= _against_judgments(space) | {
            "l1": space.fit.l1,
            "judgments_version": work.lake.version("judgments"),
        }
    frame = pl.DataFrame([row], schema=EMBEDDING_QUALITY.schema)
    return work.stamped(frame.drop("code_version", "source_versions")).select(frame.columns)


def _categorisation(
    space: Space, covered: npt.NDArray[np.int32], clips: pl.DataFrame, rated: pl.DataFrame
) -> dict[str, float]:
    """Top-3 accuracy on the category that most raters named, for the published 27 and for all 34."""
    from affectlake.quality import top3
    from affectlake.scales import CATEGORIES, CATEGORIES_27

    found = {}
    at = {item: row for row, item in enumerate(space.items.tolist())}
    ids = dict(clips.select("item", "video_id").iter_rows())
    video_ids = pl.Series([ids[i] for i in covered.tolist()], dtype=pl.String)
    vectors = space.vectors[[at[i] for i in covered.tolist()]]
    for column, categories in (("top3_27", CATEGORIES_27), ("top3_34", CATEGORIES)):
        matrix = judged.rating_matrix(rated, video_ids, [("category", c) for c in categories])
        known = np.isfinite(matrix).all(axis=1)
        if known.sum() > len(categories):
            found[column] = top3(vectors[known], matrix[known].argmax(axis=1))
    return found


def _against_judgments(space: Space) -> dict[str, Any]:
    """Held-out accuracy, chance, noise ceiling and fit to the measured similarities, each where there are judgments."""
    from affectlake import quality

    fit = space.fit
    if fit is None:
        return {}
    found: dict[str, Any] = {"n_train": judged.with_purpose(space.judgments, space.purposes, "train").height}
    test = judged.with_purpose(space.judgments, space.purposes, "test")
    if test.height:
        answers = judged.odd_last(test)
        held = quality.held_out(fit.weights, answers)
        found |= {
            "n_test": held.n,
            "n_ties": held.n_ties,
            "accuracy": held.accuracy,
            "accuracy_low": held.low,
            "accuracy_high": held.high,
            "chance": quality.chance(fit.weights, answers).value,
        }
    repeated = judged.with_purpose(space.judgments, space.purposes, "ceiling")
    if repeated.height:
        found |= _estimate(
            "ceiling", quality.noise_ceiling(repeated["triplet_id"].to_numpy(), repeated["odd"].to_numpy())
        )
    validation = judged.with_purpose(space.judgments, space.purposes, "validation")
    if validation.height:
        found |= _estimate("rsm_r", _rsm_fit(fit.weights, validation))
    return found


def _rsm_fit(weights: Floats, validation: pl.DataFrame) -> Any:
    from affectlake import quality
    from affectlake.similarity import measured_rsm, predicted_rsm

    answers = judged.odd_last(validation)
    items, renumbered = np.unique(answers, return_inverse=True)
    measured = measured_rsm(renumbered.reshape(answers.shape).astype(np.int32), len(items))
    predicted = predicted_rsm(weights)[np.ix_(items, items)]
    return quality.rsm_fit(predicted, measured)


def _estimate(name: str, estimate: Any) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
