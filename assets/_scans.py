"""One subject's scans, whatever the format: settings in, the reader of that format, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from affectlake.errors import StudyError
from affectlake.exclusions import Exclusions
from resources.brains import BidsBrain, TimedSettings, TimeSeriesBrain
from resources.study import Study

if TYPE_CHECKING:
    from affectlake.brainframes import SubjectData
    from affectlake.formats.bids import Run

Progress = Callable[[int, int], None]


def read_scans(
    study: Study, subject: str, videos: pl.DataFrame, exclusions: Exclusions, progress: Progress
) -> SubjectData:
    """Read one subject by the format that the study declares.

    Raises
    ------
    StudyError
        The study has no brains.
    InputError
        A file is missing or wrong.
    """
    brain = study.brain
    clips = videos.select("video_id", "duplicate_of")
    if isinstance(brain, BidsBrain):
        return _bids(study, brain, subject, clips, exclusions, progress)
    if isinstance(brain, TimeSeriesBrain):
        return _series(study, brain, subject, clips, exclusions)
    raise StudyError("has no section `brain`", where=str(study.path))


def _bids(
    study: Study, brain: BidsBrain, subject: str, clips: pl.DataFrame, exclusions: Exclusions, progress: Progress
) -> SubjectData:
    from affectlake.atlas import read_atlas
    from affectlake.formats.bids import find_runs
    from affectlake.timeseries import read_subject

    runs = find_runs(study.resolve(brain.root), subject, space=brain.space, task=brain.task)
    atlas = read_atlas(study.resolve(brain.atlas.file), study.resolve(brain.atlas.labels))
    shown = _shown(study, brain, runs, clips, exclusions)
    return read_subject(runs, atlas, shown, progress=progress, **_blocks(brain, clips))


def _series(
    study: Study, brain: TimeSeriesBrain, subject: str, clips: pl.DataFrame, exclusions: Exclusions
) -> SubjectData:
    from affectlake.roiseries import read_series_subject, series_run

    named = list(study.subject_files(subject))
    files = {key: study.resolve(path) for key, path in named}
    doubled = [str(path) for key, path in named if sum(key == other for other, _ in named) > 1]
    if doubled:
        raise StudyError(f"one pattern names several files of {subject}: {', '.join(doubled)}", where=str(study.path))
    run = series_run(subject, files["brain.series"], files["brain.stimuli"], brain.tr_s, brain.rois)
    return read_series_subject(
        run,
        _shown(study, brain, [run], clips, exclusions),
        names=brain.rois,
        confounds=[(files[f"brain.confounds.{n}.file"], c.skip) for n, c in enumerate(brain.confounds)],
        high_pass_s=brain.high_pass_s,
        **_blocks(brain, clips),
    )


def _shown(
    study: Study, brain: TimedSettings, runs: list[Run], clips: pl.DataFrame, exclusions: Exclusions
) -> pl.DataFrame:
    from affectlake.formats.bids import check_numbering, read_presentations
    from affectlake.formats.ids import respell

    def to_id(text: str) -> str:
        return str(respell(pl.Series([text]), brain.id)[0])

    column, known = brain.stimulus_column, set(clips["video_id"])
    shown, left_out = read_presentations(runs, stimulus_column=column, known=known, to_id=to_id)
    check_numbering(runs, _names(study), stimulus_column=column, to_id=to_id, no_clip=brain.no_clip)
    exclusions.update(left_out)
    return shown


def _names(study: Study) -> pl.DataFrame:
    from affectlake.formats.videos import read_names

    manifest = study.stimuli
    return read_names(study.resolve(manifest.manifest), id_rule=manifest.id, id_column=manifest.id_column)


def _blocks(brain: TimedSettings, clips: pl.DataFrame) -> Mapping[str, Any]:
    return {
        "duplicate_of": dict(clips.drop_nulls().iter_rows()),
        "shift_s": brain.shift_s,
        "rest_s": brain.rest_s,
        "despike": brain.despike,
    }
