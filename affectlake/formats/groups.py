"""Regions as lists of an atlas's labels: definitions are data, so they are files.

What belongs here: reading such a list. What does not: the labels' places (``atlas.py``, ``bdata.py``).
"""

from __future__ import annotations

from pathlib import Path

import yaml

from affectlake.errors import InputError
from affectlake.formats._tabular import check_file


def read_groups(path: Path, *, label: str = "{label}") -> dict[str, list[str]]:
    """Read a YAML file of regions.

    Parameters
    ----------
    path : Path
        A mapping of region to list of labels.
    label : str
        How the atlas spells a label: ``{label}`` is what the file says, ``{h}`` is L and R, ``{side}`` lh and rh. With
        either of the last two every label stands for both hemispheres.

    Returns
    -------
    dict of str to list of str

    Raises
    ------
    InputError
        The file is missing or not of that form, or a region has no label.
    """
    check_file(path)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"is no YAML ({str(error).splitlines()[0]})", where=str(path)) from None
    if not isinstance(found, dict) or not found:
        raise InputError("is no mapping of regions to lists of labels", where=str(path))
    for name, labels in found.items():
        if not isinstance(labels, list) or not labels:
            raise InputError(f"region {name} is no list of labels", where=str(path), remedy="Write `V: [V1, V2]`.")
    return {str(name): [both for one in labels for both in _sides(label, str(one))] for name, labels in found.items()}


def _sides(pattern: str, label: str) -> list[str]:
    spelt = [pattern.replace("{h}", h).replace("{side}", side) for h, side in (("L", "lh"), ("R", "rh"))]
    return list(dict.fromkeys(text.replace("{label}", label) for text in spelt))
