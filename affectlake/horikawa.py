"""What is known of the clips of Horikawa et al. 2020 (and of Du et al. 2025): their files, and which are the same clip.

The 2,196 files 0001.mp4 to 2196.mp4 hold 2,180 clips; ``data/horikawa_duplicates.csv`` says which repeat which, and who
found it. Which of two is kept is not said here: the scans decide, by which was shown first.
"""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import polars as pl

N_FILES = 2196


def manifest() -> pl.DataFrame:
    """List the files and their duplicates.

    Returns
    -------
    DataFrame
        ``video_id`` (0001 to 2196), ``file``, ``duplicate_of`` (null for the 2,180 canonical clips).
    """
    with as_file(files("affectlake") / "data" / "horikawa_duplicates.csv") as path:
        twice = pl.read_csv(path, infer_schema=False).select("video_id", "duplicate_of")
    ids = pl.DataFrame({"video_id": [f"{n:04d}" for n in range(1, N_FILES + 1)]})
    return ids.with_columns(file=pl.format("{}.mp4", "video_id")).join(
        twice, on="video_id", how="left", maintain_order="left"
    )


def write_horikawa2020(folder: Path) -> None:
    """Write what `studies/horikawa2020.yaml` names into its folder: ``videos.csv`` and ``hcp_mmp_groups.yaml``."""
    manifest().write_csv(folder / "videos.csv")
    with as_file(files("affectlake") / "data" / "hcp_mmp_groups.yaml") as path:
        shutil.copyfile(path, folder / "hcp_mmp_groups.yaml")
