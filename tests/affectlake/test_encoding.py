"""Encoding: equal to the libraries of the field where they do the same, invariant, honest under the null."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binomtest, kstest, norm
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.preprocessing import StandardScaler

from affectlake.encoding import ALPHAS, cross_validate, variance_partition
from affectlake.errors import DeviceError, InputError

RUNS = np.repeat(np.arange(1, 7), 20)


def planted(seed=0, p=8, v=30, noise=1.0, runs=RUNS):
    """Features, responses and runs; the first half of the targets depends on the features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(runs.size, p))
    weights = rng.normal(size=(p, v)) * (np.arange(v) < v / 2) * 0.4
    y = x @ weights + noise * rng.normal(size=(runs.size, v))
    return x, y.astype(np.float32), runs


def by_hand(x, y, runs, alphas=ALPHAS, exclusive=None):
    """The definition, in scikit-learn and loops: predictions and penalties."""
    predicted, chosen = np.zeros(y.shape), []
    for held in np.unique(runs):
        train = runs != held
        if exclusive is not None:
            train &= ~np.isin(exclusive, exclusive[runs == held])
        scale = StandardScaler().fit(x[train])
        xt, yt, rt = scale.transform(x[train]), y[train].astype(float), runs[train]
        errors = np.zeros((len(alphas), y.shape[1]))
        for inner in np.unique(rt):
            test = rt == inner
            keep = ~test if exclusive is None else ~test & ~np.isin(exclusive[train], exclusive[train][test])
            for a, alpha in enumerate(alphas):
                model = Ridge(alpha).fit(xt[keep], yt[keep])
                errors[a] += ((model.predict(xt[test]) - yt[test]) ** 2).mean(0)
        best = errors.argmin(0)
        for a in np.unique(best):
            model = Ridge(alphas[a]).fit(xt, yt[:, best == a])
            found = model.predict(scale.transform(x[runs == held]))
            predicted[np.ix_(runs == held, best == a)] = found.reshape(len(found), -1)
        chosen.append(np.asarray(alphas)[best])
    return predicted, np.array(chosen)


def fold_r(predicted, y, fold):
    """Pearson r within folds, averaged by rows."""
    r = [
        [np.corrcoef(predicted[fold == f, j], y[fold == f, j])[0, 1] for j in range(y.shape[1])]
        for f in np.unique(fold)
    ]
    return np.average(r, axis=0, weights=[(fold == f).sum() for f in np.unique(fold)])


@pytest.mark.parametrize("p", [1, 8, 70, 90, 150])
def test_predictions_equal_the_definition(p):
    x, y, runs = planted(p=p, v=12)
    mine = cross_validate(x, y, runs, predicted=True)
    theirs, alphas = by_hand(x, y, runs)
    same = (alphas == mine.alpha).all(0)
    assert same.mean() > 0.9
    np.testing.assert_allclose(mine.predicted[:, same], theirs[:, same], atol=2e-4)
    np.testing.assert_allclose(mine.r[same], fold_r(theirs, y, runs)[same], atol=1e-4)


def test_predictions_equal_himalaya():
    from himalaya.ridge import RidgeCV

    x, y, runs = planted(p=30, v=400)
    mine = cross_validate(x, y, runs, predicted=True)
    theirs = np.zeros(y.shape)
    for held in np.unique(runs):
        train = runs != held
        scale, mean = StandardScaler().fit(x[train]), y[train].mean(0)
        inner = [(np.flatnonzero(runs[train] != g), np.flatnonzero(runs[train] == g)) for g in np.unique(runs[train])]
        model = RidgeCV(alphas=ALPHAS, cv=inner, fit_intercept=True).fit(
            scale.transform(x[train]), y[train].astype(float) - mean
        )
        theirs[~train] = model.predict(scale.transform(x[~train])) + mean
    assert (np.abs(theirs - mine.predicted).max(0) < 1e-3).mean() >= 0.99


def test_folds_hold_consecutive_runs_and_the_last_takes_the_remainder():
    runs = np.repeat(np.arange(1, 62), 2)
    x, y, _ = planted(p=2, v=2, runs=runs)
    fold = cross_validate(x, y, runs).fold_by_run
    assert [int((fold == f).sum()) for f in range(6)] == [10, 10, 10, 10, 10, 11]
    assert (np.diff(fold) >= 0).all()


def test_fewer_runs_than_folds_are_left_out_one_by_one():
    x, y, runs = planted(runs=np.repeat([3, 7, 9], 20))
    assert list(cross_validate(x, y, runs).fold_by_run) == [0, 1, 2]


def test_unequal_folds_are_averaged_by_rows():
    runs = np.repeat(np.arange(4), [10, 20, 30, 40])
    x, y, _ = planted(runs=runs)
    mine = cross_validate(x, y, runs, predicted=True)
    np.testing.assert_allclose(mine.r, fold_r(mine.predicted, y, runs), atol=1e-4)
    np.testing.assert_allclose(mine.r_by_run, mine.r_by_fold)
    assert list(mine.rows_by_run) == [10, 20, 30, 40]


def test_r2_is_the_mean_over_folds_of_sklearns():
    x, y, runs = planted()
    y = y + 3 * runs[:, None].astype(np.float32)  # runs of different level: an honest R2 pays for it
    mine = cross_validate(x, y, runs, predicted=True)
    theirs = [r2_score(y[runs == f], mine.predicted[runs == f], multioutput="raw_values") for f in np.unique(runs)]
    np.testing.assert_allclose(mine.r2, np.mean(theirs, 0), rtol=1e-3)


def test_r2_of_a_run_is_sklearns_within_it():
    x, y, runs = planted()
    found = cross_validate(x, y, runs, folds=3, predicted=True)
    for run, r2 in zip(found.run_labels, found.r2_by_run, strict=True):
        rows = runs == run
        expected = r2_score(y[rows], found.predicted[rows], multioutput="raw_values")
        np.testing.assert_allclose(r2, expected, atol=1e-4)
    rows = np.bincount(found.fold_by_run, weights=found.rows_by_run)
    np.testing.assert_allclose(np.average(found.r2_by_fold, axis=0, weights=rows), found.r2, atol=1e-6)


@pytest.mark.parametrize("trials", [False, True])
def test_a_joint_shuffle_of_rows_changes_nothing(trials):
    x, y, runs = planted()
    x[5] = x[3]  # the same stimulus twice in a run
    order = np.random.default_rng(1).permutation(runs.size)
    number = np.tile(np.arange(20), 6)
    one = cross_validate(x, y, runs, null=20, predicted=True, trials=number if trials else None)
    other = cross_validate(
        x[order], y[order], runs[order], null=20, predicted=True, trials=number[order] if trials else None
    )
    np.testing.assert_array_equal(one.r, other.r)
    np.testing.assert_array_equal(one.p, other.p)
    np.testing.assert_array_equal(one.predicted[order], other.predicted)


def test_scale_and_offset_of_features_and_responses_do_not_matter():
    x, y, runs = planted()
    one = cross_validate(x, y, runs)
    other = cross_validate(x * np.logspace(-4, 4, x.shape[1]) + 100, y * 50 + 7000, runs)
    np.testing.assert_allclose(one.r, other.r, atol=2e-3)


def test_constant_predictions_and_responses_score_zero_and_are_counted():
    x, y, runs = planted()
    y[:, 0] = 5.1
    mine = cross_validate(x, y, runs, null=9)
    assert mine.constant == 1
    assert mine.r[0] == 0
    assert mine.p[0] == 1
    nothing = cross_validate(np.ones_like(x), y, runs, null=9)
    assert nothing.constant == y.shape[1]
    assert not nothing.r.any()
    assert (nothing.p == 1).all()


def test_a_constant_feature_and_a_doubled_feature_do_no_harm():
    x, y, runs = planted()
    wide = np.hstack([x, np.full((len(x), 1), 3.3), x[:, :1]])
    assert np.isfinite(cross_validate(wide, y, runs, predicted=True).predicted).all()


def test_exclusive_stimuli_leave_the_training_side():
    x, y, runs = planted(p=5)
    stimulus = np.arange(runs.size)
    stimulus[100:110] = stimulus[:10]  # shown in the first and in the last run
    mine = cross_validate(x, y, runs, exclusive=stimulus, predicted=True, null=9)
    theirs, alphas = by_hand(x, y, runs, exclusive=stimulus)
    same = (alphas == mine.alpha).all(0)
    assert same.mean() > 0.9
    np.testing.assert_allclose(mine.predicted[:, same], theirs[:, same], atol=2e-4)
    assert list(mine.dropped) == [10, 0, 0, 0, 0, 10]


def test_a_planted_leak_through_repeated_stimuli_is_caught():
    """Features that name the stimulus predict repeated noise perfectly, unless repetitions are kept apart."""
    rng = np.random.default_rng(0)
    stimulus = np.r_[np.arange(60), np.arange(60)]  # runs 1-3 repeat in runs 4-6
    x = rng.normal(size=(60, 50))[stimulus]
    y = rng.normal(size=(60, 40))[stimulus].astype(np.float32)
    assert cross_validate(x, y, RUNS).r.mean() > 0.5
    assert abs(cross_validate(x, y, RUNS, exclusive=stimulus).r.mean()) < 0.1


def test_a_label_copied_into_held_out_features_does_not_raise_the_score():
    x, y, runs = planted(p=6, v=1, noise=5)
    x, y = x[:, :5], y[:, :1]
    clean = cross_validate(np.hstack([x, np.zeros((runs.size, 1))]), y, runs)
    for run in np.unique(runs):
        leak = np.where((runs == run)[:, None], y, 0)
        leaked = cross_validate(np.hstack([x, leak]), y, runs)
        assert leaked.r_by_fold[run - 1, 0] == pytest.approx(clean.r_by_fold[run - 1, 0], abs=1e-5)


def test_a_single_run_is_cut_into_blocks_with_gaps():
    x, y, _ = planted(p=3)
    runs = np.zeros(len(x), dtype=int)
    mine = cross_validate(x, y, runs, gap=2, null=9)
    assert list(mine.dropped) == [2, 4, 4, 4, 4, 2]
    order = np.random.default_rng(0).permutation(runs.size)
    other = cross_validate(x[order], y[order], runs, gap=2, null=9, trials=order)
    np.testing.assert_array_equal(mine.r, other.r)
    np.testing.assert_array_equal(mine.p, other.p)


def test_banded_ridge_beats_plain_ridge_where_one_band_is_noise():
    rng = np.random.default_rng(0)
    signal, noise = rng.normal(size=(120, 5)), rng.normal(size=(120, 60))
    y = (signal @ rng.normal(size=(5, 20)) * 0.4 + rng.normal(size=(120, 20))).astype(np.float32)
    x, bands = np.hstack([signal, noise]), ["signal"] * 5 + ["noise"] * 60
    plain = cross_validate(x, y, RUNS)
    banded = cross_validate(x, y, RUNS, bands=bands, candidates=12, predicted=True, null=9)
    assert banded.r.mean() > plain.r.mean() + 0.05
    assert list(banded.band_names) == ["noise", "signal"]
    assert banded.band_weights.shape == (6, 2, 20)
    np.testing.assert_allclose(banded.band_weights.sum(1), 1)
    np.testing.assert_allclose(banded.r, fold_r(banded.predicted, y, RUNS), atol=1e-5)
    assert (banded.p == 0.1).mean() > 0.8


def test_the_null_is_a_refit_on_exchanged_features():
    """One permutation's score, recomputed with scikit-learn."""
    from affectlake._encoding_splits import make_plan, permutations

    x, y, runs = planted(p=4, v=6)
    mine = cross_validate(x, y, runs, null=3, groups={"all": np.arange(6)})
    plan = make_plan(x, y, runs, folds=6, gap=0, exclusive=None, trials=None, nested=True)
    for k, permutation in enumerate(permutations(plan, 3, 0)):
        xp, yp, rp = x[plan.order][permutation], y[plan.order], runs[plan.order]
        r = np.zeros(6)
        for f, held in enumerate(np.unique(rp)):
            scale = StandardScaler().fit(xp[rp != held])
            for j in range(6):
                model = Ridge(mine.alpha[f, j]).fit(scale.transform(xp[rp != held]), yp[rp != held, j])
                r[j] += np.corrcoef(model.predict(scale.transform(xp[rp == held])), yp[rp == held, j])[0, 1] / 6
        assert mine.group_null["all"][k] == pytest.approx(r.mean(), abs=1e-5)
        assert mine.null_max[k] == pytest.approx(r.max(), abs=1e-5)


def test_planted_effects_are_significant_and_regions_are_tested():
    x, y, runs = planted()
    groups = {"planted": np.arange(15), "empty": np.arange(30) >= 15}
    mine = cross_validate(x, y, runs, null=199, groups=groups)
    assert (mine.p[:15] < 0.05).all()
    assert mine.group_p["planted"] == 1 / 200
    assert mine.group_p["empty"] > 0.01
    assert mine.group_r["planted"] == pytest.approx(mine.r[:15].mean(), abs=1e-6)
    assert (mine.p_max >= mine.p).all()


def null_draws(draws):
    """Mean r and p of one target a draw, features and responses unrelated."""
    r, p = [], []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(60, 4)), rng.normal(size=(60, 40)).astype(np.float32)
        mine = cross_validate(x, y, np.repeat(np.arange(6), 10), null=99, seed=seed)
        r.append(mine.r.mean())
        p.append(mine.p[0])
    return np.array(r), np.array(p)


@pytest.mark.parametrize("draws", [40, pytest.param(400, marks=pytest.mark.long)])
def test_random_features_score_zero_and_p_is_uniform(draws):
    r, p = null_draws(draws)
    assert abs(r.mean()) < 2.6 * r.std(ddof=1) / draws**0.5  # two-sided 1 %: the draws are fixed, so is the outcome
    # p takes the values 1/100 .. 1; spread over its step it is continuous
    smooth = p - np.random.default_rng(0).random(draws) / 100
    assert kstest(smooth, "uniform").pvalue > 0.01
    assert binomtest(int((p <= 0.05).sum()), draws, 0.05).pvalue > 0.01


@pytest.mark.parametrize("features", [4, 30])
@pytest.mark.parametrize("draws", [20, pytest.param(200, marks=pytest.mark.long)])
def test_without_an_effect_the_analytic_p_is_never_too_small(draws, features):
    p, runs = [], np.repeat(np.arange(6), 20)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(120, features)), rng.normal(size=(120, 100)).astype(np.float32)
        p.append(cross_validate(x, y, runs).p_analytic)
    p = np.array(p)
    assert abs((p <= 0.5).mean() - 0.5) < 0.05
    # responses of one draw share the features: the draws are the independent units
    for level in (0.05, 0.01):
        share = (p <= level).mean(axis=1)
        assert share.mean() < level + 2 * share.std(ddof=1) / draws**0.5
    assert (p <= 0.05).mean() > 0.02, "nor so large that nothing would be found"


@pytest.mark.parametrize("draws", [50, pytest.param(300, marks=pytest.mark.long)])
def test_planted_effects_are_found_with_the_power_of_the_closed_form(draws):
    """Of one feature r in a fold of m rows has mean rho (1 - (1 - rho^2) / 2m), variance (1 - rho^2)^2 / (m - 1)."""
    rho, n, runs = 0.2, 240, np.repeat(np.arange(6), 40)
    hits = []
    for seed in range(draws):
        rng = np.random.default_rng([9, seed])
        x = rng.normal(size=(n, 1))
        y = rho * x + (1 - rho**2) ** 0.5 * rng.normal(size=(n, 20))
        hits.append(cross_validate(x, y.astype(np.float32), runs, alphas=[1.0]).p_analytic < 0.05)
    found = np.concatenate(hits)
    sd = 1 / np.sqrt(6 * 39)
    expected = norm.sf((norm.isf(0.05) * 2**0.5 * sd - rho * (1 - (1 - rho**2) / 80)) / ((1 - rho**2) * sd))
    assert abs(found.mean() - expected) < 0.03, (found.mean(), expected)


def test_variance_partition_finds_unique_and_shared_parts():
    rng = np.random.default_rng(0)
    runs = np.repeat(np.arange(6), 1000)
    shared, only_a, only_b, noise = (rng.normal(size=(6000, 1)) for _ in range(4))
    y = (shared + only_a + only_b + noise).astype(np.float32)
    spaces = {"a": np.hstack([shared, only_a]), "b": np.hstack([shared, only_b])}
    table = variance_partition(spaces, y, runs)
    parts = dict(zip(table["part"], table["r2"], strict=True))
    assert parts == pytest.approx({"a": 0.25, "b": 0.25, "a+b": 0.25}, abs=0.05)
    joint = table.filter(table["part"] == "a+b")["joint_r2"].item()
    assert sum(parts.values()) == pytest.approx(joint)


def test_variance_parts_of_four_spaces_add_up():
    x, y, runs = planted(p=8)
    spaces = {name: x[:, 2 * k : 2 * k + 2] for k, name in enumerate("abcd")}
    table = variance_partition(spaces, y, runs, groups={"first": np.arange(15)}, alphas=[1.0, 10.0])
    assert table.height == 15
    assert table["r2"].sum() == pytest.approx(table.filter(table["part"] == "a+b+c+d")["joint_r2"].item(), abs=1e-6)


def test_progress_counts_up_to_its_total():
    x, y, runs = planted()
    seen = []
    cross_validate(x, y, runs, null=20, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"responses": np.ones((5, 2))}, "rows"),
        ({"runs": np.zeros(3)}, "runs"),
        ({"alphas": [0.0]}, "positive"),
        ({"runs": np.repeat([0, 1], 60)}, "folds"),
        ({"groups": {"v1": []}}, "v1"),
        ({"groups": {"v1": [99]}}, "99"),
        ({"trials": np.zeros(120)}, "trial"),
        ({"exclusive": np.tile(np.arange(20), 6)}, "train"),
        ({"bands": ["a"]}, "bands"),
        ({"null": -1}, "null"),
    ],
)
def test_wrong_input_is_refused_in_words(change, words):
    x, y, runs = planted()
    arguments = {"features": x, "responses": y, "runs": runs} | change
    with pytest.raises(InputError, match=words):
        cross_validate(**arguments)


def test_missing_values_are_named():
    x, y, runs = planted()
    y[17, 3] = np.nan
    with pytest.raises(InputError, match="row 17, column 3"):
        cross_validate(x, y, runs)
    with pytest.raises(InputError, match="row 2, column 1"):
        cross_validate(np.where(np.arange(120)[:, None] * 10 + np.arange(8) == 21, np.nan, x), np.ones_like(y), runs)


def test_import_is_light():
    code = "import sys, affectlake.encoding, affectlake.rsa, affectlake.statistics; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not any(f"'{name}'" in loaded for name in ("torch", "sklearn", "scipy", "polars"))


def test_cuda_gives_the_same_scores_or_says_that_it_is_not_there():
    import torch

    x, y, runs = planted()
    if torch.cuda.is_available():
        one, other = (cross_validate(x, y, runs, null=20, device=d) for d in ("cpu", "cuda"))
        np.testing.assert_allclose(one.r, other.r, atol=1e-3)
        return
    with pytest.raises(DeviceError, match="CUDA"):
        cross_validate(x, y, runs, device="cuda")
    pytest.skip("no CUDA device: only the refusal was tested")


def test_targets_of_one_label_share_the_penalty_that_is_best_for_all_of_them():
    rng = np.random.default_rng(5)
    x, runs = rng.normal(size=(120, 8)), np.repeat(np.arange(6), 20)
    noise = np.r_[0.3, 0.3, 30, 30, 1, 1]
    y = (x @ rng.normal(size=(8, 6)) + noise * rng.normal(size=(120, 6))).astype(np.float32)
    y[:, 1] *= 1000
    alphas, labels = [0.1, 10.0, 1000.0], np.array(["a", "a", "b", "b", "a", "b"])
    found = cross_validate(x, y, runs, folds=6, alphas=alphas, together=labels)
    z = (y - y.mean(0)) / y.std(0)
    for held in range(6):
        errors = np.zeros((3, 6))
        for inner in set(range(6)) - {held}:
            keep = (runs != held) & (runs != inner)
            scale = StandardScaler().fit(x[runs != held])
            for a, alpha in enumerate(alphas):
                model = Ridge(alpha).fit(scale.transform(x[keep]), z[keep])
                wrong = z[runs == inner] - model.predict(scale.transform(x[runs == inner]))
                errors[a] += (wrong**2).mean(0)
        for label in "ab":
            best = alphas[int(errors[:, labels == label].sum(1).argmin())]
            assert set(found.alpha[held, labels == label]) == {best}
    one = cross_validate(x, y, runs, folds=6, alphas=[10.0], together=labels)
    np.testing.assert_array_equal(one.r, cross_validate(x, y, runs, folds=6, alphas=[10.0]).r)
    alone = cross_validate(x, y, runs, folds=6, alphas=alphas, together=np.arange(6))
    np.testing.assert_array_equal(alone.alpha, cross_validate(x, y, runs, folds=6, alphas=alphas).alpha)
    assert len(np.unique(found.alpha)) > 1
    with pytest.raises(InputError, match="together: has shape"):
        cross_validate(x, y, runs, together=labels[:3])
