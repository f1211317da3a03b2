"""Scores of voxels leave the lake as NIfTI files that lie on the scans, and as pictures in the user interface."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import dagster as dg
import nibabel
import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from dagster_project.cli import app
from dagster_project.maps import in_mni_space
from dagster_project.runner import prepare_home

from .conftest import Finished


@pytest.fixture
def here(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.setenv("AFFECTLAKE_STUDY", str(finished.folder / "study.yaml"))
    return finished


def test_maps_lie_on_the_scans_and_hold_what_the_table_says(here: Finished, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["maps", str(tmp_path), "--model", "planted", "--subject", "sub-02"])
    assert done.exit_code == 0, done.output
    names = sorted(p.name for p in (tmp_path / "sub-02").iterdir())
    statistics = ("alpha", "neglog10p", "neglog10pmax", "neglog10q", "r", "rho")
    assert names == [f"sub-02_model-planted_stat-{s}_statmap.nii.gz" for s in statistics]
    light = here.lake.read("searchlight_scores", {"subject": "sub-02"}).filter(model="planted")
    rho = nibabel.load(tmp_path / "sub-02" / names[-1]).get_fdata(dtype=np.float32)
    assert np.count_nonzero(rho) == light.height
    image = nibabel.load(tmp_path / "sub-02" / names[-2])
    bold = nibabel.load(next((here.folder / "derivatives" / "sub-02").rglob("*preproc_bold.nii.gz")))
    np.testing.assert_allclose(image.affine, bold.affine, atol=1e-3)
    scored = here.lake.read("voxel_scores", {"subject": "sub-02", "model": "planted"}).join(
        here.lake.read("voxels", {"subject": "sub-02"}), on="voxel"
    )
    data = image.get_fdata(dtype=np.float32)
    np.testing.assert_array_equal(data[tuple(scored.select("i", "j", "k").to_numpy().T)], scored["r"])
    assert (data != 0).sum() <= scored.height
    unlikely = nibabel.load(tmp_path / "sub-02" / names[1]).get_fdata() > 1.5
    assert unlikely.sum() == scored.filter(pl.col("p") < 10**-1.5).height > 0, (
        "outside the brain nothing is significant"
    )


def test_pictures_are_drawn_as_glass_and_in_mni_space_on_the_cortex(here: Finished, tmp_path: Path) -> None:
    words = ["maps", str(tmp_path), "--model", "scrambled", "--subject", "sub-01", "--pictures"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    drawn = sorted(p.name for p in (tmp_path / "sub-01").glob("*.png"))
    kinds = [f"stat-{s}_{kind}.png" for s in ("r", "rho") for kind in ("glassbrain", "surface")]
    assert drawn == [f"sub-01_model-scrambled_{kind}" for kind in kinds]
    for name in drawn:
        with Image.open(tmp_path / "sub-01" / name) as picture:
            colours = picture.convert("RGB").getcolors(maxcolors=2**24)
        assert len(colours or ()) > 500, "a picture of scores, not an empty page"
    assert not in_mni_space(here.study.model_copy(update={"brain": None}), "sub-01")


def test_an_unknown_model_is_named_with_those_that_there_are(here: Finished, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["maps", str(tmp_path), "--model", "plantet"])
    assert done.exit_code == 1
    assert "has no plantet" in str(done.exception)
    assert "planted" in str(done.exception)


def test_maps_of_a_study_without_scores_say_what_to_run(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AFFECTLAKE_STUDY", str(written / "study.yaml"))
    monkeypatch.setenv("AFFECTLAKE_LAKE", str(tmp_path / "lake"))
    done = CliRunner().invoke(app, ["maps", str(tmp_path / "maps")])
    assert done.exit_code == 1
    assert "affectlake run --select voxel_scores" in str(done.exception)


def test_the_user_interface_shows_a_glass_brain_beside_the_scores(finished: Finished) -> None:
    with dg.DagsterInstance.from_config(str(prepare_home(finished.study))) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("voxel_scores"))
        assert event is not None
        assert event.asset_materialization is not None
        shown = str(event.asset_materialization.metadata["glass_brain"].value)
    picture = re.search(r"data:image/png;base64,([^)]+)", shown)
    assert picture is not None
    assert base64.b64decode(picture[1]).startswith(b"\x89PNG")
    assert "SYNTHETIC" in shown
