"""The science of affectlake: pure functions on arrays and frames.

Imports no Dagster, opens no socket and never touches the lake. ``open_lake`` alone is a door to what lies above: users
look for it here. It imports when it is called, so that ``import affectlake`` needs nothing of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from resources.opened import OpenLake
    from resources.study import Study


def open_lake(study: str | Path | Study | None = None) -> OpenLake:
    """Open a study's tables, read-only, as polars LazyFrames and DuckDB relations.

    Parameters
    ----------
    study : str, Path or Study, optional
        The study file or its folder; the one that AFFECTLAKE_STUDY names, else the demo's, where absent.

    Returns
    -------
    OpenLake
        ``lake["encoding_scores"]``, ``lake.sql("SELECT ...")``, ``lake.query("leaderboard")``, ``lake.as_of(...)``.

    Raises
    ------
    StudyError
        The study file cannot be read.
    """
    from resources.opened import open_lake

    return open_lake(study)
