"""The one place where the code location is put together, for the user interface, the command line and the tests."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

import studies
from assets import build_assets
from resources.device import DeviceResource
from resources.io_manager import LakeIOManager, LakeResource, StudyResource
from resources.progress import ProgressResource
from resources.study import DEFAULT_STUDY, Study, load_study, study_path


def build_definitions(study: Study, root: str = "", without_pools: frozenset[str] = frozenset()) -> dg.Definitions:
    """The definitions of one study: its assets with their partitions, and the resources that they need.

    ``root`` names another lake than the study's own; ``without_pools`` those whose slots something else hands out.
    """
    lake = LakeResource(study=StudyResource(path=str(study.path)), root=root)
    return dg.Definitions(
        assets=build_assets(study, without_pools),
        resources={
            "lake": lake,
            "io_manager": LakeIOManager(lake_resource=lake),
            "progress": ProgressResource(),
            "device": DeviceResource(),
        },
        executor=dg.in_process_executor,
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
