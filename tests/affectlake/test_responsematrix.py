from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest

from affectlake.errors import InputError
from affectlake.formats.matrices import in_natural_order, read_matrix, read_stimuli, read_voxels
from affectlake.responsematrix import matrix_subject
from affectlake.tables import RESPONSES, VOXELS

N, V = 24, 5


def planted(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, V)).astype(np.float32)


def save(path: Path, matrix: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, matrix)
    elif path.suffix == ".parquet":
        pl.DataFrame(matrix, schema=[f"v{k}" for k in range(matrix.shape[1])]).write_parquet(path)
    else:
        with h5py.File(path, "w") as file:
            file["betas"] = matrix
    return path


def tables(folder: Path, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> tuple[Path, Path]:
    """Two sessions of two runs of six clips; the lines in any order that the numbers undo."""
    rows, columns = np.arange(N) if rows is None else rows, np.arange(V) if columns is None else columns
    stimuli = pl.DataFrame(
        {
            "row": np.arange(N),
            "session": np.repeat(["ses-9", "ses-10"], 12),
            "run": np.tile(np.repeat([1, 2], 6), 2),
            "trial": np.tile(np.arange(6), 4),
            "video_id": [f"v{n:02d}" for n in range(N)],
        }
    )
    voxels = pl.DataFrame(
        {
            "column": np.arange(V),
            **{axis: np.arange(V) for axis in "ijk"},
            **{axis: np.arange(V) * 2.0 for axis in "xyz"},
            "rois": ["A;B", "A", None, "B", "B"],
        }
    )
    stimuli[rows.tolist()].write_csv(folder / "stimuli.csv")
    voxels[columns.tolist()].write_csv(folder / "voxels.tsv", separator="\t")
    return folder / "stimuli.csv", folder / "voxels.tsv"


def read(folder: Path, matrix: np.ndarray, duplicate_of: dict[str, str] | None = None, **order: np.ndarray):
    stimuli, voxels = tables(folder, **order)
    shown = read_stimuli(stimuli, "video_id").rename({"stimulus": "video_id"}).with_columns(source=pl.lit("stimuli"))
    return matrix_subject("s1", shown, matrix, read_voxels(voxels), source=folder / "m.npy", duplicate_of=duplicate_of)


@pytest.mark.parametrize("suffix", [".npy", ".parquet", ".h5"])
def test_a_matrix_is_read_from_each_kind_of_file(tmp_path, suffix):
    matrix = planted()
    found = read_matrix(save(tmp_path / f"m{suffix}", matrix.astype(np.float64)), dataset="betas")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, matrix)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: p.write_bytes(b"no"), "cannot be read as a matrix"),
        (lambda p: np.save(p, np.zeros(4)), r"float64 of shape \(4,\)"),
        (lambda p: np.save(p, np.array([["a"]])), "numbers of shape"),
        (lambda p: None, "there is no such file"),
    ],
)
def test_what_is_no_matrix_is_refused(tmp_path, write, message):
    write(tmp_path / "m.npy")
    with pytest.raises(InputError, match=message):
        read_matrix(tmp_path / "m.npy")


def test_a_missing_dataset_names_those_that_are_there(tmp_path):
    with pytest.raises(InputError, match="no dataset responses; there are betas"):
        read_matrix(save(tmp_path / "m.h5", planted()))


def test_responses_are_z_scored_in_runs_numbered_over_sessions_in_natural_order(tmp_path):
    matrix = planted()
    found = read(tmp_path, matrix)
    assert found.presentations.select("session", "run").unique(maintain_order=True).rows() == [
        ("ses-9", 1),
        ("ses-9", 2),
        ("ses-10", 3),
        ("ses-10", 4),
    ]
    part = matrix[6:12]
    np.testing.assert_allclose(found.responses[6:12], (part - part.mean(0)) / part.std(0), atol=1e-5)
    assert found.voxels["rois"].to_list() == [["A", "B"], ["A"], [], ["B"], ["B"]]
    assert found.voxels["y_mm"].to_list() == [0, 2, 4, 6, 8]
    RESPONSES.validate(found.responses_frame())
    VOXELS.validate(found.voxels)


def test_the_order_of_the_lines_has_no_meaning_where_they_are_numbered(tmp_path):
    rng, matrix = np.random.default_rng(3), planted()
    plain = read(tmp_path, matrix)
    mixed = read(tmp_path, matrix, rows=rng.permutation(N), columns=rng.permutation(V))
    assert mixed.responses_frame().equals(plain.responses_frame())
    assert mixed.voxels.equals(plain.voxels)


def test_unusable_voxels_are_reported_and_used_nowhere(tmp_path):
    matrix = planted()
    matrix[3, 1], matrix[12:18, 2] = np.nan, 7
    found = read(tmp_path, matrix)
    assert found.voxels["status"].to_list() == ["used", "nan", "constant", "used", "used"]
    assert not found.responses[:, [1, 2]].any()
    assert np.isfinite(found.responses).all()
    assert found.exclusions.total("nan_voxel") == found.exclusions.total("constant_voxel") == 1


def test_of_a_clip_and_its_duplicate_the_first_shown_is_kept(tmp_path):
    found = read(tmp_path, planted(), {"v01": "v20"})
    assert found.presentations.height == N - 1
    assert "v20" in found.presentations.filter(run=1)["video_id"].to_list()
    assert found.exclusions.frame("responses").select("reason", "what").rows() == [("duplicate_presentation", "v20")]


def test_tables_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(InputError, match="has 4 columns, 5 voxels are described"):
        read(tmp_path, planted()[:, :4])
    stimuli, _ = tables(tmp_path)
    stimuli.write_text(stimuli.read_text().replace("\n1,ses-9", "\n0,ses-9"))
    with pytest.raises(InputError, match=r"column row is not 0, 1, \.\.\., 23, each once"):
        read_stimuli(stimuli, "video_id")
    with pytest.raises(InputError, match=r"no column stim_id; there are row, .*brain\.stimulus_column"):
        read_stimuli(stimuli, "stim_id")


def test_files_of_sessions_are_sorted_by_their_number():
    names = ["S1_Session10.h5", "S1_Session2.h5"]
    assert [p.name for p in in_natural_order(map(Path, names))] == names[::-1]
