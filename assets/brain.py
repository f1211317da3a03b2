"""Stage 5: what the brains did. Region time series and one response a presentation and voxel."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from affectlake.errors import StudyError
from assets._work import Work
from assets.recipes import RESPONSES
from resources.io_manager import LakeResource
from resources.progress import ProgressResource
from resources.study import Brain


def responses(
    context: dg.AssetExecutionContext, lake: LakeResource, progress: ProgressResource, videos: pl.LazyFrame
) -> Iterator[dg.MaterializeResult[Any]]:
    """Read one subject's scans, one run in memory at a time."""
    from affectlake.atlas import read_atlas
    from affectlake.formats.bids import find_runs, read_presentations
    from affectlake.formats.ids import respell
    from affectlake.timeseries import read_subject

    work = Work(context, RESPONSES, lake)
    brain = _brain(work)
    clips = videos.select("video_id", "duplicate_of").collect()
    runs = find_runs(work.study.resolve(brain.root), work.subject, space=brain.space, task=brain.task)
    shown, left_out = read_presentations(
        runs,
        stimulus_column=brain.stimulus_column,
        known=set(clips["video_id"]),
        to_id=lambda text: str(respell(pl.Series([text]), brain.id)[0]),
    )
    with progress.track(context, f"reading {work.subject}") as advance:
        data = read_subject(
            runs,
            read_atlas(work.study.resolve(brain.atlas.file), work.study.resolve(brain.atlas.labels)),
            shown,
            duplicate_of=dict(clips.drop_nulls().iter_rows()),
            shift_s=brain.shift_s,
            rest_s=brain.rest_s,
            despike=brain.despike,
            progress=advance,
        )
    left_out.update(data.exclusions)
    counts = dict(data.voxels["status"].value_counts().sort("status").iter_rows())
    yield work.result("responses", data.responses_frame(), exclusions=left_out)
    yield work.result("voxels", data.voxels, {f"voxels_{status}": n for status, n in counts.items()})
    yield work.result("roi_timeseries", data.timeseries)


def _brain(work: Work) -> Brain:
    if work.study.brain is None:
        raise StudyError("has no section `brain`", where=str(work.study.path))
    return work.study.brain
