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
LAB = [lab] if (lab := os.environ.get("RESILIENCE_LAB")) else []
"""Several locations on one Dagster instance need keys of their own."""


@dg.asset(name=TABLE, key_prefix=LAB or None, partitions_def=PARTITIONS)
def run_scores(context: dg.AssetExecutionContext) -> Computed:
    """The same number in every row."""
    key = partition_key(context)
    schema, same = RUN_SCORES.schema, {"mean_r": random.random(), "roi": "amygdala", **key}
    others = {name: pl.lit(same.get(name, 1)) for name in schema if name != "run"}
    frame = pl.DataFrame({"run": range(ROWS)}).with_columns(**others).cast(dict(schema)).select(list(schema))
    return Computed.of(TABLE, frame, Stamp("made", "code", "{}"))


@dg.definitions
def defs() -> dg.Definitions:
    lake = LakeResource(study=StudyResource(path=str(Path(os.environ["AFFECTLAKE_STUDY"]))))
    return dg.Definitions(
        assets=[run_scores],
        resources={"io_manager": LakeIOManager(lake_resource=lake)},
        executor=dg.in_process_executor,
    )
