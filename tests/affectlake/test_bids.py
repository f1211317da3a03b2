from __future__ import annotations

import json
from pathlib import Path

import pytest

from affectlake.errors import InputError
from affectlake.formats.bids import PRESENTATIONS, find_runs, read_events, read_presentations
from tests.affectlake._brains import noise, save, write_events, write_run

KNOWN = [f"v{k}" for k in range(8)]
EVENTS = [(4, 4, "v0"), (10, 4, "v1"), (16, 4, "v2")]


def read(runs, **kwargs):
    return read_presentations(runs, **{"stimulus_column": "stim_id", "known": KNOWN, **kwargs})


def test_runs_are_numbered_in_order_of_acquisition_over_sessions(tmp_path):
    for session, run in (("10", 1), ("2", 10), ("2", 9)):
        write_run(tmp_path, run, noise(12), EVENTS, session=session)
    runs = find_runs(tmp_path, "sub-01")
    assert [(r.session, r.run) for r in runs] == [("2", 1), ("2", 2), ("10", 3)]
    assert "run-9" in runs[0].bold.name
    assert "run-10" in runs[1].bold.name
    first = runs[0]
    assert first.tr_s == 2.0
    assert first.n_volumes == 12
    assert first.events is not None
    assert first.events.name == "sub-01_ses-2_task-videos_run-9_events.tsv"
    assert first.mask is not None
    assert first.mask.name.endswith("desc-brain_mask.nii.gz")


def test_old_names_of_fmriprep_are_found_and_tr_comes_from_the_header(tmp_path):
    func = tmp_path / "fmriprep" / "sub-01" / "func"
    save(func / "sub-01_task-x_run-01_bold_space-T1w_preproc.nii.gz", noise(12), tr_s=1.5)
    save(func / "sub-01_task-x_run-01_bold_space-T1w_brainmask.nii.gz", noise(1)[..., 0])
    write_events(func / "sub-01_task-x_run-01_events.tsv", EVENTS[:1])
    (run,) = find_runs(tmp_path, "01", space="T1w")
    assert run.tr_s == 1.5
    assert run.mask is not None
    assert run.events is not None
    assert run.session == ""


def test_events_are_found_in_the_raw_dataset_above_the_derivatives(tmp_path):
    root = tmp_path / "derivatives" / "fmriprep"
    write_run(root, 1, noise(12), None, session="a")
    path = write_events(tmp_path / "sub-01" / "ses-a" / "func" / "sub-01_ses-a_task-videos_run-1_events.tsv", EVENTS)
    (run,) = find_runs(root, "sub-01")
    assert run.events == path


def test_space_must_be_named_where_there_are_several(tmp_path):
    write_run(tmp_path, 1, noise(12), EVENTS)
    func = tmp_path / "sub-01" / "func"
    for resolution in ("1", "2"):
        name = f"sub-01_task-videos_run-1_space-MNI152NLin2009cAsym_res-{resolution}_desc-preproc_bold.nii.gz"
        save(func / name, noise(12), tr_s=2.0)
    save(func / "sub-01_task-videos_run-1_desc-preproc_bold.nii.gz", noise(12), tr_s=2.0)
    with pytest.raises(InputError, match=r"more than one space: MNI152NLin2009cAsym:res-1, .*T1w, func.*Set space"):
        find_runs(tmp_path, "sub-01")
    with pytest.raises(InputError, match=r"two images of one run.*res-1.*res-2.*brain\.space"):
        find_runs(tmp_path, "sub-01", space="MNI152NLin2009cAsym")
    (run,) = find_runs(tmp_path, "sub-01", space="MNI152NLin2009cAsym:res-2")
    assert "_res-2_" in run.bold.name
    (native,) = find_runs(tmp_path, "sub-01", space="func")
    assert "space" not in native.bold.name
    assert native.events is not None
    with pytest.raises(InputError, match="no image of space fsaverage; there are"):
        find_runs(tmp_path, "sub-01", space="fsaverage")


def test_task_must_be_named_where_there_are_several(tmp_path):
    write_run(tmp_path, 1, noise(12), EVENTS)
    save(tmp_path / "sub-01/func/sub-01_task-rest_space-T1w_desc-preproc_bold.nii.gz", noise(12), tr_s=2.0)
    with pytest.raises(InputError, match="more than one task: rest, videos"):
        find_runs(tmp_path, "sub-01")
    assert len(find_runs(tmp_path, "sub-01", task="videos")) == 1


def test_missing_subject_names_those_that_are_there(tmp_path):
    write_run(tmp_path, 1, noise(12), EVENTS)
    with pytest.raises(InputError, match="no folder of subject sub-07; there are sub-01"):
        find_runs(tmp_path, "sub-07")


def test_subject_without_images(tmp_path):
    (tmp_path / "sub-01" / "func").mkdir(parents=True)
    with pytest.raises(InputError, match="no preprocessed BOLD image"):
        find_runs(tmp_path, "sub-01")


def test_subject_without_events(tmp_path):
    write_run(tmp_path, 1, noise(12), None)
    with pytest.raises(InputError, match=r"sub-01 has no events: none of its 1 runs has an events\.tsv"):
        find_runs(tmp_path, "sub-01")


def test_one_run_without_events_is_counted(tmp_path):
    write_run(tmp_path, 1, noise(12), EVENTS)
    write_run(tmp_path, 2, noise(12), None)
    presentations, exclusions = read(find_runs(tmp_path, "sub-01"))
    assert presentations["run"].to_list() == [1, 1, 1]
    assert exclusions.total("no_events") == 12


@pytest.mark.parametrize("shape", [(4, 5, 3), (4, 5, 3, 0)])
def test_empty_run_is_an_error_that_names_the_file(tmp_path, shape):
    write_run(tmp_path, 1, noise(12), EVENTS)
    image = tmp_path / "sub-01/func/sub-01_task-videos_run-2_space-T1w_desc-preproc_bold.nii.gz"
    save(image, noise(1)[..., 0] if len(shape) == 3 else noise(0))
    with pytest.raises(InputError, match=r"run-2.*an empty run"):
        find_runs(tmp_path, "sub-01")


def test_image_file_without_a_byte(tmp_path):
    write_run(tmp_path, 1, noise(12), EVENTS).write_bytes(b"")
    with pytest.raises(InputError, match=r"run-1.*not a readable NIfTI image"):
        find_runs(tmp_path, "sub-01")


def test_unusable_repetition_time(tmp_path):
    bold = write_run(tmp_path, 1, noise(12), EVENTS)
    sidecar = Path(str(bold).replace(".nii.gz", ".json"))
    sidecar.write_text(json.dumps({"RepetitionTime": "two"}))
    with pytest.raises(InputError, match="RepetitionTime is 'two'"):
        find_runs(tmp_path, "sub-01")
    sidecar.write_text("{")
    with pytest.raises(InputError, match="not a JSON object"):
        find_runs(tmp_path, "sub-01")
    sidecar.unlink()
    save(bold, noise(12), tr_s=0.0)
    with pytest.raises(InputError, match="no repetition time"):
        find_runs(tmp_path, "sub-01")


def test_na_is_missing_and_ids_stay_text(tmp_path):
    path = write_events(tmp_path / "events.tsv", [(8, 2, "0002"), ("n/a", "n/a", "n/a"), (0, 4, "n/a"), (4, 2, "1")])
    events = read_events(path, "stim_id")
    assert events.rows() == [(4, 0.0, 4.0, None), (5, 4.0, 2.0, "1"), (2, 8.0, 2.0, "0002"), (3, None, None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no events in this run"),
        ("onset\tduration\tstim_id\n", "no events in this run"),
        ("onset\tduration\ttrial_type\n1\t2\tx\n", "no column stim_id; there are onset, duration, trial_type.*brain"),
        ("duration\tstim_id\n2\tx\n", "no column onset"),
        ("onset\tduration\tstim_id\n1\t2\tv0\nsoon\t2\tv1\n", "row 3: onset 'soon' or duration '2' of stimulus v1"),
        ("onset\tduration\tstim_id\n1\tn/a\tv0\n", "row 2: onset '1' or duration None of stimulus v0"),
        ("onset\tduration\tstim_id\n1\t-2\tv0\n", "row 2: .*not a time"),
    ],
)
def test_bad_events_files_name_file_and_row(tmp_path, text, message):
    path = tmp_path / "sub-01_events.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"sub-01_events.tsv.*{message}"):
        read_events(path, "stim_id")


def test_presentations_are_mapped_and_the_rest_is_counted(tmp_path):
    events = [("0", 2, "n/a"), (4, 4, "0.mp4"), (10, 4, "1.mp4"), (16, 2, "99.mp4")]
    write_run(tmp_path, 1, noise(12), events)
    presentations, exclusions = read(
        find_runs(tmp_path, "sub-01"), to_id=lambda text: "v" + text.removesuffix(".mp4"), known=KNOWN
    )
    assert presentations.schema == PRESENTATIONS
    assert presentations.drop("source").rows() == [("", 1, 4.0, 4.0, "v0"), ("", 1, 10.0, 4.0, "v1")]
    frame = exclusions.frame("responses", "sub-01")
    assert frame.select("reason", "what", "n").rows() == [("no_stimulus", "n/a", 1), ("unknown_id", "99.mp4", 1)]
    assert frame["source"].str.ends_with("run-1_events.tsv").all()


def test_events_with_columns_of_our_names_do_no_harm(tmp_path):
    write_run(tmp_path, 1, noise(12), None)
    path = tmp_path / "sub-01/func/sub-01_task-videos_run-1_events.tsv"
    path.write_text("line\trun\tsession\tonset\tduration\tvideo_id\tsource\nx\t7\ts\t4\t4\tv3\ty\n")
    presentations, _ = read(find_runs(tmp_path, "sub-01"), stimulus_column="video_id")
    assert presentations.drop("source").rows() == [("", 1, 4.0, 4.0, "v3")]


def test_wrong_stimulus_column_is_an_error_that_names_the_right_one(tmp_path):
    write_run(tmp_path, 1, noise(12), EVENTS)
    with pytest.raises(InputError, match=r"column trial_type: only 0 of 1 stimuli.*video.*Column stim_id does"):
        read(find_runs(tmp_path, "sub-01"), stimulus_column="trial_type")


def test_few_known_stimuli_are_an_error(tmp_path):
    write_run(tmp_path, 1, noise(12), EVENTS)
    with pytest.raises(InputError, match=r"only 1 of 3 stimuli are clips of the study.*v0, v1, v2.*brain\.id"):
        read(find_runs(tmp_path, "sub-01"), known=["v0", "other"])


def test_mapping_that_is_not_one_to_one_is_an_error(tmp_path):
    write_run(tmp_path, 1, noise(12), [(4, 4, "v1"), (10, 4, "V1"), (16, 4, "v2")])
    with pytest.raises(InputError, match="row 3, column stim_id: V1 and v1 both map to v1"):
        read(find_runs(tmp_path, "sub-01"), to_id=str.lower)


def test_events_longer_than_the_image(tmp_path):
    write_run(tmp_path, 1, noise(12), [*EVENTS, (22, 4, "v3")])
    with pytest.raises(InputError, match=r"row 5: the last event ends at 26 s, but .* ends at 24 s .12 volumes of 2 s"):
        read(find_runs(tmp_path, "sub-01"))


def test_events_may_end_within_half_a_volume_of_the_image(tmp_path):
    write_run(tmp_path, 1, noise(12), [*EVENTS, (20.9, 4, "v3")])
    assert read(find_runs(tmp_path, "sub-01"))[0].height == 4
