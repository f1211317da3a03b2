"""NIfTI images through nibabel, with one kind of error. What does not belong here: what the values mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlake.errors import InputError


def open_image(path: Path, *, keep_open: bool = False) -> Any:
    """Open an image without reading its data.

    Parameters
    ----------
    path : Path
    keep_open : bool
        Keep the file open between reads, so that reading a .gz forwards unpacks it once and not once a volume. It is
        unpacked by ISA-L, in a half to a third of zlib's time: most of reading a run is unpacking it.

    Returns
    -------
    nibabel image

    Raises
    ------
    InputError
        There is no such file, or it is no image.
    """
    import nibabel

    try:
        image: Any = nibabel.load(path, **({"keep_file_open": True} if keep_open else {}))
        if not keep_open or not path.name.endswith(".nii.gz"):
            return image
        from isal import igzip
        from nibabel.fileholders import FileHolder

        unpacked: Any = igzip
        return type(image).from_file_map({"image": FileHolder(fileobj=unpacked.open(path))})
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path)) from error
    except EOFError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # nibabel raises a dozen types, all of which mean the same to the user
        raise InputError(f"not a readable NIfTI image ({error})", where=str(path)) from error


def read_image(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read an image's values as they are and its affine, shape (4, 4).

    Raises
    ------
    InputError
        There is no such file, it is no image, or it ends too early.
    """
    image = open_image(path)
    try:
        return np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)
    except Exception as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    """The error of an image that begins well and cannot be read to its end."""
    return InputError(
        f"the image cannot be read to its end ({error})", where=str(path), remedy="Copy or make the file again."
    )


def make_image(data: NDArray[Any], affine: NDArray[np.float64]) -> Any:
    """Make an image of ``data`` that is stored in the array's own type."""
    import nibabel

    image_type: Any = nibabel.Nifti1Image
    return image_type(data, affine, dtype=data.dtype)
