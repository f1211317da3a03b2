"""Responses as other packages estimate them: general linear models, confounds taken out."""

from __future__ import annotations

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn.glm.first_level import FirstLevelModel
from nilearn.signal import clean

from affectlake.errors import InputError
from affectlake.formats.bids import find_runs, read_confounds
from tests.affectlake._brains import SHAPE, noise, write_run
from tests.affectlake.test_timeseries import blocks, brute_force, read

VOLUMES = 48
IDS = ["v0", "v1", "v2", "v3", "v4"]
NEW, OLDER, OLDEST = "desc-confounds_timeseries", "desc-confounds_regressors", "bold_confounds"


def confounds(seed: int = 5) -> pd.DataFrame:
    """As fMRIPrep has them: a difference has no value in the first volume."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.normal(size=(VOLUMES, 3)), columns=["trans_x", "trans_y", "csf"])
    table["trans_x_derivative1"] = table["trans_x"].diff()
    return table


def write_confounds(root, table: pd.DataFrame, name: str = NEW):
    bold = next(root.glob("**/*_bold.nii.gz"))
    path = bold.with_name(bold.name.split("_space-")[0] + f"_{name}.tsv")
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


@pytest.mark.parametrize("with_confounds", [False, True])
def test_each_estimate_is_that_of_nilearns_first_level_model_with_the_others_in_one_regressor(tmp_path, with_confounds):
    data = noise(VOLUMES)
    events = [(4 + 16 * k, 6, name) for k, name in enumerate(IDS)]
    bold = write_run(tmp_path, 1, data, events)
    write_confounds(tmp_path, confounds())
    regressors = confounds()[["trans_x", "trans_y"]] if with_confounds else None
    chosen = ["trans_?"] if with_confounds else []
    subject = read(tmp_path, estimator="glm", confounds=chosen)
    mask = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), nibabel.load(bold).affine)
    effects = []
    for name in IDS:
        table = pd.DataFrame(events, columns=["onset", "duration", "clip"])
        table["trial_type"] = np.where(table.pop("clip") == name, "this", "others")
        model = FirstLevelModel(
            t_r=2.0, hrf_model="glover", high_pass=1 / 128, noise_model="ols", mask_img=mask, standardize=False,
            signal_scaling=False,
        )  # fmt: skip
        model.fit(nibabel.load(bold), events=table, confounds=regressors)
        effects.append(model.compute_contrast("this", output_type="effect_size").get_fdata().ravel())
    theirs = np.array(effects)
    theirs = (theirs - theirs.mean(axis=0)) / theirs.std(axis=0)
    np.testing.assert_allclose(subject.responses, theirs, atol=2e-3)


def test_a_presentation_that_is_not_kept_is_modelled_all_the_same(tmp_path):
    data = np.full((*SHAPE, VOLUMES), 500.0, dtype=np.float32) + noise(VOLUMES) / 1e4
    data[..., 20:26] += 80  # the second showing of v0, which is left out
    write_run(tmp_path, 1, data, [(4, 6, "v0"), (20, 6, "v1"), (36, 12, "v0"), (70, 6, "v2")])
    subject = read(tmp_path, estimator="glm")
    assert subject.presentations["video_id"].to_list() == ["v0", "v1", "v2"]
    assert subject.exclusions.total("duplicate_presentation") == 1
    assert np.isfinite(subject.responses).all()


def test_confounds_and_drifts_are_taken_out_as_nilearn_does(tmp_path):
    data = noise(VOLUMES) + np.linspace(0, 40, VOLUMES, dtype=np.float32)
    events = blocks(*IDS)
    write_run(tmp_path, 1, data, events)
    table = confounds()
    write_confounds(tmp_path, table)
    subject = read(tmp_path, confounds=["trans_x*", "csf"])
    wanted = table[["trans_x", "csf", "trans_x_derivative1"]]
    wanted = wanted.fillna(wanted.mean()).to_numpy()
    flat = data.reshape(-1, VOLUMES).T.astype(np.float64)
    # nilearn takes the mean along; z-scores of the blocks do not see it
    cleaned = clean(flat, confounds=wanted, detrend=False, standardize=None, standardize_confounds=True)
    np.testing.assert_allclose(subject.responses, brute_force(cleaned.T.reshape(*SHAPE, VOLUMES), events), atol=1e-3)


@pytest.mark.parametrize("name", [NEW, OLDER, OLDEST])
def test_confounds_are_found_under_every_name_that_fmriprep_gave_them(tmp_path, name):
    write_run(tmp_path, 1, noise(VOLUMES), blocks(*IDS))
    path = write_confounds(tmp_path, confounds(), name)
    assert find_runs(tmp_path, "sub-01")[0].confounds == path


def test_confounds_that_do_not_fit_are_refused_in_words(tmp_path):
    write_run(tmp_path, 1, noise(VOLUMES), blocks(*IDS))
    with pytest.raises(InputError, match=r"run-1.*no table of confounds.*leave out brain\.confounds"):
        read(tmp_path, confounds=["csf"])
    table = confounds()
    path = write_confounds(tmp_path, table)
    with pytest.raises(InputError, match=r"no column rot_.*; there are trans_x, trans_y, csf"):
        read(tmp_path, confounds=["csf", "rot_*"])
    write_confounds(tmp_path, table[1:])
    with pytest.raises(InputError, match="has 47 rows, the image has 48 volumes"):
        read(tmp_path, confounds=["csf"])
    table.loc[7, "csf"] = np.nan
    write_confounds(tmp_path, table)
    with pytest.raises(InputError, match="row 9: csf has 'n/a', not a number"):
        read_confounds(path, ["csf"], VOLUMES)
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(VOLUMES, VOLUMES)), columns=[f"c{k}" for k in range(48)])
    write_confounds(tmp_path, wide)
    for estimator in ("block", "glm"):
        with pytest.raises(InputError, match="leave nothing of 48 volumes"):
            read(tmp_path, confounds=["c*"], estimator=estimator)


def test_a_first_value_that_is_no_number_is_no_gap(tmp_path):
    write_run(tmp_path, 1, noise(VOLUMES), blocks(*IDS))
    path = write_confounds(tmp_path, confounds().astype(object).assign(csf=["much", *range(1, VOLUMES)]))
    with pytest.raises(InputError, match="row 2: csf has 'much'"):
        read_confounds(path, ["csf"], VOLUMES)
