"""Features of clips in MATLAB files, as Horikawa et al. 2020 publish them: one file a clip, or one for all.

What belongs here: the layouts. What does not: ratings (``ratings.py``), which have names and ranges of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from affectlake.errors import InputError
from affectlake.formats._matlab import cut_off, features_struct

VARIABLE = "feat"


class MatFeatures(NamedTuple):
    """Features with the clips that the files name."""

    ids: list[str]
    """One a row: file name without its ending, or 1-based row number."""
    vectors: npt.NDArray[np.float64]
    names: tuple[str, ...]


def read_folder(folder: Path) -> MatFeatures:
    """Read one ``.mat`` a clip (MATLAB 5 or 7.3), whose variable ``feat`` is the clip's row and whose name is its id.

    Raises
    ------
    InputError
        There is no such file, or one holds no ``feat`` or another number of values than the first.
    """
    paths = sorted(folder.glob("*.mat"))
    if not paths:
        raise InputError("holds no .mat file", where=str(folder), remedy="One file a clip is wanted, such as 0001.mat.")
    rows = [_read_row(path) for path in paths]
    for path, row in zip(paths, rows, strict=True):
        if row.size != rows[0].size:
            raise InputError(f"has {row.size} values, {paths[0].name} has {rows[0].size}", where=str(path))
    return MatFeatures([p.stem for p in paths], np.stack(rows), tuple(str(i) for i in range(rows[0].size)))


def read_struct(path: Path) -> MatFeatures:
    """Read one MATLAB 5 file with a struct ``L``: ``feat`` (clips x names) and ``featname``; row i is clip i.

    Raises
    ------
    InputError
        The file is of another layout.
    """
    vectors, names = features_struct(path)
    if vectors.ndim != 2 or vectors.shape[1] != len(names) or vectors.dtype.kind not in "iufb":
        raise InputError(
            f"L.feat is {vectors.dtype} of shape {vectors.shape}, L.featname has {len(names)} names", where=str(path)
        )
    return MatFeatures([str(i + 1) for i in range(len(vectors))], vectors.astype(np.float64), tuple(names))


def _read_row(path: Path) -> npt.NDArray[np.float64]:
    import h5py
    import scipy.io
    from scipy.io.matlab import MatReadError

    try:
        if h5py.is_hdf5(path):  # MATLAB 7.3
            with h5py.File(path, "r") as file:
                found = np.asarray(file[VARIABLE][()])
        else:
            found = np.asarray(scipy.io.loadmat(path, variable_names=[VARIABLE])[VARIABLE])
    except NotImplementedError:  # what scipy says of the head of MATLAB 7.3: an intact one is HDF5 and was read above
        raise cut_off(path) from None
    except (KeyError, IndexError, ValueError, TypeError, OSError, MatReadError) as error:
        raise InputError(f"holds no variable {VARIABLE} ({type(error).__name__}: {error})", where=str(path)) from error
    if found.dtype.kind not in "iufb" or found.size == 0 or max(found.shape, default=1) != found.size:
        raise InputError(
            f"{VARIABLE} is {found.dtype} of shape {found.shape}, one row of numbers is wanted", where=str(path)
        )
    return found.astype(np.float64).ravel()
