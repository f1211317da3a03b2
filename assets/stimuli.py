"""Stage 1: what was shown. Videos, their captions, ratings and frames."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.tables import CAPTIONS as CAPTIONS_TABLE
from affectlake.tables import FRAMES as FRAMES_TABLE
from affectlake.tables import RATINGS as RATINGS_TABLE
from assets._work import Work
from assets.recipes import CAPTIONS, FRAMES, RATINGS, VIDEOS
from resources.io_manager import LakeResource
from resources.progress import ProgressResource


def videos(
    context: dg.AssetExecutionContext, lake: LakeResource, progress: ProgressResource
) -> dg.MaterializeResult[Any]:
    """Number the clips of the manifest and look at their media."""
    from affectlake.formats.videos import assign_items, describe_media, read_manifest

    work = Work(context, VIDEOS, lake)
    stimuli = work.study.stimuli
    manifest = read_manifest(work.study.resolve(stimuli.manifest), id_rule=stimuli.id, id_column=stimuli.id_column)
    numbered = assign_items(manifest, work.lake.read("videos"))
    root = work.study.resolve(stimuli.media_root) if stimuli.media_root else None
    with progress.track(context, "looking at clips") as advance:
        described = describe_media(numbered, root, _count(advance, numbered.height))
    counts = dict(described["status"].value_counts().sort("status").iter_rows())
    return work.result("videos", described, {f"status_{status}": n for status, n in counts.items()})


def captions(context: dg.AssetExecutionContext, lake: LakeResource, videos: pl.LazyFrame) -> dg.MaterializeResult[Any]:
    """Read the descriptions of the study's clips."""
    from affectlake.formats.captions import read_captions
    from affectlake.formats.ids import match

    work = Work(context, CAPTIONS, lake)
    source = _declared(work.study.captions)
    path, left_out = work.study.resolve(source.file), Exclusions()
    read = read_captions(path, id_rule=source.id, exclusions=left_out)
    kept = match(read, _ids(videos), source=path, exclusions=left_out, setting="captions.id")
    _count_absent(videos, kept, path, "not_described", left_out)
    return work.result("captions", kept.select(CAPTIONS_TABLE.schema.names()), exclusions=left_out)


def ratings(context: dg.AssetExecutionContext, lake: LakeResource, videos: pl.LazyFrame) -> dg.MaterializeResult[Any]:
    """Read the ratings of the study's clips."""
    from affectlake.formats.ids import match
    from affectlake.formats.ratings import read_ratings

    work = Work(context, RATINGS, lake)
    source = _declared(work.study.ratings)
    path, left_out = work.study.resolve(source.file), Exclusions()
    read = read_ratings(path, id_rule=source.id)
    kept = match(read, _ids(videos), source=path, exclusions=left_out, setting="ratings.id")
    _count_absent(videos, kept, path, "not_rated", left_out)
    return work.result("ratings", kept.select(RATINGS_TABLE.schema.names()), exclusions=left_out)


def frames(
    context: dg.AssetExecutionContext, lake: LakeResource, progress: ProgressResource, videos: pl.LazyFrame
) -> dg.MaterializeResult[Any]:
    """Sample frames of media that have none yet."""
    from affectlake.formats.media import sample_frames
    from affectlake.formats.videos import media_path

    work = Work(context, FRAMES, lake)
    stimuli = work.study.stimuli
    root = work.study.resolve(_declared(stimuli.media_root))
    asked = (pl.col("sampled") == stimuli.frames) & (pl.col("side_px") == stimuli.frame_side_px)
    known = work.lake.scan("frames").filter(asked).select(pl.col("media_sha256").unique()).collect()["media_sha256"]
    clips = videos.filter(pl.col("status") == "present").unique("sha256").sort("video_id").collect()
    todo = clips.filter(~pl.col("sha256").is_in(known.to_list()))
    left_out = Exclusions()
    with progress.track(context, "sampling frames") as advance:
        for start in range(0, todo.height, _CLIPS_A_COMMIT):
            rows: list[tuple[object, ...]] = []
            for clip in todo.slice(start, _CLIPS_A_COMMIT).iter_rows(named=True):
                path = media_path(clip["file"], root, clip["video_id"])
                try:
                    sampled = sample_frames(path, stimuli.frames, stimuli.frame_side_px)
                except InputError as error:
                    left_out.add(path, "unreadable", f"{clip['video_id']}: {error.what}")
                    continue
                named = (clip["sha256"], stimuli.frames, stimuli.frame_side_px)
                rows += [(*named, i, *frame) for i, frame in enumerate(sampled)]
            work.lake.append("frames", pl.DataFrame(rows, schema=FRAMES_TABLE.schema, orient="row"), context.run.run_id)
            advance(min(start + _CLIPS_A_COMMIT, todo.height), todo.height)
    return work.appended("frames", {"clips_sampled": todo.height}, exclusions=left_out)


_CLIPS_A_COMMIT = 100


def _ids(videos: pl.LazyFrame) -> pl.Series:
    return videos.select("video_id").collect()["video_id"]


def _count_absent(videos: pl.LazyFrame, found: pl.DataFrame, path: Path, reason: str, left_out: Exclusions) -> None:
    """Count the study's clips that a file says nothing of."""
    here = videos.filter(pl.col("status") != "left").select("video_id").collect()["video_id"]
    for video_id in sorted(set(here) - set(found["video_id"])):
        left_out.add(path, reason, video_id)


def _declared(section: Any) -> Any:
    """A section that the recipe's ``applies`` has made sure of."""
    if section is None:
        raise InputError("the study does not declare this section")
    return section


def _count(advance: Any, total: int) -> Any:
    done = 0

    def more(n: int) -> None:
        nonlocal done
        done += n
        advance(done, total)

    return more
