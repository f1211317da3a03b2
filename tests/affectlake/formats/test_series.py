from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from affectlake.errors import InputError
from affectlake.formats.series import read_regressors, read_series


def write(folder: Path, text: str) -> Path:
    path = folder / "s01.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text", ["1 2\n3 4\n", "  1.0e+00   2\n  3\t4\n", "1\t2\n3\t4\n", "1,2\n3,4\n", "1,2\r\n3,4\r\n"]
)
def test_numbers_are_read_whatever_separates_them(tmp_path, text):
    if "\t4" in text and text.startswith("  "):
        text = text.replace("\t", " ")
    names, values = read_series(write(tmp_path, text), ("a", "b"))
    assert names == ["a", "b"]
    np.testing.assert_array_equal(values, [[1, 2], [3, 4]])


@pytest.mark.parametrize("text", ["a\tb\n1\t\n3\t4\n", "a,b\n1,n/a\n3,4\n", "a b\n1 NaN\n3 4\n"])
def test_a_first_line_of_names_names_the_columns_and_gaps_are_nan(tmp_path, text):
    names, values = read_series(write(tmp_path, text))
    assert names == ["a", "b"]
    np.testing.assert_array_equal(values, [[1, np.nan], [3, 4]])


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("", (), "is empty"),
        ("1 2\n", (), r"its 2 columns have no names. Name them in the study file: brain\.rois"),
        ("a b\n1 2\n", ("a", "b"), "names its columns itself"),
        ("a b\n", (), "no row"),
        ("1 2\n", ("a",), "has 2 columns, 1 names are given"),
        ("1 2\n", ("a", "a"), "a name stands for two columns"),
        ("1 2\n3\n", ("a", "b"), "row 2: has 1 cells, the first row has 2"),
        ("a b\n1 2\n3 x\n", (), "row 3: 'x' is not a number"),
    ],
)
def test_a_bad_table_names_file_row_and_remedy(tmp_path, text, names, message):
    with pytest.raises(InputError, match=f"s01.txt.*{message}"):
        read_series(write(tmp_path, text), names)


def test_regressors_skip_discarded_volumes_and_must_then_be_one_row_a_volume(tmp_path):
    path = write(tmp_path, "9 9\n1 2\n3 4\n")
    np.testing.assert_array_equal(read_regressors(path, 2, skip=1), [[1, 2], [3, 4]])
    with pytest.raises(InputError, match=r"has 3 rows, the series has 2 volumes.*skip"):
        read_regressors(path, 2)
    named = write(tmp_path, "x\ty\nn/a\t2\n3\t4\n")
    with pytest.raises(InputError, match="row 1, column 1: a regressor has a missing or infinite value"):
        read_regressors(named, 2)
