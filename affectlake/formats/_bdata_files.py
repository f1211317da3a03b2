"""One BData file: HDF5 of bdpy and of BrainDecoderToolbox2, MATLAB 7.3 and MATLAB 5.

What belongs here: where keys, values and samples stand in a file. What does not: subjects (``bdata.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake.errors import InputError
from affectlake.formats._matlab import cut_off
from affectlake.formats._tabular import check_file

_SPELLINGS = (("dataset", "metadata"), ("dataSet", "metaData"))
_ROWS = 64
"""Samples read at a time: a whole brain in double precision is twice the matrix that is kept."""


@dataclass(frozen=True)
class BFile:
    """An opened file; the samples stay on disk until they are asked for, where the format allows.

    Attributes
    ----------
    path : Path
    keys : dict of str to int
        Row of ``values`` of each key.
    descriptions : list of str
    values : ndarray of float64, shape (n_keys, n_columns)
        NaN where a key says nothing of a column.
    names : dict of str to dict of float to str
        ``vmap``: what the numbers of a label column stand for.
    array : ndarray or None
        The samples, where the file had to be read as a whole.
    dataset : str
        Name of the samples in the HDF5 file.
    """

    path: Path
    keys: dict[str, int]
    descriptions: list[str]
    values: NDArray[np.float64]
    names: dict[str, dict[float, str]]
    array: NDArray[np.float64] | None
    dataset: str

    @property
    def is_voxel(self) -> NDArray[np.bool_]:
        """Which columns are voxels."""
        if "VoxelData" not in self.keys:
            raise InputError("has no key VoxelData, so no column is a voxel", where=str(self.path))
        return np.asarray(self.values[self.keys["VoxelData"]] == 1)

    def voxel_values(self, key: str, n: int) -> NDArray[np.float64]:
        """What a key says of each of the n voxels; NaN where the file does not have it."""
        return self.values[self.keys[key]][self.is_voxel] if key in self.keys else np.full(n, np.nan)

    def region_keys(self) -> list[str]:
        """Keys that say for each voxel whether it belongs to a region."""
        voxels = self.is_voxel

        def tells(row: int) -> bool:
            values = self.values[row][voxels]
            return bool((np.isin(values, (0, 1)) | np.isnan(values)).all() and (values == 1).any())

        return [key for key, row in self.keys.items() if "ROI" in self.descriptions[row] and tells(row)]

    def voxel_data(self) -> NDArray[np.float32]:
        """The voxels of all samples: float32, shape (n_samples, n_voxels)."""
        voxels = self.is_voxel
        if self.array is not None:
            return self.array[:, voxels].astype(np.float32)
        import h5py

        with h5py.File(self.path) as file:
            data = file[self.dataset]
            out = np.empty((data.shape[0], int(voxels.sum())), dtype=np.float32)
            for start in range(0, len(out), _ROWS):
                out[start : start + _ROWS] = data[start : start + _ROWS][:, voxels]
        return out

    def label_texts(self) -> pl.DataFrame:
        """Every key of one column that is no voxel: its values as text, by name where ``vmap`` names them."""
        voxels = self.is_voxel
        columns = {key: np.flatnonzero((self.values[row] == 1) & ~voxels) for key, row in self.keys.items()}
        single = {key: int(where[0]) for key, where in columns.items() if where.size == 1}
        numbers = self._columns(sorted(set(single.values())))
        return pl.DataFrame(
            {key: [self._text(key, value) for value in numbers[column]] for key, column in single.items()},
            schema=dict.fromkeys(single, pl.String),
        )

    def _columns(self, wanted: list[int]) -> dict[int, list[float]]:
        if self.array is not None:
            return {column: self.array[:, column].tolist() for column in wanted}
        import h5py

        with h5py.File(self.path) as file:
            return {column: np.asarray(file[self.dataset][:, column], np.float64).tolist() for column in wanted}

    def _text(self, key: str, value: float) -> str | None:
        if np.isnan(value):
            return None
        return self.names.get(key, {}).get(value) or (str(int(value)) if value == int(value) else str(value))


def open_bdata(path: Path) -> BFile:
    """Open a file of either spelling.

    Raises
    ------
    InputError
        The file is missing or no BData, or its parts do not fit each other.
    """
    check_file(path)
    import h5py

    file = _open_hdf5(path) if h5py.is_hdf5(path) else _open_mat5(path)
    n_keys = len(file.keys)
    if file.values.ndim != 2 or file.values.shape[0] != n_keys or len(file.descriptions) != n_keys:
        raise InputError(
            f"{n_keys} different keys, {len(file.descriptions)} descriptions and values of shape {file.values.shape} "
            "do not fit each other",
            where=str(path),
        )
    return file


def _no_bdata(path: Path, found: list[str]) -> InputError:
    return InputError(
        "is no BData: it has no dataset beside metadata with key, description and value; "
        f"it has {', '.join(found[:8]) or 'nothing'}",
        where=str(path),
    )


def _open_hdf5(path: Path) -> BFile:
    import h5py

    with h5py.File(path) as file:
        spelling = next((s for s in _SPELLINGS if s[0] in file and s[1] in file), None)
        if spelling is None or not {"key", "description", "value"} <= set(file[spelling[1]]):
            raise _no_bdata(path, list(file))
        data, meta = file[spelling[0]], file[spelling[1]]
        keys, descriptions = _texts(file, meta["key"]), _texts(file, meta["description"])
        values = np.asarray(meta["value"], dtype=np.float64)
        # MATLAB 7.3 writes its columns as the rows of HDF5
        turned = "MATLAB_class" in data.attrs
        values = values.T if turned else values
        array = np.asarray(data, dtype=np.float64).T if turned else None
        if values.ndim != 2 or (data.shape[0] if turned else data.shape[1]) != values.shape[1]:
            raise InputError(
                f"samples of shape {data.shape} and values of shape {values.shape} do not fit each other",
                where=str(path),
            )
        names = {key: _named(group) for key, group in file.get("vmap", {}).items()}
    return BFile(path, {k: n for n, k in enumerate(keys)}, descriptions, values, names, array, spelling[0])


def _named(group: Any) -> dict[float, str]:
    return {float(number): _decode(text[()]) for number, text in group.items()}


def _texts(file: Any, found: Any) -> list[str]:
    """Strings of HDF5, or of MATLAB 7.3, which refers to arrays of their letters' codes."""
    cells = np.asarray(found).ravel()
    if found.dtype.kind == "O" and cells.size and not isinstance(cells[0], bytes | str):
        return ["".join(map(chr, np.asarray(file[cell]).ravel().tolist())).strip() for cell in cells]
    return [_decode(cell) for cell in cells]


def _decode(text: object) -> str:
    return (text.decode("utf-8", errors="replace") if isinstance(text, bytes) else str(text)).strip()


def _open_mat5(path: Path) -> BFile:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found = loadmat(path, simplify_cells=True)
    except NotImplementedError:  # what scipy says of MATLAB 7.3, whose files are HDF5: this one is not
        raise cut_off(path) from None
    except (MatReadError, ValueError, TypeError, OSError) as error:
        raise InputError(f"is neither HDF5 nor a MATLAB file ({error})", where=str(path)) from None
    spelling = next((s for s in _SPELLINGS if s[0] in found and isinstance(found.get(s[1]), dict)), None)
    if spelling is None or not {"key", "description", "value"} <= set(found[spelling[1]]):
        raise _no_bdata(path, [name for name in found if not name.startswith("__")])
    data, meta = np.atleast_2d(found[spelling[0]]).astype(np.float64), found[spelling[1]]
    keys, descriptions = ([_decode(t) for t in np.atleast_1d(meta[part])] for part in ("key", "description"))
    values = np.atleast_2d(meta["value"]).astype(np.float64)
    if data.shape[1] != values.shape[1]:
        raise InputError(f"{data.shape[1]} columns, but values for {values.shape[1]}", where=str(path))
    return BFile(path, {k: n for n, k in enumerate(keys)}, descriptions, values, {}, data, spelling[0])
