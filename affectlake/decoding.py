"""Decoding, the reverse check: scores of stimuli (ratings, dimensions of an embedding) from a region's responses.

Ridge regression as in `affectlake.encoding`, with brain and scores exchanged and one penalty a fold for all scores.
What does not belong here: regions, tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from affectlake._encoding_inputs import ALPHAS, Progress, Steps, counts, features_matrix
from affectlake._encoding_splits import Plan, make_plan, permutations
from affectlake.encoding import cross_validate
from affectlake.errors import InputError

__all__ = ["Decoding", "decode", "identification"]

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Decoding:
    """How well the scores of unseen stimuli are read from responses.

    Attributes
    ----------
    r : float64[d]
        Pearson r of each score within each outer fold, averaged over folds by rows.
    mean_r : float
        Mean over scores.
    accuracy : float
        Pairwise identification accuracy: see `identification`. Chance is .5.
    alpha : float64[folds]
        Penalty of each outer fold.
    predicted : float64[n, d]
        Held-out predictions in the caller's row order and units.
    fold : int64[n]
        Outer fold that holds each row out.
    p_r, p_accuracy : float or None
        One-sided permutation p of ``mean_r`` and of ``accuracy``.
    null_r, null_accuracy : float64[null]
    """

    r: Float
    mean_r: float
    accuracy: float
    alpha: Float
    predicted: Float
    fold: npt.NDArray[np.int64]
    p_r: float | None
    p_accuracy: float | None
    null_r: Float
    null_accuracy: Float


@dataclass(frozen=True)
class _Fold:
    """One outer fold: its rows, and the weights that turn training scores into predictions of the held-out ones."""

    train: npt.NDArray[np.intp]
    held: npt.NDArray[np.intp]
    hat: Float  # [n_held, n_train]


def decode(
    responses: npt.ArrayLike,
    scores: npt.ArrayLike,
    runs: npt.ArrayLike,
    *,
    folds: int = 6,
    alphas: npt.ArrayLike = ALPHAS,
    exclusive: npt.ArrayLike | None = None,
    trials: npt.ArrayLike | None = None,
    gap: int = 0,
    null: int = 0,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Decoding:
    """Predict scores of stimuli from responses by ridge regression, cross-validated over runs.

    Parameters
    ----------
    responses : float[n, v]
        One row a presentation, one column a voxel of the region.
    scores : float[n, d]
        Scores of the stimulus shown, at least two.
    runs, folds, alphas, exclusive, trials, gap, device
        As in `affectlake.encoding.cross_validate`; one penalty a fold is chosen for all scores together.
    null : int
        Permutations: the scores of presentations are exchanged within runs and every fold is fitted again, with the
        penalties that the observed data chose.
    seed : int
        Of the permutations.
    progress : callable, optional
        Called with steps done and steps in all.

    Returns
    -------
    Decoding

    Raises
    ------
    InputError
        As in `cross_validate`, or there are fewer than two scores.

    Notes
    -----
    Identification as in Horikawa et al. 2020 (iScience 23:101060, "Video identification analysis"), but among the clips
    of one held-out fold: their predictions come from one model, so that chance is .5 exactly.
    """
    X, Y = features_matrix(responses, "responses"), features_matrix(scores, "scores")
    if Y.shape[1] < 2:
        raise InputError(
            f"{Y.shape[1]} score was given; a pattern of at least two is needed to tell stimuli apart", where="decode"
        )
    counts(null=(null, 0))
    steps = Steps(progress, null + 1)
    fitted = cross_validate(
        X,
        Y,
        runs,
        folds=folds,
        alphas=alphas,
        together=np.zeros(Y.shape[1], dtype=np.intp),
        exclusive=exclusive,
        trials=trials,
        gap=gap,
        predicted=True,
        device=device,
    )
    plan = make_plan(X, Y, runs, folds=folds, gap=gap, exclusive=exclusive, trials=trials, nested=np.size(alphas) > 1)
    alpha = fitted.alpha[:, 0]
    X, Y = X[plan.order], Y[plan.order]
    parts = [_fold(X, plan, f, alpha[f]) for f in range(len(plan.outer))]
    predicted, r, accuracy = _score(parts, Y)
    steps.add()
    drawn = np.empty((null, 2))
    for k, order in enumerate(permutations(plan, null, seed)):
        _, permuted, found = _score(parts, Y[order])
        drawn[k] = permuted.mean(), found
        steps.add()
    back = np.empty_like(predicted)
    back[plan.order] = predicted
    fold = np.empty(len(Y), dtype=np.int64)
    fold[plan.order] = plan.fold
    p_r, p_accuracy = (_p(value, column) for value, column in zip((r.mean(), accuracy), drawn.T, strict=True))
    return Decoding(
        r, float(r.mean()), accuracy, alpha, back, fold, p_r, p_accuracy, drawn[:, 0].copy(), drawn[:, 1].copy()
    )


def identification(predicted: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Pairwise identification accuracy.

    Parameters
    ----------
    predicted, scores : float[n, d]
        Predictions of n stimuli that one model made, and their true scores, in units that make the d comparable.

    Returns
    -------
    float
        For every stimulus and every other one: does the prediction correlate more with the scores of its own stimulus
        than with those of the other? The share of pairs where it does; ties, such as with a constant prediction, count
        one half.

    Raises
    ------
    InputError
        Shapes disagree or there are fewer than two stimuli.
    """
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if p.shape != y.shape or p.ndim != 2 or len(p) < 2:
        raise InputError(f"shapes {p.shape} and {y.shape} are not those of two or more stimuli", where="identification")
    similar = _unit(p) @ _unit(y).T
    margin = similar.diagonal()[:, None] - similar
    # what differs by rounding is a tie
    wins = np.where(np.abs(margin) <= 1e-12, 0.5, margin > 0)
    n = len(p)
    return float((wins.sum() - 0.5 * n) / (n * (n - 1)))


def _unit(rows: Float) -> Float:
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-12))


def _fold(X: Float, plan: Plan, f: int, alpha: float) -> _Fold:
    """Fit once for all permutations: predictions are linear in the training scores."""
    train, held = plan.outer[f].train, plan.outer[f].held
    mean, spread = X[train].mean(axis=0), X[train].std(axis=0)
    scale = np.where(spread > 1e-9 * np.maximum(np.abs(X[train]).max(axis=0), 1e-300), spread, np.inf)
    a, b = (X[train] - mean) / scale, (X[held] - mean) / scale
    if a.shape[1] <= a.shape[0]:
        hat = b @ np.linalg.solve(a.T @ a + alpha * np.eye(a.shape[1]), a.T)
    else:
        hat = np.linalg.solve(a @ a.T + alpha * np.eye(a.shape[0]), a @ b.T).T
    return _Fold(train, held, np.asarray(hat))


def _score(parts: list[_Fold], Y: Float) -> tuple[Float, Float, float]:
    """Predictions in canonical order, r of each score and identification accuracy; both averaged over folds by rows."""
    predicted, r, accuracy = np.empty_like(Y), np.zeros(Y.shape[1]), 0.0
    for part in parts:
        mean, spread = Y[part.train].mean(axis=0), Y[part.train].std(axis=0)
        z = part.hat @ (Y[part.train] - mean)
        predicted[part.held] = z + mean
        share = len(part.held) / len(Y)
        true = Y[part.held] - mean
        r += share * (_unit(z.T) * _unit(true.T)).sum(axis=1)
        # in units of the training scores' deviation, so that a score of large values does not decide alone
        units = np.where(spread > 0, spread, np.inf)
        accuracy += share * (identification(z / units, true / units) if len(part.held) > 1 else 0.5)
    return predicted, r, accuracy


def _p(observed: float, null: Float) -> float | None:
    # a permutation that comes out the same up to rounding counts as equal
    return float((1 + (null >= observed - 1e-9).sum()) / (1 + null.size)) if null.size else None
