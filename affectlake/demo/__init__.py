"""The demo study: synthetic clips, captions, ratings and scans drawn from a planted affective space.

What belongs here: writing the demo's data. What does not: its study file, and anything that reads it back.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affectlake.demo.brain import PLANTED, REGIONS, VISUAL
from affectlake.demo.captions import describe
from affectlake.demo.clips import write_clip
from affectlake.demo.derivatives import write_derivatives
from affectlake.demo.space import NAMES, VISUAL_NAMES, Truth, plant
from affectlake.scales import CATEGORIES, DIMENSIONS

__all__ = ["write_demo"]


def write_demo(
    root: Path,
    *,
    seed: int = 0,
    n_videos: int = 240,
    n_subjects: int = 3,
    n_runs: int = 6,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a complete synthetic study under ``root``: ``stimuli/``, ``derivatives/`` and ``truth.json``.

    The same arguments give the same arrays, tables and frames; the bytes of mp4 and gz files also depend on the
    versions of x264 and zlib. ``truth.json`` is written last: where it stands, the study is complete.

    Parameters
    ----------
    root : Path
        Folder to write to; files of an earlier demo in it are overwritten.
    seed : int
        Everything random follows from it.
    n_videos, n_subjects, n_runs : int
        Clips (the last two repeat earlier ones), brains, and runs of each brain.
    progress : callable, optional
        Called with steps done and steps in all after each clip and each run.

    Raises
    ------
    ValueError
        Fewer than 8 clips, or fewer than 2 clips a run.
    """
    if n_videos < 8 or n_videos < 2 * n_runs:
        raise ValueError(f"{n_videos} clips in {n_runs} runs: a demo needs at least 8 clips and 2 clips a run")
    steps = iter(range(1, n_videos + n_subjects * n_runs + 1))

    def done() -> None:
        step = next(steps)
        if progress is not None:
            progress(step, n_videos + n_subjects * n_runs)

    (root / "truth.json").unlink(missing_ok=True)
    truth = plant(n_videos, np.random.default_rng([seed, 0]))
    _write_stimuli(root / "stimuli", truth, seed, done)
    broken = write_derivatives(root / "derivatives", truth, seed=seed, n_subjects=n_subjects, n_runs=n_runs, done=done)
    _write_truth(root / "truth.json", seed, broken)


def _write_stimuli(folder: Path, truth: Truth, seed: int, done: Callable[[], None]) -> None:
    media = folder / "media"
    media.mkdir(parents=True, exist_ok=True)
    for row, video_id in enumerate(truth.ids):
        path = media / f"{video_id}.mp4"
        if video_id in truth.duplicate_of:
            shutil.copyfile(media / f"{truth.duplicate_of[video_id]}.mp4", path)
        else:
            write_clip(path, truth, row, np.random.default_rng([seed, 5, row]))
        done()
    _write_csv(
        folder / "videos.csv",
        ("video_id", "file", "duplicate_of"),
        [(i, f"{i}.mp4", truth.duplicate_of.get(i, "")) for i in truth.ids],
    )
    rng = np.random.default_rng([seed, 1])
    captions = [(i, text) for i, w in zip(truth.ids, truth.planted, strict=True) for text in describe(w, rng)]
    _write_csv(folder / "captions.csv", ("video_id", "description"), captions)
    ratings = np.hstack([truth.categories, truth.dimensions])
    _write_csv(
        folder / "ratings.csv",
        ("video_id", *CATEGORIES, *DIMENSIONS),
        [(i, *(f"{value:g}" for value in row)) for i, row in zip(truth.ids, ratings, strict=True)],
    )
    _write_spaces(folder, truth, seed)


def _write_spaces(folder: Path, truth: Truth, seed: int) -> None:
    """Write the planted space, a copy whose rows belong to the wrong clips, and the visual features."""
    order = np.random.default_rng([seed, 6]).permutation(len(truth.ids))
    np.save(folder / "planted.npy", truth.planted)
    np.save(folder / "scrambled.npy", truth.planted[order])
    np.save(folder / "visual.npy", truth.visual)
    for name, lines in (("planted_ids", truth.ids), ("planted_names", NAMES), ("visual_names", VISUAL_NAMES)):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_truth(path: Path, seed: int, broken: dict[str, Any]) -> None:
    regions = {name: "affect" if name in PLANTED else "visual" if name in VISUAL else "none" for name in REGIONS}
    truth = {
        "note": "SYNTHETIC: which regions respond to what, as planted",
        "seed": seed,
        "planted_rois": list(PLANTED),
        "visual_rois": list(VISUAL),
        "null_rois": [name for name, kind in regions.items() if kind == "none"],
        "regions": regions,
        "broken_voxels_ijk": broken,
    }
    path.write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
