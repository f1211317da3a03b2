from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import polars as pl
import pytest

from affectlake import tables
from affectlake._bold import block_volumes, despike
from affectlake.atlas import Atlas, read_atlas
from affectlake.brainframes import responses_frame, voxels_frame
from affectlake.errors import ContractError, InputError
from affectlake.formats.bids import find_runs, read_presentations
from affectlake.timeseries import SubjectData, read_subject, response_matrix
from tests.affectlake._brains import AFFINE, SHAPE, noise, save, write_run

KNOWN = [f"v{k}" for k in range(8)]
N_VOXELS = int(np.prod(SHAPE))


def write_atlas(root: Path) -> Atlas:
    labels = np.zeros(SHAPE, dtype=np.int16)
    labels[0], labels[1], labels[2, :2] = 1, 2, 3
    save(root / "atlas.nii.gz", labels)
    (root / "atlas.tsv").write_text("index\tlabel\n1\tleft\n2\tright\n3\tsmall\n")
    groups = {"left": ["left"], "both": ["left", "right"], "small": ["small"]}
    return read_atlas(root / "atlas.nii.gz", root / "atlas.tsv", groups=groups)


def read(root: Path, atlas: Atlas | None = None, **kwargs: object) -> SubjectData:
    runs = find_runs(root, "sub-01")
    presentations, _ = read_presentations(runs, stimulus_column="stim_id", known=KNOWN)
    return read_subject(runs, atlas or write_atlas(root), presentations, **kwargs)


def blocks(*ids: str, gap: float = 8) -> list[tuple[float, float, str]]:
    return [(4 + gap * k, 6, name) for k, name in enumerate(ids)]


def brute_force(data: np.ndarray, events: list[tuple[float, float, str]]) -> np.ndarray:
    """Block means of 4 volumes (8 s at TR 2), 2 volumes later, z-scored; the definition in numpy."""
    means = np.array([data[..., int(o // 2) + 2 : int(o // 2) + 6].mean(axis=-1).ravel() for o, _, _ in events])
    return (means - means.mean(axis=0)) / means.std(axis=0)


def test_block_means_are_shifted_and_standardized(tmp_path):
    events = blocks("v0", "v1", "v2", "v3")
    data = noise(24)
    write_run(tmp_path, 1, data, events)
    subject = read(tmp_path)
    assert subject.responses.dtype == np.float32
    np.testing.assert_allclose(subject.responses, brute_force(data.astype(np.float64), events), atol=1e-4)
    assert subject.presentations["video_id"].to_list() == ["v0", "v1", "v2", "v3"]
    assert subject.presentations["trial"].to_list() == [0, 1, 2, 3]


def test_planted_block_response_is_recovered(tmp_path):
    ids = ["v0", "v1", "v2", "v3", "v4"]
    amplitude = np.array([3.0, -1.0, 0.0, 2.0, -4.0])
    data = np.full((*SHAPE, 28), 500.0, dtype=np.float32) + noise(28) / 1e4
    for block, size in zip(blocks(*ids), amplitude, strict=True):
        start = int(block[0] // 2) + 2
        data[1, 2, 1, start : start + 4] += size
    write_run(tmp_path, 1, data, blocks(*ids))
    subject = read(tmp_path)
    voxel = subject.voxels.filter((pl.col("i") == 1) & (pl.col("j") == 2) & (pl.col("k") == 1))["voxel"][0]
    expected = (amplitude - amplitude.mean()) / amplitude.std()
    np.testing.assert_allclose(subject.responses[:, voxel], expected, atol=2e-3)


def test_each_run_is_standardized_by_itself(tmp_path):
    write_run(tmp_path, 1, noise(24, 1), blocks("v0", "v1", "v2", "v3"))
    write_run(tmp_path, 2, 7 + 50 * noise(24, 2), blocks("v4", "v5", "v6"))
    subject = read(tmp_path)
    for run in (1, 2):
        rows = (subject.presentations["run"] == run).to_numpy()
        np.testing.assert_allclose(subject.responses[rows].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(subject.responses[rows].std(axis=0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("onset", "duration", "rest", "expected"),
    [
        ([0, 10], [8, 8], 2, [[2, 7], [7, 12]]),
        ([0, 10], [8, 8], 0, [[2, 6], [7, 11]]),
        ([0, 10], [8, 8], 30, [[2, 7], [7, 20]]),  # never past the next onset, nor past the run
        ([0, 9], [8, 8], 2, [[2, 7], [7, 12]]),  # 4.5 volumes round up
        ([10], [0], 0, [[7, 8]]),  # at least one volume
        ([34, 36, 90], [2, 2, 2], 0, [[19, 20], [20, 20], [20, 20]]),  # the run is over: empty
        ([0, 0], [8, 8], 2, [[2, 7], [2, 7]]),  # two at once
    ],
)
def test_blocks_in_whole_volumes(onset, duration, rest, expected):
    found = block_volumes(np.array(onset, float), np.array(duration, float), 20, 2.0, 4.0, rest)
    assert found.tolist() == expected


def test_shift_is_rounded_to_whole_volumes():
    at = [block_volumes(np.array([10.0]), np.array([4.0]), 50, 2.0, shift, 0)[0, 0] for shift in (0, 0.9, 1, 4, 5, 5.1)]
    assert at == [5, 5, 6, 7, 8, 8]


def test_despike_clips_to_three_standard_deviations():
    data = noise(200).reshape(-1, 200).T.copy()
    data[50, 3] = 5000
    before = data.copy()
    mean, sd = before.mean(axis=0, dtype=np.float64), before.std(axis=0, dtype=np.float64)
    despike(data)
    np.testing.assert_allclose(data, np.clip(before, mean - 3 * sd, mean + 3 * sd), rtol=1e-6)
    assert data[50, 3] < 2000


def test_despike_changes_responses_and_not_time_series(tmp_path):
    data = noise(24)
    data[0, 0, 0, 5] = 9000
    write_run(tmp_path, 1, data, blocks("v0", "v1", "v2"))
    plain, clipped = read(tmp_path), read(tmp_path, despike=True)
    assert not np.allclose(plain.responses[:, 0], clipped.responses[:, 0])
    assert plain.timeseries.equals(clipped.timeseries)


def test_bad_voxels_of_any_run_are_used_nowhere(tmp_path):
    one, two = noise(24, 1), noise(24, 2)
    one[0, 0, 0], two[0, 0, 1] = 1000, 0  # constant in the first run, or in the second only
    one[0, 1, 0, 3], two[0, 1, 1, 4], two[3, 4, 2, 1] = np.nan, np.nan, np.inf
    one[0, 1, 2], two[0, 1, 2, 0] = 5, np.nan  # constant in one, NaN in the other: nan
    write_run(tmp_path, 1, one, blocks("v0", "v1", "v2"))
    write_run(tmp_path, 2, two, blocks("v3", "v4", "v5"))
    subject = read(tmp_path)
    status = {tuple(r[:3]): r[3] for r in subject.voxels.select("i", "j", "k", "status").rows() if r[3] != "used"}
    assert status == {
        (0, 0, 0): "constant",
        (0, 0, 1): "constant",
        (0, 1, 0): "nan",
        (0, 1, 1): "nan",
        (0, 1, 2): "nan",
        (3, 4, 2): "nan",
    }
    assert (subject.exclusions.total("constant_voxel"), subject.exclusions.total("nan_voxel")) == (2, 4)
    bad = (subject.voxels["status"] != "used").to_numpy()
    assert not subject.responses[:, bad].any()
    assert np.isfinite(subject.responses).all()
    good = ~bad.reshape(SHAPE)
    for run, data in ((1, one), (2, two)):
        expected = data[0][good[0]].mean(axis=0, dtype=np.float64)
        found = subject.timeseries.filter(run=run, roi="left").sort("volume")["value"]
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_first_presentation_of_a_clip_and_its_duplicates_is_kept(tmp_path):
    write_run(tmp_path, 1, noise(24, 1), blocks("v7", "v1", "v2"))
    write_run(tmp_path, 2, noise(24, 2), blocks("v0", "v2", "v3", "v4")[::-1])
    subject = read(tmp_path, duplicate_of={"v7": "v0"})
    assert subject.presentations["video_id"].to_list() == ["v0", "v1", "v2", "v3", "v4"]
    assert subject.presentations["run"].to_list() == [1, 1, 1, 2, 2]
    dropped = subject.exclusions.frame("responses", "sub-01").filter(reason="duplicate_presentation")
    assert sorted(dropped.select("what", "n").rows()) == [("v0", 1), ("v2", 1)]


def test_dropped_presentation_still_ends_the_block_before_it(tmp_path):
    events = blocks("v0", "v1", "v2", "v0", "v3")
    data = noise(28)
    write_run(tmp_path, 1, data, events)
    subject = read(tmp_path, rest_s=30.0)
    means = np.array([data[..., start : start + 4].mean(axis=-1).ravel() for start in (4, 8, 12)])
    last = data[..., 20:28].mean(axis=-1).ravel()
    expected = np.vstack([means, last])
    expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
    np.testing.assert_allclose(subject.responses, expected, atol=1e-3)


def test_presentations_without_a_response_are_counted(tmp_path):
    write_run(tmp_path, 1, noise(24, 1), [*blocks("v0", "v1"), (46, 1, "v2")])
    write_run(tmp_path, 2, noise(24, 2), blocks("v3"))
    subject = read(tmp_path)
    assert subject.presentations["video_id"].to_list() == ["v0", "v1"]
    reasons = dict(subject.exclusions.frame("responses", "sub-01").select("reason", "what").rows())
    assert reasons == {"outside_run": "v2", "only_presentation_of_run": "v3"}
    assert subject.timeseries["run"].unique().to_list() == [1, 2]


def test_subject_of_zeros_is_reported(tmp_path):
    write_run(tmp_path, 1, np.zeros((*SHAPE, 24), dtype=np.int16), blocks("v0", "v1"))
    subject = read(tmp_path)
    assert subject.voxels["status"].unique().to_list() == ["constant"]
    assert subject.exclusions.total("constant_voxel") == N_VOXELS
    assert subject.exclusions.total("no_usable_voxel") == 3
    assert tables.ROI_TIMESERIES.validate(subject.timeseries).is_empty()
    assert not subject.responses.any()


@pytest.mark.parametrize("kind", ["float32", "int16", "scaled int16"])
def test_roi_means_equal_nilearn(tmp_path, kind):
    from nilearn.maskers import NiftiLabelsMasker

    data = noise(24)
    bold = write_run(tmp_path, 1, data if kind == "float32" else data.astype(np.int16), blocks("v0", "v1"))
    if kind == "scaled int16":
        image = nibabel.Nifti1Image(data.astype(np.float32), AFFINE)
        image.set_data_dtype(np.int16)
        nibabel.save(image, bold)
    labels = tmp_path / "labels.nii.gz"
    save(labels, np.random.default_rng(3).integers(0, 4, SHAPE).astype(np.int16))
    (tmp_path / "labels.tsv").write_text("index\tlabel\n1\ta\n2\tb\n3\tc\n")
    subject = read(tmp_path, read_atlas(labels, tmp_path / "labels.tsv"))
    theirs = NiftiLabelsMasker(labels, standardize=None, keep_masked_labels=False).fit_transform(bold)
    ours = subject.timeseries.pivot("roi", index="volume", values="value").sort("volume").select("a", "b", "c")
    np.testing.assert_allclose(ours.to_numpy(), theirs, rtol=1e-6)


def test_voxels_lie_in_every_mask_and_the_others_are_counted(tmp_path):
    one, two = np.ones(SHAPE), np.ones(SHAPE)
    one[3], two[0, 0, 0] = 0, 0
    write_run(tmp_path, 1, noise(24), blocks("v0", "v1"), mask=one)
    write_run(tmp_path, 2, noise(24), blocks("v2", "v3"), mask=two)
    subject = read(tmp_path)
    assert subject.voxels.height == 3 * 15 - 1
    assert subject.exclusions.total("outside_a_mask") == 16
    write_run(tmp_path, 2, noise(24), blocks("v2", "v3"), mask=1 - one)
    with pytest.raises(InputError, match="no voxel lies inside the mask of every run"):
        read(tmp_path)


def test_runs_on_different_grids_are_refused(tmp_path):
    write_run(tmp_path, 1, noise(24), blocks("v0", "v1"))
    bold = write_run(tmp_path, 2, noise(24), blocks("v2", "v3"))
    moved = AFFINE.copy()
    moved[0, 3] += 1
    save(bold, noise(24), moved, tr_s=2.0)
    with pytest.raises(
        InputError, match=r"run-2.*the grid differs from that of sub-01_task-videos_run-1.*brain\.space"
    ):
        read(tmp_path)


def test_truncated_image_is_refused(tmp_path):
    bold = write_run(tmp_path, 1, noise(24), blocks("v0", "v1"))
    bold.write_bytes(bold.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"run-1.*cannot be read to its end"):
        read(tmp_path)


def test_missing_image_is_refused(tmp_path):
    write_run(tmp_path, 1, noise(24), blocks("v0", "v1"))
    runs = find_runs(tmp_path, "sub-01")
    presentations, _ = read_presentations(runs, stimulus_column="stim_id", known=KNOWN)
    runs[0].bold.unlink()
    with pytest.raises(InputError, match=r"run-1.*no such file"):
        read_subject(runs, write_atlas(tmp_path), presentations)


def test_frames_keep_their_contracts_and_progress_is_told(tmp_path):
    write_run(tmp_path, 1, noise(24, 1), blocks("v0", "v1"), session="a")
    write_run(tmp_path, 1, noise(24, 2), blocks("v2", "v3"), session="b")
    seen: list[tuple[int, int]] = []
    subject = read(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    voxels = tables.VOXELS.validate(subject.voxels)
    assert tables.ROI_TIMESERIES.validate(subject.timeseries).height == 2 * 24 * 3
    assert tables.RESPONSES.validate(subject.responses_frame())["session"].unique().sort().to_list() == ["a", "b"]
    row = voxels.filter(i=1, j=4, k=2).row(0, named=True)
    assert (row["voxel"], row["x_mm"], row["y_mm"], row["z_mm"]) == (29, -7.0, -8.0, -24.0)
    assert row["rois"] == ["both"]
    assert voxels["rois"][0].to_list() == ["left", "both"]
    assert voxels["rois"][-1].to_list() == []


@pytest.mark.parametrize("n_voxels", [3, 4096, 9000])
def test_response_matrix_reads_back_what_was_written_in_any_order(n_voxels):
    rng = np.random.default_rng(0)
    responses = rng.normal(size=(7, n_voxels)).astype(np.float32)
    presentations = pl.DataFrame(
        {"trial": range(7), "session": [""] * 7, "run": [1] * 4 + [2] * 3, "video_id": KNOWN[:7]},
        schema_overrides={"trial": pl.Int32, "run": pl.Int32},
    )
    frame = tables.RESPONSES.validate(responses_frame("sub-01", presentations, responses))
    assert frame.height == 7 * -(-n_voxels // 4096)
    found, matrix = response_matrix(frame.sample(fraction=1, shuffle=True, seed=1))
    assert found.equals(presentations)
    np.testing.assert_array_equal(matrix, responses)
    assert matrix.dtype == np.float32


def test_response_matrix_refuses_holes_and_mixtures():
    presentations = pl.DataFrame(
        {"trial": [0, 1], "session": ["", ""], "run": [1, 1], "video_id": ["v0", "v1"]},
        schema_overrides={"trial": pl.Int32, "run": pl.Int32},
    )
    frame = responses_frame("sub-01", presentations, np.zeros((2, 5000), dtype=np.float32))
    for hole in (frame[1:], frame.filter(pl.col("voxel_block") == 1)):
        with pytest.raises(ContractError, match=r"table responses.*lacks presentations or voxels"):
            response_matrix(hole)
    with pytest.raises(ContractError, match="several subjects"):
        response_matrix(pl.concat([frame, frame.with_columns(subject=pl.lit("sub-02"))]))
    assert response_matrix(frame.clear())[1].shape == (0, 0)


def test_order_of_the_events_file_does_not_matter(tmp_path):
    events = blocks("v0", "v1", "v2", "v3")
    write_run(tmp_path, 1, noise(24), events)
    straight = read(tmp_path)
    write_run(tmp_path, 1, noise(24), [events[k] for k in (2, 0, 3, 1)])
    shuffled = read(tmp_path)
    np.testing.assert_array_equal(straight.responses, shuffled.responses)
    assert straight.presentations.equals(shuffled.presentations)


def test_memory_is_bounded_by_one_run(tmp_path):
    import tracemalloc

    def peak() -> int:
        tracemalloc.start()
        read(tmp_path)
        bytes_ = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return bytes_

    n_volumes = 2500
    write_run(tmp_path, 1, noise(n_volumes), blocks("v0", "v1"))
    read(tmp_path)  # imports
    one = peak()
    for run in (2, 3):
        write_run(tmp_path, run, noise(n_volumes), blocks("v2", "v3"))
    run_bytes = 4 * n_volumes * N_VOXELS
    assert one > run_bytes
    assert peak() - one < 0.5 * run_bytes


def test_voxels_frame_lists_every_region_of_a_voxel():
    frame = voxels_frame(
        "s",
        np.zeros((2, 3), np.int32),
        np.eye(4),
        np.array([0, 2], np.int32),
        {"a": (1, 2), "b": (2,)},
        pl.Series(["used", "nan"]),
    )
    assert frame["rois"].to_list() == [[], ["a", "b"]]
