"""BData as bdpy writes it, and the older spellings written with h5py and scipy in the documented layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bdpy
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from affectlake.errors import InputError
from affectlake.formats.bdata import fit_affine, read_bdata

IJK = np.array([[i, j, k] for k in range(2) for j in range(3) for i in range(2)], dtype=float)
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2.0, 0, -126], [0, 0, 2.5, -72], [0, 0, 0, 1]])
XYZ = IJK @ AFFINE[:3, :3].T + AFFINE[:3, 3]
V = len(IJK)
ROIS = {"hcp180_r_lh.L_V1_ROI": [0, 1], "hcp180_r_rh.R_V1_ROI": [1, 2], "hcp180_r_lh.L_9-46d_ROI": [5]}
LABELS = ("Session", "Run", "Block", "stimulus_name")


def content(
    runs: int = 2, blocks: int = 3, session: int = 1, seed: int = 0
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Samples (voxels first, then labels) and the values of every key."""
    n = runs * blocks
    label = np.column_stack(
        [
            np.full(n, session),
            np.repeat(np.arange(runs) + 1, blocks),
            np.tile(np.arange(blocks) + 1, runs),
            np.arange(n) + 1,
        ]
    )
    samples = np.column_stack([np.random.default_rng(seed).normal(size=(n, V)), label])
    width = V + len(LABELS)
    values = {"VoxelData": np.r_[np.ones(V), np.full(len(LABELS), np.nan)]}
    for place, key in enumerate(LABELS):
        values[key] = np.where(np.arange(width) == V + place, 1.0, np.nan)
    values["Label"] = np.where(np.arange(width) >= V + 3, 1.0, np.nan)
    for name, voxels in ROIS.items():
        values[name] = np.r_[np.isin(np.arange(V), voxels), np.full(len(LABELS), np.nan)]
    for axis in range(3):
        values[f"voxel_{'ijk'[axis]}"] = np.r_[IJK[:, axis], np.full(len(LABELS), np.nan)]
        values[f"voxel_{'xyz'[axis]}"] = np.r_[XYZ[:, axis], np.full(len(LABELS), np.nan)]
    return samples, values


def described(keys: Sequence[str]) -> list[str]:
    return [f"1 = ROI {k}" if k.endswith("_ROI") else f"1 = {k}" for k in keys]


def write_h5(path: Path, *, old: bool = False, names: bool = True, **kwargs: int) -> Path:
    samples, values = content(**kwargs)
    with h5py.File(path, "w") as file:
        file["dataSet" if old else "dataset"] = samples
        meta = file.create_group("metaData" if old else "metadata")
        meta["key"] = [k.encode() for k in values]
        meta["description"] = [d.encode() for d in described(list(values))]
        meta["value"] = np.array(list(values.values()))
        if names:
            for number in range(1, len(samples) + 1):
                file[f"vmap/stimulus_name/{float(number)}"] = f"{number:04d}".encode()
    return path


def write_bdpy(path: Path) -> Path:
    samples, values = content()
    data = bdpy.BData()
    data.add(samples[:, :V], "VoxelData")
    for place, key in enumerate(LABELS):
        data.add(samples[:, [V + place]], key)
    for key, value in values.items():
        if key.endswith("_ROI") or key.startswith("voxel_"):
            text = f"1 = ROI {key}" if key.endswith("_ROI") else f"Voxel {key[-1]} coordinate"
            data.add_metadata(key, value[:V], text, where="VoxelData")
    data.add_vmap("stimulus_name", {n: f"{n:04d}" for n in range(1, len(samples) + 1)})
    data.save(str(path))
    return path


def write_mat5(path: Path) -> Path:
    samples, values = content()
    key, text = np.array(list(values), dtype=object), np.array(described(list(values)), dtype=object)
    savemat(
        path,
        {"dataSet": samples, "metaData": {"key": key, "description": text, "value": np.array(list(values.values()))}},
    )
    return path


def write_mat73(path: Path) -> Path:
    """As MATLAB does: columns become rows, and text is an array of letters that a cell refers to."""
    samples, values = content()
    with h5py.File(path, "w") as file:
        file["dataSet"] = samples.T
        file["dataSet"].attrs["MATLAB_class"] = np.bytes_("double")
        meta = file.create_group("metaData")
        meta["value"] = np.array(list(values.values())).T
        for part, texts in (("key", list(values)), ("description", described(list(values)))):
            cells = []
            for n, text in enumerate(texts):
                letters = file.create_dataset(
                    f"#refs#/{part}{n}", data=np.array([[ord(c)] for c in text], dtype=np.uint16)
                )
                cells.append(letters.ref)
            meta.create_dataset(part, data=np.array(cells, dtype=h5py.ref_dtype)[None], dtype=h5py.ref_dtype)
    return path


WRITERS = {
    "bdpy": lambda folder: write_bdpy(folder / "a.h5"),
    "new spelling": lambda folder: write_h5(folder / "a.h5"),
    "old spelling": lambda folder: write_h5(folder / "a.h5", old=True),
    "MATLAB 5": lambda folder: write_mat5(folder / "a.mat"),
    "MATLAB 7.3": lambda folder: write_mat73(folder / "a.mat"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_holds_the_same(tmp_path, kind):
    found = read_bdata([WRITERS[kind](tmp_path)], stimulus_column="stimulus_name")
    np.testing.assert_allclose(found.responses, content()[0][:, :V], rtol=1e-6)
    assert found.responses.dtype == np.float32
    assert found.samples["run"].to_list() == [1, 1, 1, 2, 2, 2]
    assert found.samples["trial"].to_list() == [1, 2, 3, 1, 2, 3]
    stimuli = [str(n) if "MATLAB" in kind else f"{n:04d}" for n in range(1, 7)]
    assert found.samples["stimulus"].to_list() == stimuli
    assert found.voxels["rois"].to_list()[1] == ["hcp180_r_lh.L_V1_ROI", "hcp180_r_rh.R_V1_ROI"]
    assert found.voxels["rois"].to_list()[3] == []
    np.testing.assert_array_equal(found.voxels.select("i", "j", "k").to_numpy(), IJK)
    assert found.affine is not None
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-9)


def test_runs_that_start_anew_in_each_session_are_numbered_on(tmp_path):
    paths = [write_h5(tmp_path / f"s{n}.h5", session=1, seed=n) for n in (1, 2)]
    found = read_bdata(paths, stimulus_column="stimulus_name")
    assert found.samples["run"].unique().to_list() == [1, 2, 3, 4]
    assert found.samples["row"].to_list() == list(range(12))
    np.testing.assert_allclose(found.responses[6:], content(seed=2)[0][:, :V], rtol=1e-6)


def test_sessions_inside_one_file_keep_their_runs_apart(tmp_path):
    path = write_h5(tmp_path / "a.h5", runs=2, blocks=2)
    with h5py.File(path, "a") as file:
        file["dataset"][:, V] = [1, 1, 2, 2]
        file["dataset"][:, V + 1] = 1
        file["dataset"][:, V + 2] = [2, 1, 1, 2]
    found = read_bdata([path], stimulus_column="stimulus_name").samples
    assert found["run"].to_list() == [1, 1, 2, 2]
    assert found["trial"].to_list() == [2, 1, 1, 2], "the order in a run is that of its blocks"


def test_numbers_without_names_are_whole_numbers_and_nan_is_no_stimulus(tmp_path):
    path = write_h5(tmp_path / "a.h5", names=False)
    with h5py.File(path, "a") as file:
        file["dataset"][0, V + 3] = np.nan
    found = read_bdata([path], stimulus_column="stimulus_name")
    assert found.samples["stimulus"].to_list() == [None, "2", "3", "4", "5", "6"]
    assert found.labels["Block"].to_list()[:2] == ["1", "2"]


def test_regions_may_be_groups_of_the_files_keys(tmp_path):
    groups = {"V1": ["hcp180_r_lh.L_V1_ROI", "hcp180_r_rh.R_V1_ROI"], "all": list(ROIS)}
    found = read_bdata([write_h5(tmp_path / "a.h5")], stimulus_column="stimulus_name", groups=groups)
    assert found.voxels["rois"].to_list()[:6] == [["V1", "all"]] * 3 + [[], [], ["all"]]
    with pytest.raises(InputError, match=r"has not 1 keys of brain\.groups, such as V9 .of x."):
        read_bdata([tmp_path / "a.h5"], stimulus_column="stimulus_name", groups={"x": ["V9"]})


def test_what_does_not_fit_is_refused(tmp_path):
    path = write_h5(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"no label stim_index; there are Session, Run.*brain\.stimulus_column"):
        read_bdata([path], stimulus_column="stim_index")
    (tmp_path / "text.mat").write_text("no")
    with pytest.raises(InputError, match="neither HDF5 nor a MATLAB file"):
        read_bdata([tmp_path / "text.mat"], stimulus_column="x")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["betas"] = [1]
    head = b"MATLAB 7.3 MAT-file, Platform: x".ljust(124) + b"\x00\x02IM"
    (tmp_path / "cut.mat").write_bytes(head + bytes(64))
    with pytest.raises(InputError, match=r"cut\.mat: begins as a MATLAB 7\.3 file.*cut off or damaged"):
        read_bdata([tmp_path / "cut.mat"], stimulus_column="x")
    with pytest.raises(InputError, match=r"is no BData: .*it has betas"):
        read_bdata([tmp_path / "b.h5"], stimulus_column="x")


def test_positions_that_contradict_the_indices_are_refused(tmp_path):
    path = write_h5(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        row = [k.decode() for k in file["metadata/key"]].index("voxel_y")
        file["metadata/value"][row, :V] = np.roll(XYZ[:, 1], 1)
    with pytest.raises(InputError, match=r"voxel_x, _y, _z lie up to .* mm from any grid"):
        read_bdata([path], stimulus_column="stimulus_name")


def test_files_of_other_voxels_are_refused(tmp_path):
    paths = [write_h5(tmp_path / "a.h5"), write_h5(tmp_path / "b.h5")]
    with h5py.File(paths[1], "a") as file:
        row = [k.decode() for k in file["metadata/key"]].index("hcp180_r_lh.L_V1_ROI")
        file["metadata/value"][row, 4] = 1
    with pytest.raises(InputError, match=r"b\.h5: its voxels are not those of a\.h5"):
        read_bdata(paths, stimulus_column="stimulus_name")


def test_voxels_in_one_plane_have_no_affine():
    flat = IJK[IJK[:, 2] == 0]
    assert fit_affine(flat, flat * 2) is None
