"""Stage 6, before any model: how well the regions could be predicted at all."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from affectlake.brainframes import response_matrix
from affectlake.ceiling import Ceiling, Shared, nothing, repeat_ceilings, shared_ceiling, shared_products
from affectlake.commonspace import CommonSpace
from affectlake.scoring import Regions, regions_of
from affectlake.tables import NOISE_CEILINGS, unstamped
from assets._work import Work
from assets.recipes import CEILINGS
from resources.io_manager import LakeResource
from resources.progress import ProgressResource

Others = Callable[[str], Shared] | str
"""How a subject agrees with the others, or why that cannot be said."""


def noise_ceilings(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    progress: ProgressResource,
    responses: pl.LazyFrame,
    voxels: pl.LazyFrame,
) -> dg.MaterializeResult[Any]:
    """Estimate every region's ceiling from repeats within each subject and from the other subjects."""
    work = Work(context, CEILINGS, lake)
    here = pl.col("subject").is_in(work.study.subjects)
    places = voxels.filter(here).collect()
    shown = responses.filter(here & (pl.col("voxel_block") == 0)).select("subject", "video_id").collect()
    common = CommonSpace.of(places, shown)
    rows = []

    def read(subject: str) -> pl.DataFrame:
        return responses.filter(pl.col("subject") == subject).collect()

    shared = _shared(common, read)
    with progress.track(context, "noise ceilings") as advance:
        for done, subject in enumerate(work.study.subjects, start=1):
            own = places.filter(pl.col("subject") == subject).sort("voxel")
            regions = regions_of(own)
            rows += _rows(subject, "repeats", _repeats(own, read(subject), regions), regions)
            at = _at_places(common, subject, regions)
            rows += _rows(subject, "subjects", _subjects(shared, subject, at), at)
            advance(done, len(work.study.subjects))
    return work.result("noise_ceilings", work.stamped(pl.DataFrame(rows, schema=unstamped(NOISE_CEILINGS))))


def _shared(common: CommonSpace, read: Callable[[str], pl.DataFrame]) -> Others:
    if len(common.subjects) < 2:
        return "one subject only"
    if common.voxels.is_empty():
        return "no place is common to all subjects: each brain lies in its own space"
    if common.stimuli.is_empty():
        return "no clip was shown to all subjects"
    return shared_products(common.subjects, lambda subject: common.responses(subject, read(subject)))


def _repeats(own: pl.DataFrame, responses: pl.DataFrame, regions: Regions) -> dict[str, Ceiling]:
    presentations, matrix = response_matrix(responses)
    used = np.flatnonzero((own["status"] == "used").to_numpy())
    if not presentations.height or not used.size:
        return dict.fromkeys(regions, nothing(0, "no usable voxel"))
    return repeat_ceilings(matrix[:, used], presentations["video_id"].to_numpy(), regions)


def _at_places(common: CommonSpace, subject: str, regions: Regions) -> Regions:
    """Columns of each of the subject's regions among the places that all subjects have."""
    at = regions_of(common.of_subject(subject).with_columns(status=pl.lit("used")))
    return {roi: at.get(roi, np.zeros(0, np.int64)) for roi in regions}


def _subjects(others: Others, subject: str, at: Regions) -> dict[str, Ceiling]:
    if isinstance(others, str):
        return dict.fromkeys(at, nothing(0, others))
    if not any(columns.size for columns in at.values()):
        return dict.fromkeys(at, nothing(0, "no usable voxel"))
    shared = others(subject)
    return {
        roi: shared_ceiling(shared, columns) if columns.size else nothing(0, "no voxel that all subjects have")
        for roi, columns in at.items()
    }


def _rows(subject: str, source: str, found: Mapping[str, Ceiling], regions: Regions) -> list[dict[str, Any]]:
    return [
        {
            "subject": subject,
            "roi": roi,
            "source": source,
            "n_stimuli": ceiling.n_stimuli,
            "n_voxels": regions[roi].size,
            "agreement": ceiling.agreement,
            "ceiling": ceiling.value,
            "ceiling_low": ceiling.low,
            "ceiling_high": ceiling.high,
            "reason": ceiling.reason,
        }
        for roi, ceiling in found.items()
    ]
