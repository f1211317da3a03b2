"""Ratings in the three formats that users have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.io

from affectlake.errors import InputError
from affectlake.formats.ids import IdRule
from affectlake.formats.ratings import read_ratings
from affectlake.scales import CATEGORIES, DIMENSIONS

NAMES = [*CATEGORIES, *DIMENSIONS]


def table(n: int = 3) -> dict[str, list[Any]]:
    categories = {name: [round(0.01 * (i + j), 2) for j in range(n)] for i, name in enumerate(CATEGORIES)}
    dimensions = {name: [1 + 0.5 * (i % 8) + 0.1 * j for j in range(n)] for i, name in enumerate(DIMENSIONS)}
    return {"video_id": [f"{j + 1:04d}" for j in range(n)], **categories, **dimensions}


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    pl.DataFrame(columns).write_csv(path)
    return path


def test_the_wide_table_is_read_by_name_in_any_order(tmp_path: Path) -> None:
    columns = table()
    shuffled = {"n_raters": [9, 9, 9], **{k: columns[k] for k in reversed(columns)}}
    frame = read_ratings(write(tmp_path / "ratings.csv", shuffled))
    assert frame.filter(video_id="0001")["name"].to_list() == NAMES
    assert frame.height == 3 * 48
    assert frame.filter(video_id="0002", name="Awe").row(0) == ("0002", "category", "Awe", 0.07)
    assert frame.filter(video_id="0003", name="arousal").row(0) == ("0003", "dimension", "arousal", 1.7)


def test_the_original_table_is_read_by_position(tmp_path: Path) -> None:
    columns = table()
    original = {"Filename": [f"{v}.mp4" for v in columns.pop("video_id")]}
    original |= {
        (k[0] + k[1:].replace("_", " ").title().lstrip(k[0]) if k in CATEGORIES else k): v for k, v in columns.items()
    }
    original |= {"admiration": [0.9] * 3, "awe": [0.9] * 3}
    text = pl.DataFrame(original).write_csv().replace("Empathic pain", "Empathic Pain")
    # free-response terms repeat names of the first 48 but for capitals, and one even exactly
    header, rest = text.split("\n", 1)
    path = tmp_path / "ck.csv"
    path.write_text(header + ",valence_free\n" + "\n".join(line + ",x" for line in rest.strip().split("\n")) + "\n")
    frame = read_ratings(path, id_rule=IdRule(strip_suffix=".mp4"))
    assert frame.filter(video_id="0001")["name"].to_list() == NAMES
    assert frame.filter(name="Awe")["value"].to_list() == columns["Awe"]
    assert frame.filter(name="Admiration")["value"].to_list() == columns["Admiration"]


def matlab(path: Path, feat: Any, names: list[str]) -> Path:
    cells = np.empty((len(names), 1), dtype=object)
    cells[:, 0] = names
    scipy.io.savemat(path, {"L": {"feat": feat, "featname": cells}})
    return path


def test_matlab_rows_are_numbered_from_one(tmp_path: Path) -> None:
    path = matlab(tmp_path / "category.mat", np.linspace(0, 1, 5 * 34).reshape(5, 34), list(CATEGORIES))
    frame = read_ratings(path, id_rule=IdRule(pad=4))
    assert frame["video_id"].unique().sort().to_list() == ["0001", "0002", "0003", "0004", "0005"]
    assert frame["scale"].unique().to_list() == ["category"]
    assert frame.filter(video_id="0005", name="Triumph")["value"].item() == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Awe": None}, r"has no column 'Awe'"),
        ({"valence": None, "video_id": None}, r"'video_id', 'valence'"),
        ({"Awe": [0.1, 1.5, 0.1]}, r"row 3: 1 values of column 'Awe' are no number from 0 to 1; the first is 1.5"),
        ({"Awe": ["0.1", "0.1", "nan"]}, r"row 4: .*'Awe'.* nan for video '0003'"),
        ({"Awe": ["", "0.1", "0.1"]}, r"row 2: .*'Awe'.* empty or no number"),
        ({"arousal": ["5", "high", "5"]}, r"row 3: .*'arousal' are no number from 1 to 9"),
        ({"arousal": [0.0, 5.0, 5.0]}, r"row 2: .*'arousal'.*the first is 0.0 for video '0001'"),
        ({"video_id": ["a", "b", "a"]}, r"'a' in rows 2, 4"),
        ({"video_id": ["a", "b/c", "d"]}, r"row 3: b/c"),
        ({"Aesthetic Appreciation": [0.1, 0.1, 0.1]}, r"more than one column for Aesthetic_appreciation"),
    ],
)
def test_wrong_ratings_name_row_and_column(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    columns = {k: v for k, v in {**table(), **change}.items() if v is not None}
    with pytest.raises(InputError, match=message) as caught:
        read_ratings(write(tmp_path / "ratings.csv", columns))
    assert "ratings.csv" in str(caught.value)


def test_matlab_files_that_are_no_ratings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rating scale: unit0"):
        read_ratings(matlab(tmp_path / "vision.mat", np.zeros((2, 1)), ["unit0"]))
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(InputError, match="no struct L"):
        read_ratings(tmp_path / "other.mat")
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: x".ljust(124) + b"\x00\x02IM" + bytes(512))
    with pytest.raises(InputError, match=r"7\.3.*-v7"):
        read_ratings(tmp_path / "new.mat")
    with pytest.raises(InputError, match="no such file"):
        read_ratings(tmp_path / "none.csv")


def test_the_real_ratings(cowen_keltner: Path) -> None:
    frame = read_ratings(cowen_keltner / "CowenKeltnerEmotionalVideos.csv.gz", id_rule=IdRule(strip_suffix=".mp4"))
    assert frame["video_id"].n_unique() == 2185
    assert frame.height == 2185 * 48
    same = read_ratings(cowen_keltner.parent / "horikawa-features" / "category.mat", id_rule=IdRule(pad=4))
    assert same["video_id"].n_unique() == 2196
    both = frame.join(same, on=["video_id", "scale", "name"])
    assert both.height == 2185 * 34
    assert (both["value"] - both["value_right"]).abs().max() < 1e-6  # type: ignore[operator]
    with pytest.raises(InputError, match="0-100 intensities"):
        read_ratings(cowen_keltner.parent / "horikawa-features" / "categcontinuous.mat")
