"""A code location over the real lake and IO manager whose one table costs next to nothing to compute.

Every row of a partition carries the same number, drawn anew by each computation, so that a half-written partition or
one of two computations is seen at once.
"""

import os
import random
from pathlib import Path

import dagster as dg
import polars as pl

from affectlake.tables import RUN_SCORES
from resources.io_manager import Computed, LakeIOManager, LakeResource, StudyResource, partition_key
from resources.provenance import Stamp

ROWS = 5000
MODELS = tuple(f"m{n}" for n in range(8))
SUBJECTS = ("s0", "s1")
STUDY = "name: killed\nstimuli: {manifest: videos.csv}\n"
PARTITIONS = dg.MultiPartitionsDefinition(
    {"model": dg.StaticPartitionsDefinition(list(MODELS)), "subject": dg.StaticPartitionsDefinition(list(SUBJECTS))}
)
TABLE = "run_scores"


@dg.asset(name=TABLE, partitions_def=PARTITIONS)
def run_scores(context: dg.AssetExecutionContext) -> Computed:
    """The same number in every row."""
    key = partition_key(context)
    frame = pl.DataFrame({"run": range(ROWS)}, schema={"run": pl.Int32}).with_columns(
        subject=pl.lit(key["subject"]),
        model=pl.lit(key["model"]),
        roi=pl.lit("amygdala"),
        n=pl.lit(40, dtype=pl.Int32),
        mean_r=pl.lit(random.random()),
    )
    return Computed.of(TABLE, frame.select(list(RUN_SCORES.schema)), Stamp("made", "code", "{}"))


@dg.definitions
def defs() -> dg.Definitions:
    lake = LakeResource(study=StudyResource(path=str(Path(os.environ["AFFECTLAKE_STUDY"]))))
    return dg.Definitions(
        assets=[run_scores],
        resources={"io_manager": LakeIOManager(lake_resource=lake)},
        executor=dg.in_process_executor,
    )
