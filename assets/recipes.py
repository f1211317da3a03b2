"""What decides each result: one recipe for every group of tables that are computed together, upstream first.

A test holds this list against the assets' real dependencies.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from resources.provenance import Key, Recipe
from resources.study import FeaturesModel, RatingsModel, Study


def _files(*names: str) -> object:
    """The files that the study names under these keys."""

    def files(study: Study, key: Key) -> list[Path]:
        wanted = tuple(name.format(**key) for name in names)
        return [study.resolve(path) for name, path in study.files() if name in wanted]

    return files


def _media(study: Study, key: Key) -> Iterable[Path]:
    yield study.resolve(study.stimuli.manifest)
    if study.stimuli.media_root:
        yield from sorted(p for p in study.resolve(study.stimuli.media_root).rglob("*") if p.is_file())


def _scans(study: Study, key: Key) -> Iterable[Path]:
    if study.brain is None:
        return
    yield study.resolve(study.brain.atlas.file)
    yield study.resolve(study.brain.atlas.labels)
    yield from sorted(p for p in (study.resolve(study.brain.root) / key["subject"]).rglob("*") if p.is_file())


def _model_inputs(study: Study, key: Key) -> tuple[str, ...]:
    """The tables that one model perceives; another model's stimuli do not make it stale."""
    model = study.model(key["model"])
    if isinstance(model, RatingsModel) or (isinstance(model, FeaturesModel) and model.scale):
        return ("videos", "ratings")
    return ("videos", "captions") if model.agent == "text" else ("videos",)


def _judging_inputs(study: Study, key: Key) -> tuple[str, ...]:
    return (*_model_inputs(study, key), "triplets")


def _embedding_inputs(study: Study, key: Key) -> tuple[str, ...]:
    always = ("judgments", "triplets", *_model_inputs(study, key), *_scoring_inputs(study))
    return tuple(dict.fromkeys((*always, "ratings") if study.ratings else always))


def _scoring_inputs(study: Study) -> tuple[str, ...]:
    return ("captions",) if study.items == "captioned" else ()


def _scored(study: Study, key: Key) -> object:
    return {"items": study.items}


def _score_inputs(study: Study, key: Key) -> tuple[str, ...]:
    return ("responses", "voxels", "embeddings", "videos", *_scoring_inputs(study))


VIDEOS = Recipe(
    outputs=("videos",),
    inputs=(),
    code=("affectlake.formats.videos",),
    settings=lambda study, key: study.stimuli.model_dump(mode="json", exclude={"frames", "frame_side_px"}),
    files=_media,
)
CAPTIONS = Recipe(
    outputs=("captions",),
    inputs=("videos",),
    code=("affectlake.formats.captions",),
    settings=lambda study, key: study.dump("captions"),
    files=_files("captions.file"),  # type: ignore[arg-type]
    applies=lambda study: study.captions is not None,
)
RATINGS = Recipe(
    outputs=("ratings",),
    inputs=("videos",),
    code=("affectlake.formats.ratings",),
    settings=lambda study, key: study.dump("ratings"),
    files=_files("ratings.file"),  # type: ignore[arg-type]
    applies=lambda study: study.ratings is not None,
)
FRAMES = Recipe(
    outputs=("frames",),
    inputs=("videos",),
    code=("affectlake.formats.videos",),
    settings=lambda study, key: study.stimuli.model_dump(mode="json", include={"frames", "frame_side_px"}),
    applies=lambda study: study.stimuli.media_root is not None,
)
TRIPLETS = Recipe(
    outputs=("triplets",),
    inputs=("videos",),
    code=("affectlake.triplets",),
    settings=lambda study, key: study.dump("triplets"),
)
JUDGMENTS = Recipe(
    outputs=("judgments", "attempts"),
    inputs=("videos", "captions", "ratings", "frames", "triplets"),
    code=("affectlake.triplets",),
    settings=lambda study, key: [
        study.model(key["model"]).model_dump(mode="json", exclude={"control"}),
        study.captions.use if study.captions and study.model(key["model"]).agent == "text" else None,
    ],
    files=_files("models.{model}.file", "models.{model}.ids"),  # type: ignore[arg-type]
    uses=_judging_inputs,
    applies=lambda study: bool(study.models),
)
EMBEDDINGS = Recipe(
    outputs=("embeddings", "dimensions", "embedding_quality", "embedding_curves"),
    inputs=("judgments", "triplets", "videos", "captions", "ratings"),
    code=("affectlake.assessment", "affectlake.curves", "affectlake.spose"),
    settings=lambda study, key: [study.dump("embedding"), study.items, _settings_of_features(study, key)],
    files=_files("models.{model}.file", "models.{model}.ids"),  # type: ignore[arg-type]
    uses=_embedding_inputs,
    applies=lambda study: bool(study.models),
)
DIMENSION_GRAPH = Recipe(
    outputs=("dimension_graph", "dimension_links"),
    inputs=("embeddings",),
    code=("affectlake.dimension_graph",),
    settings=lambda study, key: study.model_names,
    applies=lambda study: bool(study.models),
)
RESPONSES = Recipe(
    outputs=("responses", "voxels", "roi_timeseries"),
    inputs=("videos",),
    code=("affectlake.timeseries", "affectlake.atlas", "affectlake.formats.bids"),
    settings=lambda study, key: study.brain.model_dump(mode="json", exclude={"subjects"}) if study.brain else None,
    files=_scans,
    applies=lambda study: study.brain is not None,
)
ENCODING = Recipe(
    outputs=("encoding_scores", "run_scores", "voxel_scores"),
    inputs=("responses", "voxels", "embeddings", "videos", "captions"),
    code=("affectlake.encoding", "affectlake.statistics"),
    settings=lambda study, key: [study.dump("encoding"), _scored(study, key)],
    uses=_score_inputs,
    applies=lambda study: study.brain is not None and bool(study.models),
)
RSA = Recipe(
    outputs=("rsa_scores",),
    inputs=("responses", "voxels", "embeddings", "videos", "captions"),
    code=("affectlake.rsa", "affectlake.similarity", "affectlake.statistics"),
    settings=lambda study, key: [study.encoding.null, _scored(study, key)],
    uses=_score_inputs,
    applies=lambda study: study.brain is not None and bool(study.models),
)
COMPARISONS = Recipe(
    outputs=("comparisons",),
    inputs=("encoding_scores", "rsa_scores"),
    code=("affectlake.statistics",),
    settings=lambda study, key: study.model_names,
    applies=lambda study: study.brain is not None and len(study.models) > 1,
)


def _settings_of_features(study: Study, key: Key) -> object:
    model = study.model(key["model"])
    return model.model_dump(mode="json", exclude={"control"}) if isinstance(model, FeaturesModel) else model.train


RECIPES: tuple[Recipe, ...] = (
    VIDEOS,
    CAPTIONS,
    RATINGS,
    FRAMES,
    TRIPLETS,
    JUDGMENTS,
    EMBEDDINGS,
    DIMENSION_GRAPH,
    RESPONSES,
    ENCODING,
    RSA,
    COMPARISONS,
)
