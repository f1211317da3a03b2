"""Real images from end to end: eight kinds of objects in one brain, from NIfTI and events to what is read from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from affectlake.brainframes import response_matrix
from affectlake.decoding import decode
from affectlake.haxby import CATEGORIES
from dagster_project.cli import app
from dagster_project.runner import Outcome

from .conftest import Finished

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(not (DATA / "haxby").is_dir(), reason=f"the images of haxby are not in {DATA}")


@pytest.fixture(scope="module")
def haxby(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("haxby") / "study"
    done = CliRunner().invoke(app, ["study", "new", str(folder), "--kind", "haxby", "--data", str(DATA)])
    assert done.exit_code == 0, done.output
    assert "wrote 96 blocks" in done.output
    study = Finished(folder, Outcome())
    study.edit("null: 200", "null: 19")
    return Finished(folder, study.run())


def test_every_block_has_a_response_in_every_voxel_of_the_brain(haxby: Finished) -> None:
    assert haxby.outcome.failed == {}
    presentations, responses = response_matrix(haxby.lake.read("responses"))
    assert responses.shape == (96, 129)
    assert presentations["run"].value_counts()["count"].to_list() == [8] * 12
    assert haxby.lake.read("voxels")["status"].unique().to_list() == ["used"]
    assert haxby.lake.read("roi_timeseries")["volume"].max() == 120


def test_eight_categories_are_told_apart_above_chance_leaving_one_run_out(haxby: Finished) -> None:
    presentations, responses = response_matrix(haxby.lake.read("responses"))
    kinds = presentations["video_id"].str.split("-").list.last()
    one_hot = np.array([[kind == c for c in CATEGORIES] for kind in kinds], dtype=float)
    found = decode(responses, one_hot, presentations["run"].to_numpy(), folds=12)
    right = int((found.predicted.argmax(axis=1) == one_hot.argmax(axis=1)).sum())
    assert binomtest(right, 96, 1 / 8, alternative="greater").pvalue < 0.01
    assert right / 96 == pytest.approx(0.24, abs=0.05), "what a linear classifier reaches on these 129 voxels"


def test_regions_searchlight_and_decoding_are_scored(haxby: Finished) -> None:
    read = haxby.lake.read("decoding_scores")
    assert read.filter(pl.col("roi") == "gray_matter")["identification"].item() > 0.55
    assert haxby.lake.read("searchlight_scores").height > 60
    encoding = haxby.lake.read("encoding_scores")
    assert encoding["n_scored"].sum() == 129
    assert set(haxby.lake.read("run_scores")["run"]) == set(range(1, 13))
