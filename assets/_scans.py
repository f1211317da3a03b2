"""One subject's scans, whatever the format: settings in, the reader of that format, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from affectlake.errors import StudyError
from affectlake.exclusions import Exclusions
from resources.brains import (
    BDataBrain,
    BidsBrain,
    BrainSettings,
    Groups,
    ResponsesBrain,
    TimedSettings,
    TimeSeriesBrain,
)
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
    if isinstance(brain, ResponsesBrain):
        return _responses(study, brain, subject, clips, exclusions)
    if isinstance(brain, BDataBrain):
        return _bdata(study, brain, subject, clips, exclusions)
    raise StudyError("has no section `brain`", where=str(study.path))


def _bids(
    study: Study, brain: BidsBrain, subject: str, clips: pl.DataFrame, exclusions: Exclusions, progress: Progress
) -> SubjectData:
    from affectlake.atlas import read_atlas
    from affectlake.formats.bids import find_runs
    from affectlake.timeseries import read_subject

    runs = find_runs(study.resolve(brain.root), subject, space=brain.space, task=brain.task)
    groups = _groups(study, brain.atlas.groups)
    image, labels = (study.resolve(brain.atlas.inside(file)) for file in (brain.atlas.file, brain.atlas.labels))
    atlas = read_atlas(image, labels, groups=groups)
    shown = _shown(study, brain, runs, clips, exclusions)
    return read_subject(runs, atlas, shown, confounds=brain.confounds, progress=progress, **_blocks(brain, clips))


def _series(
    study: Study, brain: TimeSeriesBrain, subject: str, clips: pl.DataFrame, exclusions: Exclusions
) -> SubjectData:
    from affectlake.roiseries import read_series_subject, series_run

    files = _files(study, subject)
    run = series_run(subject, files["brain.series"], files["brain.stimuli"], brain.tr_s, brain.rois)
    return read_series_subject(
        run,
        _shown(study, brain, [run], clips, exclusions),
        names=brain.rois,
        confounds=[(files[f"brain.confounds.{n}.file"], c.skip) for n, c in enumerate(brain.confounds)],
        **_blocks(brain, clips),
    )


def _responses(
    study: Study, brain: ResponsesBrain, subject: str, clips: pl.DataFrame, exclusions: Exclusions
) -> SubjectData:
    from affectlake.formats.bids import read_text
    from affectlake.formats.matrices import read_matrix, read_stimuli, read_voxels
    from affectlake.responsematrix import matrix_subject

    files = _files(study, subject)
    matrix, stimuli = files["brain.matrix"], files["brain.stimuli"]
    table = read_stimuli(stimuli, brain.stimulus_column).with_columns(source=pl.lit(str(stimuli)))
    return matrix_subject(
        subject,
        _resolved(study, brain, table, [(stimuli, read_text(stimuli))], clips, exclusions),
        read_matrix(matrix, dataset=brain.dataset),
        read_voxels(files["brain.voxels"]),
        source=matrix,
        duplicate_of=_duplicates(clips),
        repeats=brain.repeats,
    )


def _bdata(study: Study, brain: BDataBrain, subject: str, clips: pl.DataFrame, exclusions: Exclusions) -> SubjectData:
    from affectlake.formats.bdata import read_bdata
    from affectlake.formats.matrices import in_natural_order
    from affectlake.responsematrix import matrix_subject

    paths = in_natural_order(study.resolve(p) for key, p in study.subject_files(subject) if key == "brain.data")
    groups = _groups(study, brain.groups)
    data = read_bdata(paths, stimulus_column=brain.stimulus_column, groups=groups)
    return matrix_subject(
        subject,
        _resolved(study, brain, data.samples, [(paths[0], data.labels)], clips, exclusions),
        data.responses,
        data.voxels,
        source=paths[0],
        duplicate_of=_duplicates(clips),
        repeats=brain.repeats,
    )


def _files(study: Study, subject: str) -> dict[str, Path]:
    """The one file that each key names."""
    named = list(study.subject_files(subject))
    doubled = [str(path) for key, path in named if sum(key == other for other, _ in named) > 1]
    if doubled:
        raise StudyError(f"one pattern names several files of {subject}: {', '.join(doubled)}", where=str(study.path))
    return {key: study.resolve(path) for key, path in named}


def _groups(study: Study, groups: Groups | None) -> dict[str, list[str]] | None:
    from affectlake.formats.groups import read_groups

    return read_groups(study.resolve(groups.file), label=groups.label) if groups else None


def _to_id(brain: BrainSettings) -> Callable[[str], str]:
    from affectlake.formats.ids import respell

    return lambda text: str(respell(pl.Series([text]), brain.id)[0])


def _shown(
    study: Study, brain: TimedSettings, runs: list[Run], clips: pl.DataFrame, exclusions: Exclusions
) -> pl.DataFrame:
    from affectlake.formats.bids import check_numbering, event_tables, read_presentations

    column, to_id = brain.stimulus_column, _to_id(brain)
    shown, left_out = read_presentations(runs, stimulus_column=column, known=set(clips["video_id"]), to_id=to_id)
    exclusions.update(left_out)
    check_numbering(event_tables(runs), _names(study), stimulus_column=column, to_id=to_id, no_clip=brain.no_clip)
    return shown


def _resolved(
    study: Study,
    brain: BrainSettings,
    table: pl.DataFrame,
    raw: list[tuple[Path, pl.DataFrame]],
    clips: pl.DataFrame,
    exclusions: Exclusions,
) -> pl.DataFrame:
    from affectlake.formats.bids import check_numbering, resolve_stimuli

    column, to_id = brain.stimulus_column, _to_id(brain)
    shown, left_out = resolve_stimuli(table, column, set(clips["video_id"]), to_id)
    exclusions.update(left_out)
    check_numbering(raw, _names(study), stimulus_column=column, to_id=to_id, no_clip=brain.no_clip)
    return shown


def _duplicates(clips: pl.DataFrame) -> dict[str, str]:
    return dict(clips.drop_nulls().iter_rows())


def _names(study: Study) -> pl.DataFrame:
    from affectlake.formats.videos import read_names

    manifest = study.stimuli
    return read_names(study.resolve(manifest.manifest), id_rule=manifest.id, id_column=manifest.id_column)


def _blocks(brain: TimedSettings, clips: pl.DataFrame) -> Mapping[str, Any]:
    return {
        "duplicate_of": _duplicates(clips),
        "repeats": brain.repeats,
        "shift_s": brain.shift_s,
        "rest_s": brain.rest_s,
        "despike": brain.despike,
        "high_pass_s": brain.high_pass_s,
        "estimator": brain.estimator,
    }
