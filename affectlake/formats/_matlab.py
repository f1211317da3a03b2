"""What the readers of MATLAB's files say alike. What does not belong here: the layouts that they read."""

from __future__ import annotations

from pathlib import Path

from affectlake.errors import InputError


def cut_off(path: Path) -> InputError:
    """The error of a file that begins as MATLAB 7.3, which is HDF5, and is none."""
    return InputError(
        "begins as a MATLAB 7.3 file and is no HDF5: it is cut off or damaged",
        where=str(path),
        remedy="Copy or download it again; where the study file has the sums, `affectlake study fetch` compares them.",
    )
