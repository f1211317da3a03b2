"""Which voxels of a subject share a penalty."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from assets.encoding import Scene

VOXELS = pl.DataFrame(
    {
        "voxel": range(5),
        "rois": [["A"], ["A"], ["B", "A"], [], ["A", "B"]],
        "status": ["used", "constant", "used", "used", "used"],
    },
    schema_overrides={"rois": pl.List(pl.String)},
)
SCENE = Scene(pl.DataFrame(), np.zeros((0, 4), np.float32), np.zeros((0, 1), np.float32), VOXELS, 1.0)


@pytest.mark.parametrize(
    ("scope", "labels"), [("target", None), ("roi", ["A", "A;B", "", "A;B"]), ("shared", ["", "", "", ""])]
)
def test_penalties_are_shared_by_voxels_of_the_same_regions(scope: str, labels: list[str] | None) -> None:
    found = SCENE.sharing(scope)
    assert (None if found is None else found.tolist()) == labels
