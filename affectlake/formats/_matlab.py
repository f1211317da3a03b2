"""What the readers of MATLAB's files say alike. What does not belong here: the layouts that they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from affectlake.errors import InputError


def cut_off(path: Path) -> InputError:
    """The error of a file that begins as MATLAB 7.3, which is HDF5, and is none."""
    return InputError(
        "begins as a MATLAB 7.3 file and is no HDF5: it is cut off or damaged",
        where=str(path),
        remedy="Copy or download it again; where the study file has the sums, `affectlake study fetch` compares them.",
    )


def features_struct(path: Path) -> tuple[Any, list[str]]:
    """``feat`` (clips x names) and ``featname`` of the struct ``L`` of a MATLAB 5 file.

    Raises
    ------
    InputError
        The file is MATLAB 7.3 by its head, or holds no such struct.
    """
    import scipy.io
    from scipy.io.matlab import MatReadError

    try:
        with path.open("rb") as file:
            record = scipy.io.loadmat(file, variable_names=["L"])["L"][0, 0]
            return record["feat"], [str(cell.ravel()[0]) for cell in record["featname"].ravel()]
    except NotImplementedError:  # what scipy says of the head of MATLAB 7.3, whether or not what follows is whole
        fact = "is a MATLAB 7.3 file"
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (KeyError, IndexError, ValueError, TypeError, OSError, MatReadError) as error:
        fact = f"holds no struct L with feat and featname ({type(error).__name__}: {error})"
    raise InputError(
        fact, where=str(path), remedy="Save it with `save(file, 'L', '-v7')`, L.feat being videos x names."
    )
