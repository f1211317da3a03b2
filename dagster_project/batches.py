"""Collects the batches that services have answered. Where none is pending it reads one table and asks nobody."""

import hashlib
import time

import dagster as dg
import polars as pl

from affectlake.errors import AffectlakeError
from assets._judging import agent_of
from assets.recipes import JUDGMENTS
from resources.agents.service.agent import ServiceAgent
from resources.agents.service.batches import Batches, open_batches, told
from resources.io_manager import StudyResource
from resources.lake import Lake
from resources.study import ServiceModel, Study, lake_root

LOOK_S = 300
"""Seconds between two looks at the services."""

AGAIN_S = 3600
"""A run that collects and fails is started again after so long."""


def build_batch_sensors(study: Study, root: str = "") -> list[dg.SensorDefinition]:
    """The sensor of a study whose models are behind services; none where there are no such models."""
    loaded = {model.name for model in study.models if isinstance(model, ServiceModel)}
    if not loaded:
        return []

    @dg.sensor(
        name="collect_batches",
        target=dg.AssetSelection.assets(*JUDGMENTS.outputs),
        minimum_interval_seconds=LOOK_S,
        # whoever sends a batch has asked for its answers, and they are not kept for ever
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Collects the batches that have ended, and sends what has to be asked again.",
    )
    def collect_batches(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        fresh = StudyResource(path=str(study.path)).study
        lake = Lake(root or lake_root(fresh), fresh.name)
        known = sorted(loaded & set(fresh.model_names))
        waiting = open_batches(lake).filter(pl.col("model").is_in(known))
        if waiting.is_empty():
            return dg.SkipReason("no batch is pending")
        requests, problems = [], []
        for model in waiting["model"].unique(maintain_order=True):
            try:
                requests += _request(model, fresh, lake)
            except AffectlakeError as error:
                problems.append(str(error))
        if requests:
            return dg.SensorResult(run_requests=requests)
        return dg.SkipReason("; ".join([*problems, *told(waiting)]))

    return [collect_batches]


def _request(model: str, study: Study, lake: Lake) -> list[dg.RunRequest]:
    """A run of the model's judgments where a batch has ended; one for the same batches within :data:`AGAIN_S`."""
    agent = agent_of(study.model(model), study, lake)
    if not isinstance(agent, ServiceAgent):
        return []
    batches = Batches(agent, lake)
    try:
        ready = batches.ready()
    finally:
        batches.close()
    if not ready:
        return []
    named = hashlib.sha256("".join(sorted(ready)).encode()).hexdigest()[:16]
    assets = [dg.AssetKey(table) for table in JUDGMENTS.outputs]
    key = f"{model}|{named}|{int(time.time() // AGAIN_S)}"
    return [dg.RunRequest(run_key=key, partition_key=model, asset_selection=assets)]
