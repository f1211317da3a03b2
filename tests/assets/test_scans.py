"""Each format of brains, from the study file to the tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

from affectlake.brainframes import SubjectData
from affectlake.errors import InputError, StudyError
from affectlake.exclusions import Exclusions
from affectlake.formats.videos import assign_items, read_manifest
from affectlake.tables import RESPONSES, ROI_TIMESERIES, VOXELS
from assets._scans import read_scans
from assets.recipes import RESPONSES as RECIPE
from resources.study import Study, load_study
from tests.affectlake import test_responsematrix as matrices
from tests.affectlake import test_roiseries as series
from tests.affectlake._brains import SHAPE, noise, save, write_run
from tests.affectlake.formats import test_bdata as bdata


def study(folder: Path, brain: str, ids: list[str]) -> Study:
    (folder / "videos.csv").write_text("\n".join(["video_id", *ids]) + "\n")
    text = f"name: tiny\nstimuli: {{manifest: videos.csv}}\nbrain: {{{brain}, subjects: [s1]}}\n"
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


def read(study: Study) -> SubjectData:
    clips = assign_items(read_manifest(study.resolve(study.stimuli.manifest)))
    found = read_scans(study, "s1", clips, Exclusions(), lambda done, total: None)
    VOXELS.validate(found.voxels)
    RESPONSES.validate(found.responses_frame())
    ROI_TIMESERIES.validate(found.timeseries)
    return found


def names(study: Study) -> set[str]:
    return {path.name for path in RECIPE.files(study, {"subject": "s1"})}


def test_an_atlas_inside_an_installed_package_confounds_and_estimator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bold = write_run(tmp_path, 1, noise(32), [(12 * k, 4, f"v{k}") for k in range(4)], subject="sub-s1")
    table = bold.with_name("sub-s1_task-videos_run-1_desc-confounds_timeseries.tsv")
    table.write_text("\n".join(["trans_x", *(str(k % 5) for k in range(32))]) + "\n")
    packages = tmp_path / "site" / "someatlas"
    packages.mkdir(parents=True)
    (packages / "__init__.py").write_text("raise RuntimeError('an atlas is read, its package is not run')\n")
    labels = (noise(1)[..., 0] * 0).astype("int16")
    labels[0] = 1
    save(packages / "data" / "atlas.nii.gz", labels)
    (packages / "data" / "labels.csv").write_text("index,name\n1,amygdala\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    atlas = "atlas: {package: someatlas, file: data/atlas.nii.gz, labels: data/labels.csv}"
    text = "format: bids, root: ., confounds: [trans_*], estimator: glm, " + atlas
    brains = study(tmp_path, text, ["v0", "v1", "v2", "v3"])
    found = read(brains)
    assert found.voxels["rois"].explode().drop_nulls().unique().to_list() == ["amygdala"]
    assert {"labels.csv", table.name} <= names(brains), "another atlas or other confounds make the responses stale"
    plain = read(study(tmp_path, text.replace("confounds: [trans_*], ", ""), ["v0", "v1", "v2", "v3"]))
    assert abs(plain.responses - found.responses).max() > 0.01
    with pytest.raises(StudyError, match=r"the package noatlas is not installed.*pip install noatlas"):
        list(study(tmp_path, text.replace("someatlas", "noatlas"), ["v0"]).files())


def test_images_with_regions_made_of_an_atlas_labels(tmp_path: Path) -> None:
    for run in (1, 2):
        shown = [(4 * k, 4, f"v{6 * (run - 1) + k}") for k in range(6)]
        write_run(tmp_path / "d", run, noise(16, run), shown, subject="sub-s1")
    shutil.move(tmp_path / "d" / "sub-s1", tmp_path / "sub-s1")
    labels = noise(1)[..., 0] * 0
    labels[0], labels[1], labels[2] = 1, 2, 3
    save(tmp_path / "atlas.nii.gz", labels.astype("int16"))
    (tmp_path / "atlas.tsv").write_text("index\tlabel\n1\tL_V1\n2\tR_V1\n3\tL_H\n")
    (tmp_path / "groups.yaml").write_text("VC: [V1]\n")
    groups = "groups: {file: groups.yaml, label: '{h}_{label}'}"
    text = "format: bids, root: ., atlas: {file: atlas.nii.gz, labels: atlas.tsv, " + groups + "}"
    brains = study(tmp_path, text, [f"v{k}" for k in range(12)])
    found = read(brains)
    assert found.voxels["rois"].explode().drop_nulls().unique().to_list() == ["VC"]
    assert found.voxels.filter(pl.col("rois").list.len() > 0).height == 2 * SHAPE[1] * SHAPE[2]
    assert {"atlas.nii.gz", "atlas.tsv", "groups.yaml", "videos.csv"} <= names(brains)


def test_time_series_of_regions(tmp_path: Path) -> None:
    data, _ = series.planted()
    series.subject(tmp_path, data)
    (tmp_path / "s01.txt").rename(tmp_path / "s1.txt")
    (tmp_path / "motion_x_s1.txt").write_text("\n".join(str(n % 7) for n in range(len(data))) + "\n")
    text = (
        "format: timeseries, series: '{subject}.txt', rois: [a, b], tr_s: 2, stimuli: shown.tsv, rest_s: 0, "
        "confounds: [{file: 'motion_*_{subject}.txt'}], shift_s: 0"
    )
    brains = study(tmp_path, text, series.CLIPS)
    assert read(brains).responses.shape == (len(series.CLIPS), 2)
    assert names(brains) == {"s1.txt", "shown.tsv", "motion_x_s1.txt", "videos.csv"}
    (tmp_path / "motion_y_s1.txt").write_text("1\n")
    with pytest.raises(StudyError, match="one pattern names several files of s1"):
        read(brains)


def test_matrices_of_responses(tmp_path: Path) -> None:
    matrices.save(tmp_path / "s1.h5", matrices.planted())
    matrices.tables(tmp_path)
    text = (
        "format: responses, matrix: '{subject}.h5', dataset: betas, stimuli: stimuli.csv, voxels: voxels.tsv, "
        "stimulus_column: video_id"
    )
    brains = study(tmp_path, text, [f"v{n:02d}" for n in range(matrices.N)])
    found = read(brains)
    assert found.responses.shape == (matrices.N, matrices.V)
    assert found.timeseries.is_empty()
    assert names(brains) == {"s1.h5", "stimuli.csv", "voxels.tsv", "videos.csv"}


def bdata_study(folder: Path, ids: list[str]) -> Study:
    for session in (2, 10):
        bdata.write_h5(folder / f"fmri_s1_Session{session}.h5", names=False, blocks=6 if session == 2 else 3)
    (folder / "groups.yaml").write_text("V1: [V1]\n")
    groups = "groups: {file: groups.yaml, label: 'hcp180_r_{side}.{h}_{label}_ROI'}"
    return study(folder, "format: bdata, data: 'fmri_{subject}_Session*.h5', " + groups, ids)


def test_bdata_of_several_sessions(tmp_path: Path) -> None:
    brains = bdata_study(tmp_path, [str(n) for n in range(1, 13)])
    found = read(brains)
    assert found.presentations["run"].unique().sort().to_list() == [1, 2], "session 10 repeats clips of session 2"
    assert found.exclusions.total("duplicate_presentation") == 6
    assert found.voxels["rois"].explode().drop_nulls().unique().to_list() == ["V1"]
    assert names(brains) >= {"fmri_s1_Session2.h5", "fmri_s1_Session10.h5", "groups.yaml"}


def test_bdata_with_the_numbers_of_another_list_is_refused(tmp_path: Path) -> None:
    brains = bdata_study(tmp_path, [str(n) for n in range(1, 14) if n != 5])
    with pytest.raises(InputError, match=r"1 numbers are no clip .such as 5., 1 clips are not shown .such as 13."):
        read(brains)


@pytest.mark.parametrize("text", ["[]", "a: b", "a: []", "{"])
def test_groups_must_be_lists_of_labels(tmp_path: Path, text: str) -> None:
    brains = bdata_study(tmp_path, [str(n) for n in range(1, 13)])
    (tmp_path / "groups.yaml").write_text(text)
    with pytest.raises(InputError, match=r"groups\.yaml"):
        read(brains)
