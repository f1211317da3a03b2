"""The section ``brain`` of the study file: one kind of settings for each format that brains come in.

What belongs here: keys, and which files they name. What does not: reading those files (:mod:`affectlake.formats`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from resources.settings import IdRule, Settings

SUBJECT = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"

Named = Iterator[tuple[str, Path]]
"""Keys of the study file with the paths that they name, relative to it."""


class Atlas(Settings):
    """A labelled image and the names of its labels."""

    file: Path
    labels: Path


class BrainSettings(Settings):
    """What every format has."""

    subjects: tuple[Annotated[str, Field(pattern=SUBJECT)], ...] = Field(min_length=1)
    id: IdRule = IdRule()
    """How the scans spell the ids of clips."""


class TimedSettings(BrainSettings):
    """What the formats have whose stimuli are timed by a table: responses are means over blocks."""

    stimulus_column: str = "stim_id"
    no_clip: tuple[str, ...] = ()
    """What that column says where no clip is shown, such as "0"."""
    shift_s: float = Field(4.0, ge=0, le=20)
    """Haemodynamic delay, seconds, rounded to whole volumes."""
    rest_s: float = Field(2.0, ge=0, le=60)
    """Rest after each block that belongs to it, seconds."""
    despike: bool = False


class BidsBrain(TimedSettings):
    """Images: derivatives of fMRIPrep."""

    format: Literal["bids"]
    root: Path
    task: str | None = None
    space: str | None = None
    atlas: Atlas

    def files(self, subject: str) -> Named:
        """The derivatives, whatever the subject, and the atlas."""
        yield "brain.root", self.root
        yield "brain.atlas.file", self.atlas.file
        yield "brain.atlas.labels", self.atlas.labels


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
    high_pass_s: float | None = Field(None, gt=0)
    """Drifts slower than this period are taken out, seconds; none where absent."""

    def files(self, subject: str) -> Named:
        """The subject's tables."""
        yield "brain.series", _of(self.series, subject)
        yield "brain.stimuli", _of(self.stimuli, subject)
        for number, confounds in enumerate(self.confounds):
            yield f"brain.confounds.{number}.file", _of(confounds.file, subject)


Brain = Annotated[BidsBrain | TimeSeriesBrain, Field(discriminator="format")]

BRAINS: dict[str, type[BrainSettings]] = {"bids": BidsBrain, "timeseries": TimeSeriesBrain}
"""Settings by format."""
