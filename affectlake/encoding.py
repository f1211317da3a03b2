"""Encoding models: how well features of stimuli predict the responses of voxels.

The public face. Ridge regression, nested cross-validation over runs, a permutation null and variance partitioning, all
on arrays. The parts: rows and folds in `_encoding_splits`, algebra in `_ridge` and `_ridge_selection`, banded ridge in
`_encoding_bands`, passes over the responses in `_encoding_engine`, scores in `_encoding_scores`, the null in
`_encoding_null`. What does not belong here: files, regions' names, tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affectlake._encoding_bands import band_candidates
from affectlake._encoding_engine import Choice, Problem, choose, choose_together, evaluate
from affectlake._encoding_inputs import (
    ALPHAS,
    Progress,
    Steps,
    counts,
    features_matrix,
    group_members,
    group_shares,
    penalties_of,
    pools_of,
    responses_matrix,
    same_rows,
)
from affectlake._encoding_null import run_null
from affectlake._encoding_splits import make_plan
from affectlake._ridge import own_threads, resolve_device
from affectlake._variance import variance_partition
from affectlake.statistics import correlation_p

__all__ = ["ALPHAS", "Encoding", "cross_validate", "variance_partition"]

Float = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Encoding:
    """Cross-validated scores of one set of features for v targets (voxels).

    Attributes
    ----------
    r : float32[v]
        Pearson r within each outer fold, averaged over folds by rows.
    r2 : float32[v]
        Coefficient of determination within each outer fold (1 - residual / variance about the fold's own mean),
        averaged over folds by rows. Below zero where the mean would have predicted better.
    r_by_fold, r2_by_fold : float32[folds, v]
    r_by_run, r2_by_run : float32[runs, v]
        Within each run, which is what a bootstrap over runs resamples.
    run_labels : array[runs]
        Runs in sorted order; 0, 1, ... for the contiguous blocks of a single run.
    rows_by_run : int64[runs]
    fold_by_run : int64[runs]
        Outer fold that holds each run out.
    alpha : float64[folds, v]
        Penalty chosen in each outer fold.
    constant_prediction : bool[v]
        True where in some fold the prediction, or the response, did not vary; that fold scored 0.
    dropped : int64[folds]
        Rows left out of each fold's training side because of ``exclusive`` or ``gap``.
    p : float64[v] or None
        One-sided permutation p of ``r``, (1 + count of null >= observed) / (1 + null).
    null_max : float64[null] or None
        The highest r of any target under each permutation; `p_max` compares with it.
    group_r : dict of str to float
        Mean r over each group's targets.
    group_p : dict of str to float
        One-sided permutation p of ``group_r``; empty without a null.
    group_null : dict of str to float64[null]
        Mean r of each group under each permutation; empty without a null.
    predicted : float32[n, v] or None
        Held-out predictions in the caller's row order and units.
    band_names : array[bands]
    band_weights : float64[folds, bands, v] or None
        Weights of the bands on the simplex, where bands were given.
    """

    r: Single
    r2: Single
    r_by_fold: Single
    r2_by_fold: Single
    r_by_run: Single
    r2_by_run: Single
    run_labels: npt.NDArray[np.generic]
    rows_by_run: npt.NDArray[np.int64]
    fold_by_run: npt.NDArray[np.int64]
    alpha: Float
    constant_prediction: npt.NDArray[np.bool_]
    dropped: npt.NDArray[np.int64]
    p: Float | None
    null_max: Float | None
    group_r: dict[str, float]
    group_p: dict[str, float]
    group_null: dict[str, Float]
    predicted: Single | None
    band_names: npt.NDArray[np.generic]
    band_weights: Float | None

    @property
    def constant(self) -> int:
        """Count of targets with a constant prediction (or response) in some fold."""
        return int(self.constant_prediction.sum())

    @property
    def p_max(self) -> Float | None:
        """Family-wise p of each target by the maximum statistic: float64[v], None without a null."""
        if self.null_max is None:
            return None
        higher = self.null_max.size - np.searchsorted(np.sort(self.null_max), self.r, side="left")
        return np.asarray((1 + higher) / (1 + self.null_max.size), dtype=np.float64)

    @property
    def p_analytic(self) -> Float:
        """One-sided p of each target from `affectlake.statistics.correlation_p`: float64[v]; needs no permutation."""
        return correlation_p(self.r, np.bincount(self.fold_by_run, weights=self.rows_by_run))


def cross_validate(
    features: npt.ArrayLike,
    responses: npt.ArrayLike,
    runs: npt.ArrayLike,
    *,
    folds: int = 6,
    alphas: npt.ArrayLike = ALPHAS,
    bands: npt.ArrayLike | None = None,
    candidates: int = 50,
    together: npt.ArrayLike | None = None,
    exclusive: npt.ArrayLike | None = None,
    trials: npt.ArrayLike | None = None,
    gap: int = 0,
    null: int = 0,
    groups: Mapping[str, npt.ArrayLike] | None = None,
    seed: int = 0,
    predicted: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Encoding:
    """Predict responses from features by ridge regression, cross-validated over runs.

    Outer folds are of consecutive runs in sorted order: floor(R / folds) runs in each, the remainder in the last
    (61 runs in 6 folds: 1-10, ..., 51-61; fewer runs than folds: one run a fold). In each outer fold features are
    standardized with mean and standard deviation of the training rows. The penalty of each target is the one with the
    least mean, over inner folds (each training fold left out once), of the mean squared error, with an intercept in
    every inner fold. The order of the rows has no meaning: a joint shuffle returns the same scores.

    Parameters
    ----------
    features : float[n, p]
        One row a presentation. More features than rows are handled through the inner products of rows.
    responses : float[n, v]
        Read block by block; a float32 array is not copied as a whole.
    runs : int or str[n]
        Run of each presentation, unique over sessions. If all are one run, folds are contiguous blocks of rows in the
        order of ``trials`` (without it, in the order given).
    folds : int
        Outer folds; at least three where there are several alphas.
    alphas : float[a]
        Penalties, positive, in units of the standardized features' sums of squares.
    bands : int or str[p], optional
        Band of each feature: banded ridge, by random search over the simplex of band weights.
    candidates : int
        Band weights tried: all bands alike, each band alone, the rest drawn. Each costs as much as ordinary ridge.
    together : int or str[v], optional
        Targets of one label share their penalty (and band weights): the one with the least error over all of them, each
        in units of its variance. Without it every target has its own.
    exclusive : int or str[n], optional
        Stimulus of each row. No stimulus may stand on both sides of an outer or inner split: rows that would are
        dropped from the training side (never from the held-out side) and counted in ``dropped``.
    trials : int[n], optional
        Order of the presentations within their run. Needed only for a single run whose rows are not in order; it also
        keys the permutations, which are otherwise keyed by the content of the rows.
    gap : int
        Rows dropped from the training side on each side of a held-out block of a single run. Separate runs have no
        seam, so there it does nothing.
    null : int
        Permutations. The features of presentations are exchanged within runs (single run: rotated within each block,
        so that autocorrelation stays), every fold is refitted with the penalties that the observed data chose, and
        scored. Rows that stand in different training sets (``exclusive``, ``gap``) are not exchanged for each other.
    groups : dict of str to int[k] or bool[v], optional
        Groups of targets (regions) whose mean r is tested against the same permutations.
    seed : int
        Of the permutations and of the drawn band weights.
    predicted : bool
        Return the held-out predictions.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with steps done and steps in all.

    Returns
    -------
    Encoding

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a penalty is not positive, or the runs leave nothing to train on.
    DeviceError
        The device is not there.

    Notes
    -----
    Scores are averaged over folds, not taken over concatenated folds: where a fold's held-out mean lies above the
    overall mean, its training mean lies below, which makes concatenated predictions correlate below zero under the
    null. A constant prediction has no r; it scores 0 and is counted.

    The folds are those of Horikawa et al. 2020 (iScience 23:101060, "Regularized linear regression analysis"), whose
    penalty however is shared by all voxels. Penalties a target and band weights follow Dupre la Tour et al. 2022
    (NeuroImage 264:119728, sections 2.3 and 2.4); predictions equal those of its package himalaya, `RidgeCV` with the
    same folds and alphas.
    """
    X, Y = features_matrix(features), responses_matrix(responses)
    same_rows(X, Y)
    penalties = penalties_of(alphas)
    counts(folds=(folds, 2), candidates=(candidates, 1), gap=(gap, 0), null=(null, 0))
    names, codes, weights = band_candidates(bands, X.shape[1], candidates, seed)
    members = {name: group_members(name, group, Y.shape[1]) for name, group in (groups or {}).items()}
    nested = penalties.size > 1 or len(weights) > 1
    plan = make_plan(X, Y, runs, folds=folds, gap=gap, exclusive=exclusive, trials=trials, nested=nested)
    pools = None if together is None else pools_of(together, Y.shape[1])
    total = len(weights) + 1 + null
    problem = Problem(X[plan.order], Y, plan, penalties, codes, weights, resolve_device(device), Steps(progress, total))
    return _run(problem, names if bands is not None else None, members, pools, null, seed, predicted)


def _run(
    problem: Problem,
    bands: npt.NDArray[np.generic] | None,
    members: dict[str, npt.NDArray[np.intp]],
    pools: npt.NDArray[np.intp] | None,
    null: int,
    seed: int,
    predicted: bool,
) -> Encoding:
    plan = problem.plan
    work = problem.features.size * problem.responses.shape[1] * (problem.folds**2 * len(problem.candidates) + null)
    with own_threads(work):
        choice = choose(problem) if pools is None else choose_together(problem, pools)
        scores = evaluate(problem, choice, predicted=predicted)
        rows = np.array([s.held.size for s in plan.outer])
        r, r2 = (np.average(x, axis=0, weights=rows).astype(np.float32) for x in (scores.r_by_fold, scores.r2_by_fold))
        shares = group_shares(members, r.size)
        result = run_null(problem, choice, r, scores.constant, shares, count=null, seed=seed) if null else None
    group_r = {name: float(r[m].mean(dtype=np.float64)) for name, m in members.items()}
    group_null = {} if result is None else {name: result.groups[:, g] for g, name in enumerate(members)}
    first = np.searchsorted(plan.segment, np.arange(len(plan.labels)))
    return Encoding(
        r=r,
        r2=r2,
        r_by_fold=scores.r_by_fold,
        r2_by_fold=scores.r2_by_fold,
        r_by_run=scores.r_by_run,
        r2_by_run=scores.r2_by_run,
        run_labels=plan.labels,
        rows_by_run=np.bincount(plan.segment),
        fold_by_run=plan.fold[first],
        alpha=choice.alpha,
        constant_prediction=np.asarray(scores.constant.any(0)),
        dropped=plan.order.size - rows - np.array([s.train.size for s in plan.outer]),
        p=None if result is None else (1 + result.exceed) / (1 + null),
        null_max=None if result is None else result.maximum,
        group_r=group_r,
        group_p={name: (1 + int((d >= group_r[name]).sum())) / (1 + null) for name, d in group_null.items()},
        group_null=group_null,
        predicted=scores.predicted,
        band_names=np.array([]) if bands is None else bands,
        band_weights=None if bands is None else _band_weights(problem, choice),
    )


def _band_weights(problem: Problem, choice: Choice) -> Float:
    return np.asarray(problem.candidates[choice.candidate].transpose(0, 2, 1))
