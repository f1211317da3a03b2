"""Feature files of Horikawa's releases, written with SciPy and h5py, become spaces of the study's clips."""

import h5py
import numpy as np
import polars as pl
import pytest
import scipy.io

from affectlake.errors import InputError
from affectlake.formats.matfeatures import read_folder, read_struct
from resources.agents.features import read_space
from resources.settings import IdRule

FEATURES = np.random.default_rng(0).normal(size=(5, 7))
VIDEOS = pl.DataFrame(
    {"video_id": ["0001", "0002", "0003", "0005"], "item": [0, 1, 2, 3], "status": "no_media", "duplicate_of": None},
    schema_overrides={"item": pl.Int32, "duplicate_of": pl.String},
)


@pytest.fixture
def folder(tmp_path):
    for k, row in enumerate(FEATURES, start=1):
        path = tmp_path / "semantic" / f"{k:04d}.mat"
        path.parent.mkdir(exist_ok=True)
        if k % 2:
            scipy.io.savemat(path, {"feat": row[None]})
        else:  # MATLAB 7.3 keeps arrays transposed
            with h5py.File(path, "w") as file:
                file["feat"] = row[:, None]
    return tmp_path / "semantic"


def test_one_file_a_clip_of_both_matlab_versions(folder):
    found = read_folder(folder)
    assert found.ids == ["0001", "0002", "0003", "0004", "0005"]
    np.testing.assert_array_equal(found.vectors, FEATURES)


def test_a_folder_is_a_space_of_the_studys_clips_and_the_rest_is_told(folder):
    space = read_space("semantic", folder, None, VIDEOS)
    assert list(space.video_ids) == ["0001", "0002", "0003", "0005"]
    np.testing.assert_array_equal(space.vectors, FEATURES[[0, 1, 2, 4]])
    assert space.exclusions.frame("embeddings").select("reason", "what").rows() == [("unknown_id", "0004")]


def test_one_file_for_all_names_its_rows_by_number(tmp_path):
    names = np.array([f"concept {k}" for k in range(7)], dtype=object)
    scipy.io.savemat(tmp_path / "semantic.mat", {"L": {"feat": FEATURES, "featname": names}})
    space = read_space("semantic", tmp_path / "semantic.mat", None, VIDEOS, IdRule(pad=4))
    assert space.names[3] == "concept 3"
    np.testing.assert_array_equal(space.vectors, FEATURES[[0, 1, 2, 4]])


def test_wrong_files_are_named(folder, tmp_path):
    scipy.io.savemat(folder / "0003.mat", {"feat": np.ones((1, 3))})
    with pytest.raises(InputError, match=r"0003\.mat: has 3 values, 0001\.mat has 7"):
        read_folder(folder)
    scipy.io.savemat(folder / "0003.mat", {"features": np.ones((1, 7))})
    with pytest.raises(InputError, match=r"0003\.mat: holds no variable feat"):
        read_folder(folder)
    scipy.io.savemat(folder / "0003.mat", {"feat": np.ones((7, 7))})
    with pytest.raises(InputError, match="one row of numbers"):
        read_folder(folder)
    (folder / "0003.mat").write_text("no MATLAB")
    with pytest.raises(InputError, match=r"0003\.mat"):
        read_folder(folder)
    (folder / "0003.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: x".ljust(124) + b"\x00\x02IM" + bytes(512))
    with pytest.raises(InputError, match=r"0003\.mat: begins as a MATLAB 7\.3 file.*cut off or damaged"):
        read_folder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.mat file"):
        read_folder(tmp_path / "empty")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: x".ljust(124) + b"\x00\x02IM" + bytes(512))
    with pytest.raises(InputError, match=r"7\.3.*-v7"):
        read_struct(tmp_path / "new.mat")
    with pytest.raises(InputError, match="struct L"):
        read_struct(folder / "0001.mat")
