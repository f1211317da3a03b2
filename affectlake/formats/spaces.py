"""Spaces in the layouts of other programs: SPoSE and THINGS (text), NumPy, and rsatoolbox (HDF5).

What belongs here: arrays and names in, files out. What does not: which space, and where it comes from. Triplets of the
same projects are in ``things``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import InputError

Float = npt.NDArray[np.float32]

IDS = "unique_id.txt"
"""One id a line, in the order of rows: the name that the THINGS project gives this file."""


def write_space(folder: Path, ids: Sequence[str], vectors: npt.ArrayLike, labels: Sequence[str]) -> list[Path]:
    """Write one space as THINGS and SPoSE users know it, and the same for NumPy and spreadsheets.

    Parameters
    ----------
    folder : Path
        Made if need be.
    ids : sequence of str, length n
    vectors : float[n, d]
        Dimensions sorted by total weight, the largest first.
    labels : sequence of str, length d

    Returns
    -------
    list of Path
        ``spose_embedding_<d>d_sorted.txt`` (n rows, d columns, spaces, as ``numpy.loadtxt`` reads it),
        ``unique_id.txt``, ``labels.txt``, ``embedding.npy`` (float32) and ``embedding.csv`` (``video_id``, one column a
        dimension).

    Raises
    ------
    InputError
        Shapes disagree.
    """
    matrix = np.asarray(vectors, dtype=np.float32)
    if matrix.ndim != 2 or matrix.shape != (len(ids), len(labels)):
        raise InputError(f"{len(ids)} ids and {len(labels)} labels for a space of shape {matrix.shape}")
    folder.mkdir(parents=True, exist_ok=True)
    text, table = folder / f"spose_embedding_{matrix.shape[1]}d_sorted.txt", folder / "embedding.csv"
    np.savetxt(text, matrix, fmt="%.9g")  # nine digits are a float32, to the bit
    np.save(folder / "embedding.npy", matrix, allow_pickle=False)
    _lines(folder / IDS, ids)
    _lines(folder / "labels.txt", labels)
    columns = {f"dimension_{d:03d}": matrix[:, d] for d in range(matrix.shape[1])}
    pl.DataFrame({"video_id": list(ids), **columns}).write_csv(table)
    return [text, folder / IDS, folder / "labels.txt", folder / "embedding.npy", table]


def _lines(path: Path, texts: Sequence[str]) -> None:
    path.write_text("".join(f"{' '.join(text.split())}\n" for text in texts), encoding="utf-8")


def write_rdm(
    stem: Path, dissimilarities: npt.ArrayLike, ids: Sequence[str], measure: str, descriptors: Mapping[str, str]
) -> list[Path]:
    """Write one dissimilarity matrix for NumPy and for rsatoolbox.

    Parameters
    ----------
    stem : Path
        Path without a suffix.
    dissimilarities : float[n, n]
        Symmetric, zeros on the diagonal.
    ids : sequence of str, length n
    measure : str
        Name of the dissimilarity.
    descriptors : mapping of str to str
        What the matrix is of, such as its model.

    Returns
    -------
    list of Path
        ``.npy`` (float32[n, n]) and ``.hdf5``, which ``rsatoolbox.rdm.load_rdm`` reads: the upper triangle row by row
        as ``dissimilarities`` of shape (1, n (n - 1) / 2), ids as the pattern descriptor ``video_id``.

    Raises
    ------
    InputError
        Shapes disagree, or the matrix is not symmetric.
    """
    import h5py

    matrix = np.asarray(dissimilarities, dtype=np.float32)
    if matrix.shape != (len(ids), len(ids)) or not np.allclose(matrix, matrix.T, atol=1e-6):
        raise InputError(f"a matrix of shape {matrix.shape} is no dissimilarity matrix of {len(ids)} items")
    stem.parent.mkdir(parents=True, exist_ok=True)
    square, stacked = stem.with_name(f"{stem.name}.npy"), stem.with_name(f"{stem.name}.hdf5")
    np.save(square, matrix, allow_pickle=False)
    with h5py.File(stacked, "w") as file:
        file.attrs["rsatoolbox_version"] = "0.0.1"  # of the layout; its programs have written this from the first
        file.attrs["dissimilarity_measure"] = measure
        file["dissimilarities"] = matrix[np.triu_indices(len(ids), k=1)][None].astype(np.float64)
        patterns = file.create_group("pattern_descriptors")
        patterns["index"] = np.arange(len(ids))
        patterns["video_id"] = np.array(ids, dtype="S")
        rdms = file.create_group("rdm_descriptors")
        rdms["index"] = np.arange(1)
        file.create_group("descriptors").attrs.update(dict(descriptors))
    return [square, stacked]
