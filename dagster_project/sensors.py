"""What happens when something outside the lake changes. All are off until someone switches them on.

The sensor of the automation conditions runs in the code server, since they ask the lake.
"""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.recipes import VIDEOS
from dagster_project.jobs import job_name
from dagster_project.planning import Due, State, due, state
from resources.io_manager import StudyResource
from resources.lake import Lake
from resources.provenance import Ledger, file_fingerprint, keys
from resources.study import Study, lake_root

WATCH_S, RECONCILE_S = 60, 900
"""Seconds between two looks at a file, and at the lake."""


def build_sensors(study: Study, jobs: Sequence[Any], root: str = "") -> list[dg.SensorDefinition]:
    """The sensors of a study; ``jobs`` are those of :func:`dagster_project.jobs.asset_jobs`."""
    with warnings.catch_warnings():
        # that Dagster may change a parameter is for us to watch and nothing to tell at every command
        warnings.simplefilter("ignore", dg.BetaWarning)
        automation = dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.all(),
            use_user_code_server=True,
            minimum_interval_seconds=30,
            run_tags={"affectlake/started_by": "automation"},
            description="Computes what is missing or stale, table by table, as far as it goes without anyone's help.",
        )
    return [automation, _reconcile(study, jobs, root), _manifest(study, root), _study_file(study)]


def _reconcile(study: Study, jobs: Sequence[Any], root: str) -> dg.SensorDefinition:
    """The plain way, for those who want no automation conditions, and what starts again what a lost run left undone.

    A sensor, since a schedule has one job and no job may hold assets of different partitions.
    """

    @dg.sensor(
        name="reconcile",
        jobs=jobs,
        minimum_interval_seconds=RECONCILE_S,
        description="Requests what is missing or stale by the lake's fingerprints, each at most once a day as it is.",
    )
    def reconcile(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
        day = datetime.now(UTC).date().isoformat()
        for found in due(now(study), lake_of(study, root)):
            if known(found, study):
                yield request(found, day)

    return reconcile


def request(found: Due, day: str) -> dg.RunRequest:
    """One partition as a run that is launched once a day for what it would be made from."""
    table, partition = found.partition
    return dg.RunRequest(
        run_key=f"{day}|{table}|{partition}|{found.fingerprint}",
        job_name=job_name(found.recipe),
        partition_key=partition if found.key else None,
    )


def now(study: Study) -> Study:
    """The study file as it is now, which may be newer than what the code location was loaded with."""
    return StudyResource(path=str(study.path)).study


def lake_of(study: Study, root: str) -> Lake:
    """The study's lake, or the one at ``root``."""
    return Lake(root or lake_root(study), study.name)


def known(found: Due, study: Study) -> bool:
    """Whether the loaded code location has the partition: a model added since then needs it to be reloaded."""
    return found.recipe.applies(study) and dict(found.key) in keys(found.recipe.dimensions, study)


def _manifest(study: Study, root: str) -> dg.SensorDefinition:
    @dg.sensor(
        name="manifest_changed",
        job_name=job_name(VIDEOS),
        minimum_interval_seconds=WATCH_S,
        description="Reads the list of clips again when its file has changed.",
    )
    def manifest_changed(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        fresh = now(study)
        manifest = fresh.resolve(fresh.stimuli.manifest)
        if not manifest.exists():
            return dg.SkipReason(f"{manifest} is not there")
        if state(VIDEOS, {}, fresh, Ledger(lake_of(study, root))) is State.CURRENT:
            return dg.SkipReason(f"the lake has what {manifest} says")
        return dg.RunRequest(run_key=file_fingerprint(manifest))

    return manifest_changed


def _study_file(study: Study) -> dg.SensorDefinition:
    loaded = _digest(study)

    @dg.sensor(
        name="study_changed",
        minimum_interval_seconds=WATCH_S,
        job_name=job_name(VIDEOS),
        description="Says when the study file is newer than what this code location was loaded with.",
    )
    def study_changed(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if _digest(study) == loaded:
            return dg.SkipReason(f"{study.path} is what this code location was loaded with")
        told = (
            f"{study.path} has changed: reload the code location (Deployment, Reload) to see its models and subjects. "
            "Runs read the new settings already."
        )
        context.log.warning(told)
        return dg.SkipReason(told)

    return study_changed


def _digest(study: Study) -> str:
    try:
        return hashlib.sha256(study.path.read_bytes()).hexdigest()
    except OSError:
        return "absent"
