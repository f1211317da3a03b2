"""Values of voxels as images in the subject's own space.

What belongs here: from a table's voxels to a NIfTI image. What does not: where the values come from (``scoring.py``),
pictures of images (``assets``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake._nifti import make_image
from affectlake.errors import InputError

if TYPE_CHECKING:
    import nibabel

TOLERANCE_MM = 0.05
"""How far a voxel may lie from where the affine puts it; tables and BData files round to hundredths of a millimetre."""

_PLACE = ("i", "j", "k", "x_mm", "y_mm", "z_mm")


def volume(ijk: npt.ArrayLike, xyz_mm: npt.ArrayLike, values: npt.ArrayLike) -> nibabel.Nifti1Image:
    """Put the values of voxels into an image.

    Parameters
    ----------
    ijk : int32[v, 3]
        Voxel indices, from 0.
    xyz_mm : float32[v, 3]
        Positions in mm, in the space of the images.
    values : float32[v]

    Returns
    -------
    nibabel.Nifti1Image
        float32, as large as the highest indices ask; 0 where there is no voxel, as nilearn has it. Its affine is the
        one that the positions follow.

    Raises
    ------
    InputError
        Shapes disagree, an index is negative or stands twice, or the positions follow no affine.
    """
    places = np.asarray(ijk, dtype=np.int64).reshape(-1, 3)
    flat = np.asarray(values, dtype=np.float32).ravel()
    affine = affine_of(places, xyz_mm)
    if len(flat) != len(places):
        raise InputError(f"{len(places)} voxels and {len(flat)} values", where="volume")
    if places.min() < 0:
        raise InputError(f"the index {places.min()} is negative; indices begin at 0", where="volume")
    data = np.zeros(places.max(axis=0) + 1, dtype=np.float32)
    if len(np.unique(np.ravel_multi_index(tuple(places.T), data.shape))) < len(places):
        raise InputError("the same voxel stands twice", where="volume")
    data[tuple(places.T)] = flat
    image = make_image(data, affine)
    image.header.set_xyzt_units("mm")
    made: nibabel.Nifti1Image = image
    return made


def subject_volume(voxels: pl.DataFrame, scores: pl.DataFrame, column: str) -> nibabel.Nifti1Image:
    """One score of one subject as an image; voxels without a score are 0.

    Parameters
    ----------
    voxels : DataFrame
        The subject's rows of the table ``voxels``: all of them, so that every map of a subject has the same grid.
    scores : DataFrame
        ``voxel`` and ``column``, one row a scored voxel, in any order.
    column : str
        The score.

    Raises
    ------
    InputError
        The voxels have no places (only regions' time series are known), or as for `volume`.
    """
    if not placed(voxels):
        raise InputError(
            "the subject's voxels have no places, so there is no map of them",
            where="table voxels",
            remedy="Regions' scores stand in the table encoding_scores.",
        )
    joined = voxels.select("voxel", *_PLACE).join(
        scores.select("voxel", column), on="voxel", how="left", maintain_order="left"
    )
    ijk, xyz = joined.select("i", "j", "k").to_numpy(), joined.select("x_mm", "y_mm", "z_mm").to_numpy()
    return volume(ijk, xyz, joined[column].fill_null(0).to_numpy())


def upright(image: nibabel.Nifti1Image) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Turn an image so that its axes run to the right, the front and up.

    Returns
    -------
    data : float32[x, y, z]
    ends : float64[3, 2]
        Outer faces of the first and the last voxel along each axis, mm; of a tilted image those of the nearest axes.
    """
    import nibabel

    tools: Any = nibabel  # its functions have no types
    turned = tools.as_closest_canonical(image)
    data = np.asarray(turned.dataobj, dtype=np.float32)
    first, last = tools.affines.apply_affine(turned.affine, [np.full(3, -0.5), np.array(data.shape) - 0.5])
    return data, np.column_stack([first, last])


def placed(voxels: pl.DataFrame) -> bool:
    """True where every voxel of the table ``voxels`` has its place."""
    return voxels.height > 0 and not any(voxels[name].null_count() for name in _PLACE)


def affine_of(ijk: npt.ArrayLike, xyz_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Find the affine that takes voxel indices to positions, by least squares.

    Parameters
    ----------
    ijk : int32[v, 3]
    xyz_mm : float32[v, 3]

    Returns
    -------
    float64[4, 4]

    Raises
    ------
    InputError
        Shapes disagree, the voxels lie in one plane (which leaves the affine open), or a voxel lies further than
        `TOLERANCE_MM` from where the affine puts it.
    """
    places = np.asarray(ijk, dtype=np.float64).reshape(-1, 3)
    positions = np.asarray(xyz_mm, dtype=np.float64).reshape(-1, 3)
    if len(places) != len(positions):
        raise InputError(f"{len(places)} voxel indices and {len(positions)} positions", where="volume")
    if not (np.isfinite(places).all() and np.isfinite(positions).all()):
        raise InputError("a voxel's place is NaN or infinite", where="volume")
    known = np.column_stack([places, np.ones(len(places))])
    solved, _, rank, _ = np.linalg.lstsq(known, positions, rcond=None)
    if rank < 4:
        raise InputError(
            f"the {len(places)} voxels lie in one plane, so their positions leave the affine open",
            where="volume",
            remedy="Use all voxels of the subject, not one slice.",
        )
    wrong = np.linalg.norm(known @ solved - positions, axis=1)
    if wrong.max() > TOLERANCE_MM:
        worst = int(wrong.argmax())
        raise InputError(
            f"positions do not follow from the indices by one affine: voxel {tuple(int(n) for n in places[worst])} at "
            f"{tuple(round(float(mm), 2) for mm in positions[worst])} mm is {wrong[worst]:.2f} mm away",
            where="volume",
            remedy="Check that indices and positions are those of one image.",
        )
    affine = np.eye(4)
    affine[:3] = solved.T
    # far from the origin least squares leaves dust of 1e-13 where the affine has zeros
    return np.asarray(affine.round(9), dtype=np.float64)
