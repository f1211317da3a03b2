from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from affectlake._nuisance import drifts
from affectlake.errors import InputError
from affectlake.formats.bids import Run, read_presentations
from affectlake.roiseries import read_series_subject, series_run
from affectlake.tables import RESPONSES, ROI_TIMESERIES, VOXELS

N, TR, BLOCK_S = 120, 2.0, 8.0
CLIPS = [f"v{k:02d}" for k in range(24)]


def subject(folder: Path, data: np.ndarray, separator: str = "\t") -> Run:
    series, events = folder / "s01.txt", folder / f"shown.{'tsv' if separator == chr(9) else 'csv'}"
    np.savetxt(series, data, fmt="%.8e")
    rows = [separator.join(map(str, (k * BLOCK_S, BLOCK_S, clip))) for k, clip in enumerate(CLIPS)]
    events.write_text("\n".join([separator.join(("onset", "duration", "stim_id")), *rows]) + "\n")
    return series_run("s01", series, events, TR, names(data))


def names(data: np.ndarray) -> list[str]:
    return [f"roi{k}" for k in range(data.shape[1])]


def read(run: Run, data: np.ndarray, **kwargs):
    shown, _ = read_presentations([run], stimulus_column="stim_id", known=CLIPS)
    return read_series_subject(run, shown, names=names(data), shift_s=0, **kwargs)


def planted(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two regions that hold a value a clip; volumes past the last clip are zero."""
    values = np.random.default_rng(seed).normal(size=(len(CLIPS), 2))
    data = np.zeros((N, 2))
    data[: 4 * len(CLIPS)] = np.repeat(values, 4, axis=0)
    return data, (values - values.mean(axis=0)) / values.std(axis=0)


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_response_is_the_mean_over_the_block_and_every_region_is_one_voxel(tmp_path, separator):
    data, truth = planted()
    found = read(subject(tmp_path, data, separator), data)
    np.testing.assert_allclose(found.responses, truth, atol=1e-5)
    assert found.presentations["video_id"].to_list() == CLIPS
    assert found.voxels["rois"].to_list() == [["roi0"], ["roi1"]]
    for table, frame in (
        (VOXELS, found.voxels),
        (RESPONSES, found.responses_frame()),
        (ROI_TIMESERIES, found.timeseries),
    ):
        table.validate(frame)
    assert found.timeseries.height == 2 * N


def test_drifts_and_motion_are_taken_out(tmp_path):
    data, truth = planted()
    motion = np.random.default_rng(1).normal(size=(N + 3, 2)).cumsum(axis=0)
    slow = drifts(N, TR, 120.0)
    assert slow.shape == (N, 4)
    np.testing.assert_allclose(slow.T @ slow, np.eye(4) * N / 2, atol=1e-9)
    np.savetxt(tmp_path / "motion.txt", motion)
    dirty = data + 30 * slow[:, :1] + 20 * motion[3:, :1]
    run = subject(tmp_path, dirty)
    raw = read(run, dirty).responses
    clean = read(run, dirty, high_pass_s=120.0, confounds=[(tmp_path / "motion.txt", 3)]).responses
    for k in range(2):
        assert np.corrcoef(raw[:, k], truth[:, k])[0, 1] < 0.5
        assert np.corrcoef(clean[:, k], truth[:, k])[0, 1] > 0.9


def test_a_dead_region_is_reported_and_used_nowhere(tmp_path):
    data, _ = planted()
    data = np.column_stack([data[:, 0], np.zeros(N), data[:, 1]])
    data[5, 2] = np.nan
    found = read(subject(tmp_path, data), data)
    assert found.voxels["status"].to_list() == ["used", "constant", "nan"]
    assert not found.responses[:, 1:].any()
    reasons = found.exclusions.frame("responses").select("reason", "what").rows()
    assert reasons == [("constant_region", "roi1"), ("nan_region", "roi2")]
    assert found.timeseries["roi"].unique().to_list() == ["roi0"]


def test_a_subject_of_zeros_is_reported_whatever_its_confounds_are(tmp_path):
    data = np.zeros((N, 2))
    (tmp_path / "motion.txt").write_text("too short\n")
    found = read(subject(tmp_path, data), data, high_pass_s=120.0, confounds=[(tmp_path / "motion.txt", 0)])
    assert set(found.voxels["status"]) == {"constant"}
    assert found.exclusions.total("constant_region") == 2
    assert np.isfinite(found.responses).all()


def test_events_past_the_series_are_an_error(tmp_path):
    data, _ = planted()
    run = subject(tmp_path, data[:60])
    with pytest.raises(InputError, match=r"the last event ends at 192 s, but s01\.txt ends at 120 s"):
        read_presentations([run], stimulus_column="stim_id", known=CLIPS)


def test_more_regressors_than_volumes_are_an_error(tmp_path):
    data, _ = planted()
    with pytest.raises(InputError, match="regressors leave nothing of 120 volumes"):
        read(subject(tmp_path, data), data, high_pass_s=2 * TR)
