"""Values of voxels as images in the subject's own space.

What belongs here: from a table's voxels to a NIfTI image. What does not: where the values come from (``scoring.py``),
pictures of images (``assets``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affectlake._nifti import make_image
from affectlake.errors import InputError

if TYPE_CHECKING:
    import nibabel

TOLERANCE_MM = 0.05
"""How far a voxel may lie from where the affine puts it; tables and BData files round to hundredths of a millimetre."""


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
