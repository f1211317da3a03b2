"""Maps of scores as BIDS derivatives.

What belongs here: names, sidecars and the description of the dataset. What does not: making the image (``maps``).
Statistical maps are named as nilearn and FitLins name them: ``..._stat-<label>_statmap.nii.gz``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from affectlake.errors import InputError

BIDS_VERSION = "1.10.0"


def label(name: str) -> str:
    """A name as a BIDS label, which has letters and digits only: ``human-category`` is ``humanCategory``."""
    first, *rest = [part for part in re.split(r"[^A-Za-z0-9]+", name) if part] or [""]
    return first + "".join(part[0].upper() + part[1:] for part in rest)


def labels(names: Sequence[str]) -> dict[str, str]:
    """Labels by name.

    Raises
    ------
    InputError
        Two names have the same label, or a name has none.
    """
    found = {name: label(name) for name in names}
    for short in found.values():
        same = [other for other in names if found[other] == short]
        if not short or len(same) > 1:
            raise InputError(f"{', '.join(same)} would all be called {short!r} in BIDS", remedy="Rename one of them.")
    return found


def map_path(subject: str, model: str, task: str | None) -> Path:
    """Where one map of one subject lies, relative to the dataset; ``model`` is a label."""
    who = f"sub-{label(subject.removeprefix('sub-'))}"
    what = [who, *([f"task-{label(task)}"] if task else []), f"desc-{model}", "stat-r", "statmap.nii.gz"]
    return Path(who) / "func" / "_".join(what)


def write_map(root: Path, path: Path, image: Any, sidecar: Mapping[str, Any]) -> None:
    """Write an image and its sidecar below the dataset's root."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(target)
    _write_json(target.with_name(target.name.removesuffix(".nii.gz") + ".json"), sidecar)


def write_description(root: Path, name: str, version: str, readme: str) -> None:
    """Write ``dataset_description.json``, ``README`` and ``.bidsignore``: BIDS has no name for statistical maps yet."""
    root.mkdir(parents=True, exist_ok=True)
    made_by = [{"Name": "affectlake", "Version": version, "Description": "Encoding models of emotion spaces"}]
    description = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": "derivative", "GeneratedBy": made_by}
    _write_json(root / "dataset_description.json", description)
    (root / ".bidsignore").write_text("*_statmap.*\n", encoding="utf-8")
    (root / "README").write_text(readme, encoding="utf-8")


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
