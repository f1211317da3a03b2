"""Triplet files of THINGS and SPoSE."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from affectlake.errors import InputError
from affectlake.formats.things import read_triplets, write_triplets


def test_the_odd_one_ends_in_the_last_column(tmp_path: Path) -> None:
    path = tmp_path / "train_90.txt"
    path.write_text("5 1 3\n0\t2   4\n")
    assert read_triplets(path, odd="last").tolist() == [[5, 1, 3], [0, 2, 4]]
    first = read_triplets(path, odd="first")
    assert first.tolist() == [[1, 3, 5], [2, 4, 0]]
    assert first.dtype == np.int32


def test_numbers_written_by_savetxt_and_zipped_are_read(tmp_path: Path) -> None:
    path = tmp_path / "train.txt.gz"
    path.write_bytes(gzip.compress(b"0.000000000000000000e+00 1.0e+00 1853\n\n 7 8 9 \n"))
    assert read_triplets(path, odd="last").tolist() == [[0, 1, 1853], [7, 8, 9]]


@pytest.mark.parametrize("name", ["t.txt", "t.npy"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    triplets = np.random.default_rng(0).permuted(np.tile(np.arange(1854, dtype=np.int32), (500, 1)), axis=1)[:, :3]
    write_triplets(tmp_path / name, triplets)
    assert (read_triplets(tmp_path / name, odd="last") == triplets).all()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3\n1 2\n", r"row 2: 1 rows are not three numbers; the first is '1 2'"),
        ("1 2 3\n\n1 2 3 4\n", r"row 3: .*'1 2 3 4'"),
        ("1 2 3\n1 2 x\n", r"row 2: .*'1 2 x'"),
        ("image1 image2 image3\n1 2 3\n", r"row 1: .*no header"),
        ("1 2 3\n1 2 2\n", r"row 2: .*different"),
        ("1 2 3\n-1 2 3\n", r"row 2: .*-1 2 3"),
        ("1 2 3.5\n", r"row 1: .*3.5"),
        ("1 2 nan\n", r"row 1: "),
        ("1 2 3000000000\n", r"row 1: "),
        ("\n\n", r"holds no triplet"),
        ("", r"t.txt"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_triplets(path, odd="last")


def test_arrays_of_objects_and_of_other_shapes_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([[1, 2, 3]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="safely"):
        read_triplets(tmp_path / "o.npy", odd="last")
    np.save(tmp_path / "w.npy", np.zeros((4, 2), int))
    with pytest.raises(InputError, match=r"shape \(4, 2\)"):
        read_triplets(tmp_path / "w.npy", odd="last")
    with pytest.raises(InputError, match="no such file"):
        read_triplets(tmp_path / "none.txt", odd="last")


def test_real_choices_are_predicted_by_the_published_embedding(shared_data: Path) -> None:
    folder = shared_data / "triplets"
    weights = np.load(folder / "things_spose49.npy")
    right = {}
    for odd in ("first", "last"):
        a, b, c = (weights[column] for column in read_triplets(folder / "things_test_10.txt", odd=odd).T)  # type: ignore[arg-type]
        pairs = np.stack([(a * b).sum(1), (a * c).sum(1), (b * c).sum(1)])
        right[odd] = float((pairs.argmax(axis=0) == 0).mean())
    assert right["last"] == pytest.approx(0.640, abs=0.005)
    assert right["first"] < 0.25
