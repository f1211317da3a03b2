from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest

from affectlake.atlas import read_atlas
from affectlake.demo import write_demo
from affectlake.demo.space import NAMES, plant
from affectlake.formats.bids import find_runs, read_presentations
from affectlake.scales import CATEGORIES, CATEGORIES_27, DIMENSIONS
from affectlake.timeseries import SubjectData, read_subject

N = 48


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    seen: list[tuple[int, int]] = []
    write_demo(root, n_videos=N, n_subjects=2, n_runs=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, N + 6) for k in range(1, N + 7)]
    return root


def subject(root: Path, name: str) -> SubjectData:
    videos = pl.read_csv(root / "stimuli" / "videos.csv")
    runs = find_runs(root / "derivatives", name)
    shown, exclusions = read_presentations(runs, stimulus_column="stim_id", known=videos["video_id"].to_list())
    assert not len(exclusions)
    atlas = read_atlas(root / "derivatives" / "atlas.nii.gz", root / "derivatives" / "atlas.tsv")
    duplicates = dict(videos.drop_nulls("duplicate_of").select("video_id", "duplicate_of").rows())
    return read_subject(runs, atlas, shown, duplicate_of=duplicates)


def test_scales_are_those_of_the_field():
    assert (len(CATEGORIES), len(DIMENSIONS), len(CATEGORIES_27)) == (34, 14, 27)
    assert list(CATEGORIES) == sorted(CATEGORIES)
    assert list(DIMENSIONS) == sorted(DIMENSIONS)
    assert set(CATEGORIES) - set(CATEGORIES_27) == {
        *("Contempt", "Disappointment", "Envy", "Guilt", "Pride", "Sympathy", "Triumph")
    }


def test_planted_space_is_sparse_non_negative_and_shared_by_duplicates():
    truth = plant(240, np.random.default_rng(0))
    assert truth.planted.shape == (240, len(NAMES))
    assert (truth.planted >= 0).all()
    assert (truth.planted > 0).sum(axis=1).max() <= 3
    assert np.abs(np.corrcoef(truth.planted.T, truth.visual.T)[:8, 8:]).max() < 0.2
    for copy, original in truth.duplicate_of.items():
        rows = truth.ids.index(copy), truth.ids.index(original)
        np.testing.assert_array_equal(truth.planted[rows[0]], truth.planted[rows[1]])


def test_tables_of_the_stimuli(demo):
    stimuli = demo / "stimuli"
    videos = pl.read_csv(stimuli / "videos.csv")
    assert videos.columns == ["video_id", "file", "duplicate_of"]
    assert videos["duplicate_of"].drop_nulls().len() == 2
    ids = videos["video_id"].to_list()
    assert (stimuli / "planted_ids.txt").read_text().split() == ids
    captions = pl.read_csv(stimuli / "captions.csv")
    assert captions.columns == ["video_id", "description"]
    assert captions.group_by("video_id").len()["len"].unique().to_list() == [3]
    with (stimuli / "ratings.csv").open() as file:
        assert next(csv.reader(file)) == ["video_id", *CATEGORIES, *DIMENSIONS]
    ratings = pl.read_csv(stimuli / "ratings.csv")
    assert ratings["video_id"].to_list() == ids
    categories, dimensions = ratings.select(CATEGORIES).to_numpy(), ratings.select(DIMENSIONS).to_numpy()
    assert categories.min() >= 0
    assert categories.max() <= 1
    assert (categories.sum(axis=1) > 0).all()
    assert dimensions.min() >= 1
    assert dimensions.max() <= 9


def test_scrambled_space_holds_the_same_rows_at_other_clips(demo):
    planted, scrambled = np.load(demo / "stimuli/planted.npy"), np.load(demo / "stimuli/scrambled.npy")
    assert not np.array_equal(planted, scrambled)
    np.testing.assert_array_equal(np.sort(planted, axis=0), np.sort(scrambled, axis=0))
    assert len((demo / "stimuli/planted_names.txt").read_text().split()) == planted.shape[1]


def test_ratings_and_captions_follow_the_planted_space(demo):
    planted = np.load(demo / "stimuli/planted.npy")
    ratings = pl.read_csv(demo / "stimuli/ratings.csv")
    fear = NAMES.index("fear")
    assert np.corrcoef(planted[:, fear], ratings["Fear"])[0, 1] > 0.7
    assert np.corrcoef(planted[:, fear], ratings["safety"])[0, 1] < -0.3
    captions = pl.read_csv(demo / "stimuli/captions.csv")
    words = [set(text.replace(";", "").replace(".", "").split()) for text in captions["description"]]
    strongest = np.repeat(planted.argmax(axis=1), 3)
    overlap = np.array([[len(a & b) / len(a | b) for a in words] for b in words])
    same = strongest[:, None] == strongest
    distinct = ~np.eye(len(words), dtype=bool)
    assert overlap[same & distinct].mean() > overlap[~same].mean() + 0.1


def test_clips_are_real_videos_that_say_synthetic(demo):
    import av

    path = demo / "stimuli" / "media" / "clip001.mp4"
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].codec_context.name == "h264"
    assert 12 <= len(frames) <= 24
    assert frames[0].shape == (72, 96, 3)
    assert np.abs(frames[0].astype(float) - frames[-1]).mean() > 1
    corner = frames[0][-11:, :58].astype(float).mean(axis=-1)
    assert corner.max() > 180
    assert corner.min() < 40
    media = demo / "stimuli" / "media"
    for copy, original in (
        pl.read_csv(demo / "stimuli/videos.csv").drop_nulls().select("video_id", "duplicate_of").rows()
    ):
        assert (media / f"{copy}.mp4").read_bytes() == (media / f"{original}.mp4").read_bytes()


def test_scans_are_bids_and_say_that_they_are_synthetic(demo):
    root = demo / "derivatives"
    description = json.loads((root / "dataset_description.json").read_text())
    assert "SYNTHETIC" in description["Name"]
    assert description["DatasetType"] == "derivative"
    assert "SYNTHETIC" in (root / "README").read_text()
    run = find_runs(root, "sub-01", space="MNI152NLin2009cAsym")[0]
    assert run.bold.name == "sub-01_task-videos_run-01_space-MNI152NLin2009cAsym_desc-preproc_bold.nii.gz"
    image = nibabel.load(run.bold)
    assert image.header.get_zooms()[3] == run.tr_s == 2.0
    assert image.header["descrip"].item().startswith(b"SYNTHETIC")
    assert image.header["sform_code"] == 4
    assert image.get_data_dtype() == np.int16
    # the file names no time: the same data give the same bytes
    assert run.bold.read_bytes()[4:8] == bytes(4)


def test_broken_voxels_are_those_of_the_truth(demo):
    truth = json.loads((demo / "truth.json").read_text())
    assert set(truth["broken_voxels_ijk"]) == {"sub-02"}
    voxels = subject(demo, "sub-02").voxels
    for status, ijk in truth["broken_voxels_ijk"]["sub-02"].items():
        assert sorted(voxels.filter(status=status).select("i", "j", "k").rows()) == sorted(map(tuple, ijk))
    assert set(subject(demo, "sub-01").voxels["status"]) == {"used"}


def test_every_region_is_there_and_planted_regions_respond_to_affect_only(demo):
    truth = json.loads((demo / "truth.json").read_text())
    ids = (demo / "stimuli/planted_ids.txt").read_text().split()
    data = subject(demo, "sub-01")
    rows = [ids.index(clip) for clip in data.presentations["video_id"]]
    spaces = {name: np.load(demo / f"stimuli/{name}.npy")[rows] for name in ("planted", "visual")}

    def explained(name: str, roi: str) -> float:
        """Share of the variance that a least-squares fit explains beyond what as many random columns would."""
        voxels = data.voxels.filter(pl.col("rois").list.contains(roi))["voxel"].to_numpy()
        assert voxels.size > 20
        X, Y = spaces[name] - spaces[name].mean(axis=0), data.responses[:, voxels]
        Y = Y - Y.mean(axis=0)
        fit = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
        return float((fit**2).sum() / (Y**2).sum()) - X.shape[1] / (len(X) - 1)

    scores = {
        (space, kind): np.mean([explained(space, roi) for roi, is_kind in truth["regions"].items() if is_kind == kind])
        for space in spaces
        for kind in ("affect", "visual", "none")
    }
    assert scores["planted", "affect"] > 0.07
    assert scores["visual", "visual"] > 0.07
    for pair in (("planted", "visual"), ("planted", "none"), ("visual", "affect"), ("visual", "none")):
        assert abs(scores[pair]) < 0.05


def test_same_seed_same_study_other_seed_another(tmp_path, demo):
    write_demo(tmp_path / "a", n_videos=N, n_subjects=2, n_runs=3)
    written = sorted(p.relative_to(demo) for p in demo.rglob("*") if p.is_file())
    assert written == sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert [p for p in written if (demo / p).read_bytes() != (tmp_path / "a" / p).read_bytes()] == []
    write_demo(tmp_path / "b", seed=1, n_videos=8, n_subjects=1, n_runs=2)
    assert not np.array_equal(np.load(tmp_path / "b/stimuli/planted.npy"), np.load(demo / "stimuli/planted.npy")[:8])


def test_interrupted_study_has_no_truth(tmp_path):
    write_demo(tmp_path, n_videos=8, n_subjects=1, n_runs=2)

    def stop(done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_demo(tmp_path, n_videos=8, n_subjects=1, n_runs=2, progress=stop)
    assert not (tmp_path / "truth.json").exists()


def test_too_small_a_demo_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 8 clips"):
        write_demo(tmp_path, n_videos=8, n_runs=6)
