"""Spaces and dissimilarities as other programs read them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from affectlake.errors import InputError
from affectlake.formats.spaces import write_rdm, write_space


def test_a_space_comes_back_to_the_bit_from_the_text_that_things_users_load(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).gamma(1, 1, (5, 3)).astype(np.float32)
    ids = ["0001", "0002", "b", "c", "d"]
    write_space(tmp_path, ids, vectors, ["Fear", "a b\nc", "Joy"])
    loaded = np.loadtxt(tmp_path / "spose_embedding_3d_sorted.txt", dtype=np.float32)
    np.testing.assert_array_equal(loaded, vectors)
    np.testing.assert_array_equal(np.load(tmp_path / "embedding.npy"), vectors)
    assert (tmp_path / "unique_id.txt").read_text().split() == ids
    assert (tmp_path / "labels.txt").read_text().splitlines() == ["Fear", "a b c", "Joy"]
    table = pl.read_csv(tmp_path / "embedding.csv", schema_overrides={"video_id": pl.String})
    assert table["video_id"].to_list() == ids
    np.testing.assert_array_equal(table.drop("video_id").to_numpy().astype(np.float32), vectors)


def test_a_dissimilarity_matrix_has_the_layout_that_rsatoolbox_loads(tmp_path: Path) -> None:
    square = np.array([[0, 1, 2], [1, 0, 3], [2, 3, 0]], dtype=np.float32)
    write_rdm(tmp_path / "rdms" / "v1.5", square, ["x", "y", "z"], "correlation", {"model": "m"})
    np.testing.assert_array_equal(np.load(tmp_path / "rdms" / "v1.5.npy"), square)
    with h5py.File(tmp_path / "rdms" / "v1.5.hdf5") as file:
        assert file["dissimilarities"][()].tolist() == [[1, 2, 3]]
        assert file.attrs["dissimilarity_measure"] == "correlation"
        assert [v.decode() for v in file["pattern_descriptors/video_id"][()]] == ["x", "y", "z"]
        assert dict(file["descriptors"].attrs) == {"model": "m"}
        assert list(file["rdm_descriptors/index"]) == [0]


def test_shapes_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 ids and 1 labels"):
        write_space(tmp_path, ["a", "b"], np.zeros((2, 2)), ["x"])
    with pytest.raises(InputError, match="no dissimilarity matrix"):
        write_rdm(tmp_path / "x", [[0, 1], [2, 0]], ["a", "b"], "correlation", {})
