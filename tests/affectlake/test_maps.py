"""Voxel values become images that nibabel writes, reads back and finds in the right place."""

import nibabel
import numpy as np
import pytest

from affectlake.errors import InputError
from affectlake.maps import affine_of, volume

OBLIQUE = np.array([[-1.9, 0.3, 0.1, 88.0], [0.2, 2.0, -0.2, -124.5], [0.1, 0.3, 2.4, -70.0], [0, 0, 0, 1]])


def voxels(affine=OBLIQUE, n=200, seed=0):
    rng = np.random.default_rng(seed)
    ijk = np.argwhere(rng.random((12, 11, 10)) < n / 1320).astype(np.int32)
    return ijk, nibabel.affines.apply_affine(affine, ijk).astype(np.float32)


def test_a_map_written_to_disk_has_every_value_at_its_voxel_and_the_scans_affine(tmp_path):
    ijk, xyz = voxels()
    values = np.random.default_rng(1).normal(size=len(ijk)).astype(np.float32)
    nibabel.save(volume(ijk, xyz, values), tmp_path / "r.nii.gz")
    image = nibabel.load(tmp_path / "r.nii.gz")
    np.testing.assert_allclose(image.affine, OBLIQUE, atol=1e-4)
    data = image.get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(data[tuple(ijk.T)], values)
    assert (data != 0).sum() == len(ijk)
    assert image.get_data_dtype() == np.float32
    assert image.header.get_xyzt_units()[0] == "mm"


def test_positions_rounded_to_hundredths_still_give_the_affine():
    ijk, xyz = voxels()
    np.testing.assert_allclose(affine_of(ijk, xyz.round(2)), OBLIQUE, atol=2e-2)


def test_order_of_voxels_does_not_matter():
    ijk, xyz = voxels()
    values = np.arange(len(ijk), dtype=np.float32)
    order = np.random.default_rng(2).permutation(len(ijk))
    one, other = volume(ijk, xyz, values), volume(ijk[order], xyz[order], values[order])
    np.testing.assert_array_equal(one.get_fdata(), other.get_fdata())
    np.testing.assert_allclose(one.affine, other.affine, atol=1e-6)


def moved(ijk, xyz):
    xyz = xyz.copy()
    xyz[7] += 1.5
    return ijk, xyz


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (moved, "positions do not follow from the indices by one affine"),
        (lambda ijk, xyz: (ijk[ijk[:, 2] == 3], xyz[ijk[:, 2] == 3]), "lie in one plane"),
        (lambda ijk, xyz: (ijk[:0], xyz[:0]), "0 voxels lie in one plane"),
        (lambda ijk, xyz: (ijk[:-1], xyz), "voxel indices and"),
        (lambda ijk, xyz: (ijk - 20, xyz), "negative"),
        (lambda ijk, xyz: (np.vstack([ijk, ijk[:1]]), np.vstack([xyz, xyz[:1]])), "stands twice"),
        (lambda ijk, xyz: (ijk, np.where(np.arange(len(ijk))[:, None] == 4, np.nan, xyz)), "NaN"),
    ],
)
def test_voxels_that_make_no_image_are_refused_in_words(change, words):
    ijk, xyz = change(*voxels())
    with pytest.raises(InputError, match=words):
        volume(ijk, xyz, np.ones(len(ijk), np.float32))


def test_a_value_too_few_is_refused():
    ijk, xyz = voxels()
    with pytest.raises(InputError, match="values"):
        volume(ijk, xyz, np.ones(len(ijk) - 1))
