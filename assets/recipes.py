"""What decides each result: one recipe for every group of tables that are computed together, upstream first.

A test holds this list against the assets' real dependencies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from affectlake.errors import InputError
from affectlake.report.html import appearance
from resources.brains import BidsBrain
from resources.methods import versions
from resources.provenance import Key, Recipe
from resources.refitting import few_new_judgments
from resources.study import FeaturesModel, RatingsModel, ServiceModel, Study, reads_captions


def _files(*names: str) -> Callable[[Study, Key], Iterable[Path]]:
    """The files that the study names under these keys; of a folder of features its files."""

    def files(study: Study, key: Key) -> list[Path]:
        wanted = tuple(name.format(**key) for name in names)
        found = [study.resolve(path) for name, path in study.files() if name in wanted]
        return [p for path in found for p in (sorted(path.glob("*.mat")) if path.is_dir() else [path])]

    return files


def _media(study: Study, key: Key) -> Iterable[Path]:
    yield study.resolve(study.stimuli.manifest)
    if study.stimuli.media_root:
        yield from sorted(p for p in study.resolve(study.stimuli.media_root).rglob("*") if p.is_file())


def _scans(study: Study, key: Key) -> Iterable[Path]:
    yield study.resolve(study.stimuli.manifest)
    for name, path in study.subject_files(key["subject"]):
        file = study.resolve(path / key["subject"] if name == "brain.root" else path)
        yield from sorted(p for p in file.rglob("*") if p.is_file()) if file.is_dir() else (file,)
    yield from _runs(study, key["subject"])


def _runs(study: Study, subject: str) -> Iterable[Path]:
    """Files of a subject's runs that lie elsewhere: events of the raw dataset above the derivatives, for one."""
    from affectlake.formats.bids import find_runs

    brain = study.brain
    if not isinstance(brain, BidsBrain):
        return
    try:
        runs = find_runs(study.resolve(brain.root), subject, space=brain.space, task=brain.task)
    except InputError:
        return  # told when the scans are read
    yield from (file for run in runs for file in (run.bold, run.events, run.mask, run.confounds) if file is not None)


def _model_inputs(study: Study, key: Key) -> tuple[str, ...]:
    """The tables that one model perceives; another model's stimuli do not make it stale."""
    model = study.model(key["model"])
    if isinstance(model, RatingsModel) or (isinstance(model, FeaturesModel) and model.scale):
        return ("videos", "ratings")
    if isinstance(model, ServiceModel) and model.input == "frames":
        return ("videos", "frames")
    return ("videos", "captions") if reads_captions(model) else ("videos",)


def _sees(study: Study, key: Key) -> bool:
    """True for a model whose answers depend on the clips' files."""
    model = study.model(key["model"])
    return isinstance(model, ServiceModel) and model.input != "captions"


def _judging_inputs(study: Study, key: Key) -> tuple[str, ...]:
    return (*_model_inputs(study, key), *_questions(study, key))


def _questions(study: Study, key: Key) -> tuple[str, ...]:
    """The planned questions, which a feature space is not asked."""
    return () if isinstance(study.model(key["model"]), FeaturesModel) else ("triplets",)


def _embedding_inputs(study: Study, key: Key) -> tuple[str, ...]:
    named = ("captions",) if study.embedding.labels else ()
    scored = (*_scoring_inputs(study), *named)
    always = ("judgments", *_questions(study, key), *_model_inputs(study, key), *scored)
    return tuple(dict.fromkeys((*always, "ratings") if study.ratings else always))


def _scoring_inputs(study: Study) -> tuple[str, ...]:
    return ("captions",) if study.items == "captioned" else ()


def _judging(study: Study, key: Key) -> object:
    """What decides which questions one model is asked and how it answers them."""
    model = study.model(key["model"])
    return [
        model.model_dump(mode="json", exclude={"control", "profile", "max_usd", "media_uuids", "mode", "batch_size"}),
        study.triplets.seed,
        study.captions.use if reads_captions(model) and study.captions else None,
        [study.stimuli.frames, study.stimuli.frame_side_px] if _sees(study, key) else None,
    ]


def _score_inputs(study: Study, key: Key) -> tuple[str, ...]:
    return ("responses", "voxels", "embeddings", "videos", *_scoring_inputs(study))


def _controls(study: Study, key: Key) -> Iterable[Path]:
    """The declared set of clips, and the feature spaces that are partialled out."""
    names = (f"models.{name}.{part}" for name in study.rsa.partial for part in ("file", "ids"))
    return _files("items", *names)(study, key)


def _compared(study: Study, key: Key) -> tuple[str, ...]:
    always = ("encoding_scores", "run_scores", "rsa_scores")
    return (*always, "searchlight_scores", "voxels") if study.rsa.searchlight else always


AGENTS = tuple(
    f"resources.agents.{name}"
    for name in ("ratings", "simulated", "recorded", "text", "service.agent", "service.batches")
)

VIDEOS = Recipe(
    outputs=("videos",),
    inputs=(),
    code=("assets.stimuli",),
    settings=lambda study, key: study.stimuli.model_dump(mode="json", exclude={"frames", "frame_side_px", "show"}),
    files=_media,
)
CAPTIONS = Recipe(
    outputs=("captions",),
    inputs=("videos",),
    code=("assets.stimuli",),
    settings=lambda study, key: study.dump("captions"),
    files=_files("captions.file"),
    applies=lambda study: study.captions is not None,
)
RATINGS = Recipe(
    outputs=("ratings",),
    inputs=("videos",),
    code=("assets.stimuli",),
    settings=lambda study, key: study.dump("ratings"),
    files=_files("ratings.file"),
    applies=lambda study: study.ratings is not None,
)
FRAMES = Recipe(
    outputs=("frames",),
    inputs=("videos",),
    code=("assets.stimuli",),
    media=lambda study, key: True,
    settings=lambda study, key: study.stimuli.model_dump(mode="json", include={"frames", "frame_side_px"}),
    applies=lambda study: study.stimuli.media_root is not None,
)
TRIPLETS = Recipe(
    outputs=("triplets",),
    inputs=("videos",),
    code=("assets.triplets",),
    settings=lambda study, key: study.dump("triplets"),
)
JUDGMENTS = Recipe(
    outputs=("judgments", "attempts"),
    inputs=("videos", "captions", "ratings", "frames", "triplets"),
    code=("assets.judgments", *AGENTS),
    settings=_judging,
    files=_files("models.{model}.file", "models.{model}.ids"),
    uses=_judging_inputs,
    may_wait=True,
    media=_sees,
    applies=lambda study: bool(study.models),
)
EMBEDDINGS = Recipe(
    outputs=("embeddings", "dimensions", "embedding_quality", "embedding_runs", "embedding_curves"),
    inputs=("judgments", "triplets", "videos", "captions", "ratings", "frames"),
    code=("assets.embeddings", "resources.agents.features"),
    # answers of other settings stay in the table of judgments: which of them count is decided by the settings
    settings=lambda study, key: [
        # whether a fit goes on from an earlier one decides what comes out; from which share on does not
        study.embedding.model_dump(mode="json", exclude={"refit_share"}) | {"goes_on": study.embedding.refit_share > 0},
        study.items,
        _judging(study, key),
    ],
    files=_files("models.{model}.file", "models.{model}.ids", "items"),
    uses=_embedding_inputs,
    media=_sees,
    settled=few_new_judgments,
    applies=lambda study: bool(study.models),
)
DIMENSION_GRAPH = Recipe(
    outputs=("dimension_graph", "dimension_links"),
    inputs=("embeddings",),
    code=("assets.dimension_graph",),
    settings=lambda study, key: study.model_names,
    applies=lambda study: bool(study.models),
)
RESPONSES = Recipe(
    outputs=("responses", "voxels", "roi_timeseries"),
    inputs=("videos",),
    code=("assets.brain",),
    settings=lambda study, key: [
        study.brain.model_dump(mode="json", exclude={"subjects"}) if study.brain else None,
        study.stimuli.id_column,
        study.stimuli.id.model_dump(mode="json"),
    ],
    files=_scans,
    applies=lambda study: study.brain is not None,
)
CEILINGS = Recipe(
    outputs=("noise_ceilings",),
    inputs=("responses", "voxels"),
    code=("assets.ceilings",),
    settings=lambda study, key: study.subjects,
    applies=lambda study: study.brain is not None,
)
ENCODING = Recipe(
    outputs=("encoding_scores", "run_scores", "voxel_scores"),
    inputs=("responses", "voxels", "embeddings", "videos", "captions"),
    code=("assets.encoding",),
    settings=lambda study, key: [study.dump("encoding"), study.items],
    files=_files("items"),
    uses=_score_inputs,
    applies=lambda study: study.brain is not None and bool(study.models),
)
RSA = Recipe(
    outputs=("rsa_scores",),
    inputs=("responses", "voxels", "embeddings", "videos", "captions"),
    code=("assets.similarity", "resources.agents.features"),
    settings=lambda study, key: [
        study.encoding.null,
        study.encoding.seed,
        study.items,
        study.rsa.methods,
        [study.model(name).model_dump(mode="json") for name in study.rsa.partial],
    ],
    files=_controls,
    uses=_score_inputs,
    applies=lambda study: study.brain is not None and bool(study.models),
)
SEARCHLIGHT = Recipe(
    outputs=("searchlight_scores",),
    inputs=("responses", "voxels", "embeddings", "videos", "captions"),
    code=("assets.similarity",),
    settings=lambda study, key: [study.rsa.model_dump(mode="json", include={"searchlight"}), study.items],
    files=_files("items"),
    uses=_score_inputs,
    models=lambda study: set((study.rsa.searchlight and study.rsa.searchlight.models) or study.model_names),
    applies=lambda study: study.brain is not None and bool(study.models) and study.rsa.searchlight is not None,
)
DECODING = Recipe(
    outputs=("decoding_scores",),
    inputs=("responses", "voxels", "embeddings", "videos", "captions"),
    code=("assets.decoding",),
    settings=lambda study, key: [study.dump("encoding"), study.items, study.dump("decoding")],
    files=_files("items"),
    uses=_score_inputs,
    models=lambda study: set(study.decoding.models),
    applies=lambda study: study.brain is not None and bool(study.decoding.models),
)
VARIANCE = Recipe(
    outputs=("variance_partition",),
    inputs=("responses", "voxels", "embeddings", "videos", "captions"),
    code=("assets.variance",),
    settings=lambda study, key: [study.dump("encoding"), study.items, study.dump("variance_partition")],
    files=_files("items"),
    uses=_score_inputs,
    models=lambda study: {m for models in study.variance_partition.sets for m in models},
    applies=lambda study: study.brain is not None and bool(study.variance_partition.sets),
)
COMPARISONS = Recipe(
    outputs=("comparisons",),
    inputs=("encoding_scores", "run_scores", "rsa_scores", "searchlight_scores", "voxels"),
    code=("assets.comparisons",),
    settings=lambda study, key: study.model_names,
    uses=_compared,
    applies=lambda study: study.brain is not None and len(study.models) > 1,
)

RESULTS: tuple[Recipe, ...] = (
    VIDEOS,
    CAPTIONS,
    RATINGS,
    FRAMES,
    TRIPLETS,
    JUDGMENTS,
    EMBEDDINGS,
    DIMENSION_GRAPH,
    RESPONSES,
    CEILINGS,
    ENCODING,
    RSA,
    SEARCHLIGHT,
    DECODING,
    VARIANCE,
    COMPARISONS,
)
"""What the report shows."""


def _shown(study: Study, key: Key) -> tuple[str, ...]:
    """What the study has to show; media count only where their frames are seen."""
    hidden = () if study.stimuli.show == "thumbnails" else FRAMES.outputs
    return tuple(t for r in RESULTS if r.applies(study) for t in r.outputs if t not in hidden)


REPORT = Recipe(
    outputs=("report",),
    inputs=tuple(t for r in RESULTS for t in r.outputs),
    code=("assets.report", "resources.methods"),
    settings=lambda study, key: [
        study.model_dump(mode="json", exclude={"profiles", "prices", "automation"}),
        appearance(),
        versions(),
    ],
    uses=_shown,
    media=lambda study, key: True,
)


RECIPES: tuple[Recipe, ...] = (*RESULTS, REPORT)
