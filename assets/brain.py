"""Stage 5: what the brains did. Region time series and one response a presentation and voxel."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from affectlake.exclusions import Exclusions
from assets._scans import read_scans
from assets._work import Work
from assets.recipes import RESPONSES
from resources.io_manager import LakeResource
from resources.progress import ProgressResource


def responses(
    context: dg.AssetExecutionContext, lake: LakeResource, progress: ProgressResource, videos: pl.LazyFrame
) -> Iterator[dg.MaterializeResult[Any]]:
    """Read one subject's scans, one run in memory at a time."""
    work = Work(context, RESPONSES, lake)
    left_out = Exclusions()
    with progress.track(context, f"reading {work.subject}") as advance:
        data = read_scans(work.study, work.subject, videos.collect(), left_out, advance)
    left_out.update(data.exclusions)
    counts = dict(data.voxels["status"].value_counts().sort("status").iter_rows())
    yield work.result("responses", data.responses_frame(), exclusions=left_out)
    yield work.result("voxels", data.voxels, {f"voxels_{status}": n for status, n in counts.items()})
    yield work.result("roi_timeseries", data.timeseries)
