"""Study files to start from; ``affectlake study new`` copies one."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable


def template(kind: str) -> Traversable:
    """A shipped study file."""
    return files(__name__).joinpath(f"{kind}.yaml")
