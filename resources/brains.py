"""The section ``brain`` of the study file: one kind of settings for each format that brains come in.

What belongs here: keys, and which files they name. What does not: reading those files (:mod:`affectlake.formats`).
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from affectlake.errors import StudyError
from resources.settings import IdRule, Settings

SUBJECT = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"

Named = Iterator[tuple[str, Path]]
"""Keys of the study file with the paths that they name, relative to it."""


class Groups(Settings):
    """Regions as lists of labels."""

    file: Path
    """YAML file: a mapping of region to list of labels."""
    label: str = "{label}"
    """How the atlas or the scans spell a label: ``{h}`` is L and R, ``{side}`` lh and rh."""


class Atlas(Settings):
    """A labelled image and the names of its labels."""

    file: Path
    labels: Path
    package: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """An installed Python package in whose folder `file` and `labels` lie; without it they lie beside the study."""
    groups: Groups | None = None
    """Every label is a region where absent."""

    def inside(self, file: Path) -> Path:
        """Where ``file`` is; the package is looked up and not imported.

        Raises
        ------
        StudyError
            The package is not installed.
        """
        if self.package is None:
            return file
        found = find_spec(self.package)
        if found is None or not found.submodule_search_locations:
            raise StudyError(
                f"the package {self.package} is not installed",
                where="brain.atlas.package",
                remedy=f"Install it (pip install {self.package}), or name another atlas.",
            )
        return Path(found.submodule_search_locations[0]) / file


class BrainSettings(Settings):
    """What every format has: subjects, and how the scans name the clips."""

    subjects: tuple[Annotated[str, Field(pattern=SUBJECT)], ...] = Field(min_length=1)
    id: IdRule = IdRule()
    """How the scans spell the ids of clips."""
    stimulus_column: str = "stim_id"
    no_clip: tuple[str, ...] = ()
    """What that column says where no clip is shown, such as "0"."""
    repeats: Literal["first", "all"] = "first"
    """Which presentations of a clip (and of its duplicates) count. All give a noise ceiling; no clip stands on both
    sides of a split either way."""


class TimedSettings(BrainSettings):
    """What the formats have whose stimuli are timed by a table: responses are means over blocks."""

    shift_s: float = Field(4.0, ge=0, le=20)
    """Haemodynamic delay, seconds, rounded to whole volumes."""
    rest_s: float = Field(2.0, ge=0, le=60)
    """Rest after each block that belongs to it, seconds."""
    despike: bool = False
    """Clip every voxel to 3 standard deviations of its run first."""
    high_pass_s: float | None = Field(None, gt=0)
    """Drifts slower than this period are taken out, seconds; none where absent (of `glm` those slower than 128)."""
    estimator: Literal["block", "glm"] = "block"
    """Mean over the block, or a general linear model of each presentation (least squares, separate), in which Glover's
    response stands in the place of shift and rest."""


class BidsBrain(TimedSettings):
    """Images: derivatives of fMRIPrep."""

    format: Literal["bids"]
    root: Path
    task: str | None = None
    space: str | None = None
    atlas: Atlas
    confounds: tuple[str, ...] = ()
    """Columns of fMRIPrep's confounds that are taken out, such as `trans_*`; none where absent."""

    def paths(self, subject: str) -> Named:
        """The derivatives, whatever the subject, and the atlas."""
        yield "brain.root", self.root
        yield "brain.atlas.file", self.atlas.inside(self.atlas.file)
        yield "brain.atlas.labels", self.atlas.inside(self.atlas.labels)
        if self.atlas.groups is not None:
            yield "brain.atlas.groups.file", self.atlas.groups.file


def _of(pattern: str, subject: str) -> Path:
    return Path(pattern.replace("{subject}", subject))


class Confounds(Settings):
    """A table of nuisance regressors, one row a volume."""

    file: str
    """Path with ``{subject}``; ``*`` stands for anything where that leaves one file."""
    skip: int = Field(0, ge=0)
    """Rows at the head that belong to volumes which the series no longer have."""


class TimeSeriesBrain(TimedSettings):
    """One text table a subject: rows are the volumes of one run, columns are regions."""

    format: Literal["timeseries"]
    series: str
    """Path with ``{subject}``."""
    rois: tuple[str, ...] = ()
    """Names of the columns, where the tables have no line of names."""
    tr_s: float = Field(gt=0, le=60)
    stimuli: str
    """Table with the columns onset and duration (seconds after the first volume) and `stimulus_column`; the path may
    have ``{subject}``."""
    confounds: tuple[Confounds, ...] = ()
    """Fitted by least squares over the run and taken out."""

    def paths(self, subject: str) -> Named:
        """The subject's tables."""
        yield "brain.series", _of(self.series, subject)
        yield "brain.stimuli", _of(self.stimuli, subject)
        for number, confounds in enumerate(self.confounds):
            yield f"brain.confounds.{number}.file", _of(confounds.file, subject)


class ResponsesBrain(BrainSettings):
    """Responses that were estimated elsewhere: one matrix a subject, one row a presentation, one column a voxel."""

    format: Literal["responses"]
    matrix: str
    """``.npy``, ``.parquet`` or ``.h5``; path with ``{subject}``."""
    dataset: str = "responses"
    """Name of the matrix inside an HDF5 file."""
    stimuli: str
    """Table of the matrix's rows: `stimulus_column`, and where there are session, run, trial, row."""
    voxels: str
    """Table of the matrix's columns: rois (joined by ;), and where known i, j, k, x, y, z, column."""

    def paths(self, subject: str) -> Named:
        """The subject's matrix and its two tables."""
        for key in ("matrix", "stimuli", "voxels"):
            yield f"brain.{key}", _of(getattr(self, key), subject)


class BDataBrain(BrainSettings):
    """Responses as bdpy and BrainDecoderToolbox2 write them."""

    format: Literal["bdata"]
    data: str
    """``.h5`` or ``.mat``; path with ``{subject}``, and ``*`` where there is one file a session."""
    stimulus_column: str = "stimulus_name"
    groups: Groups | None = None
    """Every region key of the files is a region where absent."""

    def paths(self, subject: str) -> Named:
        """The subject's files."""
        yield "brain.data", _of(self.data, subject)
        if self.groups is not None:
            yield "brain.groups.file", self.groups.file


Brain = Annotated[BidsBrain | TimeSeriesBrain | ResponsesBrain | BDataBrain, Field(discriminator="format")]

BRAINS: dict[str, type[BrainSettings]] = {
    "bids": BidsBrain,
    "timeseries": TimeSeriesBrain,
    "responses": ResponsesBrain,
    "bdata": BDataBrain,
}
"""Settings by format."""
