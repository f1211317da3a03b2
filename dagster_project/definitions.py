"""The one place where the code location is put together, for the user interface, the command line and the tests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg

import studies
from assets import build_assets
from dagster_project.automation import condition
from dagster_project.batches import build_batch_sensors
from dagster_project.checks import staleness
from dagster_project.jobs import asset_jobs, bring_up_to_date, maintain
from dagster_project.schedules import build_schedules
from dagster_project.sensors import build_sensors
from resources.device import from_environment
from resources.io_manager import LakeIOManager, LakeResource, StudyResource
from resources.progress import ProgressResource
from resources.study import DEFAULT_STUDY, Study, load_study, study_path

RESULTS = ("embedding_quality", "encoding_scores", "rsa_scores", "comparisons", "report")
"""Tables that people read, which may become overdue."""


def build_definitions(study: Study, root: str = "", without_pools: frozenset[str] = frozenset()) -> dg.Definitions:
    """The definitions of one study: its assets with their partitions, and the resources that they need.

    ``root`` names another lake than the study's own; ``without_pools`` those whose slots something else hands out.
    """
    lake, jobs = LakeResource(study=StudyResource(path=str(study.path)), root=root), asset_jobs(study)
    return dg.Definitions(
        assets=[automated(asset, study, root) for asset in build_assets(study, without_pools)],
        jobs=[*jobs, bring_up_to_date, maintain],
        schedules=build_schedules(study, root),
        asset_checks=[staleness(study, root)],
        sensors=[*build_sensors(study, jobs, root), *build_batch_sensors(study, root)],
        resources={
            "lake": lake,
            "io_manager": LakeIOManager(lake_resource=lake),
            "progress": ProgressResource(),
            "device": from_environment(),
        },
        executor=dg.in_process_executor,
    )


def automated(asset: dg.AssetsDefinition | dg.AssetSpec, study: Study, root: str) -> dg.AssetsDefinition | dg.AssetSpec:
    """An asset of the study with the condition under which it computes itself, and the age at which it is overdue."""
    if isinstance(asset, dg.AssetSpec):
        return asset
    days = study.automation.fresh_days
    policy = None if days is None else dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))
    when = condition(study, root)
    return asset.map_asset_specs(
        lambda spec: spec.replace_attributes(
            automation_condition=when, freshness_policy=policy if spec.key.path[-1] in RESULTS else None
        )
    )


def current_study() -> Study:
    """The study that the environment names; the demo's settings where it names none and the demo is not written yet."""
    path = study_path()
    if path == DEFAULT_STUDY and not path.exists():
        return load_study(Path(str(studies.template("demo"))))
    return load_study(path)


@dg.definitions
def defs() -> dg.Definitions:
    """What ``workspace.yaml`` and ``[tool.dg]`` name."""
    return build_definitions(current_study())
