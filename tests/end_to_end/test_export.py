"""Results as other programs read them, with the numbers of the tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest
import yaml

from affectlake.errors import LakeError
from affectlake.formats.things import read_triplets
from affectlake.spose import accuracy
from dagster_project.export import PARTS, export
from resources.lake import Lake
from tests.end_to_end.conftest import Finished


@pytest.fixture(scope="module")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "out"
    assert list(export(finished.study, finished.lake, folder, list(PARTS)))
    return folder


def test_judgments_are_numbered_by_the_rows_of_the_space_that_lies_beside_them(
    finished: Finished, exported: Path
) -> None:
    folder = exported / "embeddings" / "planted"
    space = np.load(folder / "embedding.npy")
    held_out = read_triplets(folder / "test_10.txt", odd="last")
    stored = finished.lake.read("embedding_quality", {"model": "planted"})
    assert len(held_out) == stored["n_test"].item()
    assert accuracy(space, held_out) == pytest.approx(stored["accuracy"].item())
    ids = (folder / "unique_id.txt").read_text().split()
    vectors = dict(finished.lake.read("embeddings", {"model": "planted"}).select("video_id", "vector").iter_rows())
    np.testing.assert_array_equal(space[ids.index("clip005")], np.array(vectors["clip005"], dtype=np.float32))
    assert len(read_triplets(folder / "train_90.txt", odd="last")) == 12000


def test_similar_clips_are_near_in_the_dissimilarities(exported: Path) -> None:
    apart = np.load(exported / "rdms" / "planted.npy")
    space = np.load(exported / "embeddings" / "planted" / "embedding.npy")
    upper = np.triu_indices(len(apart), k=1)
    assert apart.shape == (len(space), len(space))
    assert np.corrcoef(apart[upper], (space @ space.T)[upper])[0, 1] < -0.5


def test_scores_are_those_of_the_tables_and_columns_are_explained(finished: Finished, exported: Path) -> None:
    stored = finished.lake.read("encoding_scores")
    key = ["subject", "model", "roi"]
    for frame in (
        pl.read_parquet(exported / "scores" / "encoding_scores.parquet"),
        pl.read_csv(exported / "scores" / "encoding_scores.csv"),
    ):
        both = stored.join(frame, on=key, suffix=" out")
        assert both.height == stored.height == frame.height
        assert (both["mean_r"] - both["mean_r out"]).abs().max() < 1e-12
    columns = json.loads((exported / "columns.json").read_text())
    assert set(columns["encoding_scores"]) == set(stored.columns)
    by_subject = pl.read_csv(exported / "scores" / "comparisons.csv")["by_subject"]
    assert {d["subject"] for d in json.loads(by_subject[0])} <= {"sub-01", "sub-02"}


def test_maps_are_bids_derivatives_with_each_voxels_score_in_its_place(finished: Finished, exported: Path) -> None:
    root = exported / "bids"
    described = json.loads((root / "dataset_description.json").read_text())
    assert (described["DatasetType"], described["GeneratedBy"][0]["Name"]) == ("derivative", "affectlake")
    assert (root / ".bidsignore").read_text() == "*_statmap.*\n"
    path = root / "sub-01/func/sub-01_task-videos_desc-humanCategory_stat-r_statmap.nii.gz"
    image = nibabel.load(path)
    key = {"subject": "sub-01", "model": "human-category"}
    scored = finished.lake.read("voxel_scores", key).join(finished.lake.read("voxels"), on=["subject", "voxel"])
    ijk = scored.select("i", "j", "k").to_numpy()
    np.testing.assert_array_equal(np.asarray(image.dataobj)[tuple(ijk.T)], scored["r"].to_numpy())
    mm = nibabel.affines.apply_affine(image.affine, ijk)
    np.testing.assert_allclose(mm, scored.select("x_mm", "y_mm", "z_mm").to_numpy(), atol=1e-3)
    sidecar = json.loads(path.with_name(path.name.replace(".nii.gz", ".json")).read_text())
    assert sidecar["Model"] == "human-category"
    assert sidecar["SourceVersions"]["embeddings"] >= 1
    assert len(list(root.rglob("*_statmap.nii.gz"))) == 6


def test_the_bids_validator_finds_no_error_in_the_maps(exported: Path) -> None:
    """The score maps have no suffix of BIDS's own yet and stand in .bidsignore; the rest is held against its schema."""
    program = Path(sys.executable).parent / "bids-validator-deno"
    done = subprocess.run(
        [program, "--format", "json", exported / "bids"], capture_output=True, text=True, check=False, timeout=300
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert done.returncode == 0


def test_the_methods_and_the_citation_say_that_the_data_are_synthetic(exported: Path) -> None:
    assert "SYNTHETIC" in (exported / "METHODS.md").read_text()
    cited = yaml.safe_load((exported / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert "SYNTHETIC" in cited["title"]


def test_nothing_is_written_over_nor_made_of_nothing(finished: Finished, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="is not empty"):
        list(export(finished.study, finished.lake, exported, ["scores"]))
    with pytest.raises(LakeError, match="no embeddings yet"):
        list(export(finished.study, Lake(str(tmp_path / "none"), "small"), tmp_path / "out", ["scores"]))
    list(export(finished.study, finished.lake, tmp_path / "some", ["scores"]))
    assert [p.name for p in (tmp_path / "some").iterdir()] == ["scores"]
