"""Feature spaces as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from affectlake.errors import AgentError, InputError
from affectlake.exclusions import Exclusions
from resources.agents.features import feature_space
from resources.study import FeaturesModel


def model(file: str) -> FeaturesModel:
    return FeaturesModel(name="m", agent="features", file=file, ids="ids.txt")  # type: ignore[arg-type]


def save(toy: Any, name: str) -> str:
    array = np.load(toy.folder / "space.npy")
    path: Path = toy.folder / name
    if path.suffix == ".npz":
        np.savez(path, array)
    elif path.suffix == ".parquet":
        pl.DataFrame(array, schema=list("vwxyz")).write_parquet(path)
    elif path.suffix == ".csv":
        pl.DataFrame(array, schema=list("vwxyz")).write_csv(path)
    return name


@pytest.mark.parametrize("name", ["space.npy", "s.npz", "s.csv", "s.parquet"])
def test_a_matrix_is_joined_by_id(toy: Any, name: str) -> None:
    exclusions = Exclusions()
    ids, vectors, names = feature_space(model(save(toy, name)), toy.stimuli, toy.study, exclusions)
    assert vectors.dtype == np.float32
    assert len(names) == 5
    item = dict(toy.stimuli.videos.select("video_id", "item").iter_rows())
    assert np.allclose(vectors, toy.space[[item[v] for v in ids]])
    # the clip that left is not part of the study any more
    assert len(ids) == 39
    assert exclusions.total("unknown_id") == 1


def test_raw_ratings_are_a_space(toy: Any) -> None:
    ids, vectors, names = feature_space(toy.study.model("raw"), toy.stimuli, toy.study, Exclusions())
    assert vectors.shape == (37, 34)
    value = toy.stimuli.ratings.filter(video_id=ids[3], name=names[5]).select("value").collect().item()
    assert vectors[3, 5] == np.float32(value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((40, 2), np.nan), r"row 1, column 0: 80 values are no finite numbers"),
        (np.ones(40), r"shape \(40,\)"),
        (np.array([["a"]]), "numbers of shape"),
        (np.ones((3, 2)), "has 3 rows, ids.txt names 40"),
        (np.array([[{}]]), "objects are refused"),
    ],
)
def test_a_wrong_matrix_is_refused(toy: Any, array: Any, message: str) -> None:
    np.save(toy.folder / "bad.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        feature_space(model("bad.npy"), toy.stimuli, toy.study, Exclusions())


def test_wrong_files_are_refused(toy: Any) -> None:
    np.savez(toy.folder / "two.npz", a=np.ones((40, 2)), b=np.ones((40, 2)))
    (toy.folder / "words.csv").write_text("video_id,x\n" + "v1,0.5\n" * 40)
    (toy.folder / "gap.csv").write_text("x,y\n1,2\n" + "1,\n" * 39)
    for file, message in (
        ("two.npz", "holds 2 arrays"),
        ("words.csv", "column 'video_id' holds no numbers"),
        ("gap.csv", "row 2, column y: 39 values"),
        ("none.npy", "No such file"),
    ):
        with pytest.raises(InputError, match=message):
            feature_space(model(file), toy.stimuli, toy.study, Exclusions())


def test_a_feature_space_is_not_asked(toy: Any) -> None:
    with pytest.raises(AgentError, match="is not asked questions"):
        toy.agent("raw")
