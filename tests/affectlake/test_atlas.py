from __future__ import annotations

import numpy as np
import pytest

from affectlake.atlas import read_atlas
from affectlake.errors import InputError
from tests.affectlake._brains import AFFINE, SHAPE, save


def write(root, table="index\tlabel\n1\tamygdala\n2\tinsula\n", labels=None, suffix="tsv"):
    if labels is None:
        labels = np.zeros(SHAPE, dtype=np.int16)
        labels[0], labels[1] = 1, 2
    path = root / f"atlas.{suffix}"
    path.write_text(table)
    return save(root / "atlas.nii.gz", labels), path


def test_labels_become_regions(tmp_path):
    atlas = read_atlas(*write(tmp_path))
    assert atlas.rois == {"amygdala": (1,), "insula": (2,)}
    assert atlas.image.shape == SHAPE
    assert not len(atlas.exclusions)


def test_comma_separated_table_with_other_columns_and_background(tmp_path):
    atlas = read_atlas(
        *write(tmp_path, "color,index,label\nred,0,Background\nblue,2,insula\n,1,amygdala\n", suffix="csv")
    )
    assert atlas.rois == {"insula": (2,), "amygdala": (1,)}


def test_two_indices_of_one_label_are_one_region(tmp_path):
    assert read_atlas(*write(tmp_path, "index\tlabel\n1\tamygdala\n2\tamygdala\n")).rois == {"amygdala": (1, 2)}


def test_labels_that_only_one_side_has_are_counted(tmp_path):
    atlas = read_atlas(*write(tmp_path, "index\tlabel\n1\tamygdala\n7\tthalamus\n"))
    rows = atlas.exclusions.frame("voxels", "sub-01").select("reason", "what", "n").rows()
    assert rows == [("unnamed_label", "2", 15), ("absent_label", "7 thalamus", 1)]


def test_groups_replace_the_regions_and_may_overlap(tmp_path):
    image, table = write(tmp_path)
    atlas = read_atlas(image, table, groups={"all": ["amygdala", "insula"], "fear": ["amygdala"]})
    assert atlas.rois == {"all": (1, 2), "fear": (1,)}
    with pytest.raises(InputError, match=r"labels that the table does not have: OFC \(in value\)"):
        read_atlas(image, table, groups={"value": ["OFC"]})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("index\ttitle\n1\ta\n", r"columns index and label \(or name\) are needed; there are index, title"),
        ("index\tlabel\n1\ta\n1\tb\n", "row 3: index 1 stands twice"),
        ("index\tlabel\none\ta\n", "row 2: index 'one' is not a whole number"),
        ("index\tlabel\n1\t\n", "row 2: index 1 has no label"),
        ("index\tlabel\n8\ta\n", "none of the image's 2 labels is in the table"),
        ("", "not a readable table"),
    ],
)
def test_bad_tables_name_file_and_row(tmp_path, table, message):
    with pytest.raises(InputError, match=message):
        read_atlas(*write(tmp_path, table))


def test_missing_files(tmp_path):
    image, table = write(tmp_path)
    with pytest.raises(InputError, match=r"none.tsv: no such file"):
        read_atlas(image, tmp_path / "none.tsv")
    with pytest.raises(InputError, match=r"none.nii.gz: no such file"):
        read_atlas(tmp_path / "none.nii.gz", table)


def test_images_that_hold_no_labels(tmp_path):
    with pytest.raises(InputError, match="not whole numbers"):
        read_atlas(*write(tmp_path, labels=np.full(SHAPE, 0.5, dtype=np.float32)))
    with pytest.raises(InputError, match="one image of labels"):
        read_atlas(*write(tmp_path, labels=np.ones((*SHAPE, 2), dtype=np.int16)))


def test_same_grid_is_not_resampled(tmp_path):
    atlas = read_atlas(*write(tmp_path))
    labels, lost = atlas.on_grid(SHAPE, AFFINE)
    assert labels is atlas.image
    assert not len(lost)


def test_other_grid_takes_the_nearest_label_and_counts_lost_regions(tmp_path):
    labels = np.zeros((8, 10, 6), dtype=np.int16)
    labels[:4], labels[7, 9, 5] = 1, 2
    fine = AFFINE.copy()
    fine[:3, :3] /= 2
    (tmp_path / "atlas.tsv").write_text("index\tlabel\n1\tbig\n2\ttiny\n")
    atlas = read_atlas(save(tmp_path / "fine.nii.gz", labels, fine), tmp_path / "atlas.tsv")
    moved, lost = atlas.on_grid(SHAPE, AFFINE)
    np.testing.assert_array_equal(moved, labels[::2, ::2, ::2])
    assert lost.frame("voxels", "sub-01").select("reason", "what", "n").rows() == [("lost_in_resampling", "tiny", 1)]
