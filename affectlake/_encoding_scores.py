"""Scores of held-out predictions: Pearson r and R2 in each run and each fold, constant predictions made zero.

Pure functions of predictions and responses. What does not belong here: how predictions are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from affectlake._encoding_splits import Rows

if TYPE_CHECKING:
    from torch import Tensor

# Features have unit variance on the training rows, so a prediction with weights w varies by about |w|. One that varies
# 3e-5 times less is rounding; likewise a response of unit variance overall in a fold where it stands still.
STILL = 1e-9


@dataclass(frozen=True)
class FoldScores:
    """Scores of the held-out rows of one fold for a block of targets."""

    r: Tensor  # float32[b]
    r2: Tensor  # float32[b]
    r_by_run: Tensor  # float32[n_runs_of_fold, b]
    r2_by_run: Tensor  # float32[n_runs_of_fold, b]
    constant: Tensor  # bool[b], the prediction or the response does not vary


def score(prediction: Tensor, offset: Tensor, response: Tensor, segment: Rows, spread: Tensor) -> FoldScores:
    """Score one fold.

    Parameters
    ----------
    prediction, response : float32[n_held, b]
        The prediction without its intercept, whose rounding would make a constant prediction vary.
    offset : float32[b]
        The intercept.
    segment : intp[n_held]
        The run of each row, 0-based within the fold.
    spread : float32[b]
        Squared length of each target's weights, in units of the standardized features.
    """
    import torch

    runs = torch.as_tensor(segment, device=prediction.device)
    indicator = torch.nn.functional.one_hot(runs).T.to(prediction.dtype)
    n = indicator.sum(1, keepdim=True)
    p_mean, y_mean = (indicator @ prediction) / n, (indicator @ response) / n
    p, y = prediction - p_mean[runs], response - y_mean[runs]
    pp, yy, py = indicator @ (p * p), indicator @ (y * y), indicator @ (p * y)
    r_by_run, _ = _pearson(pp, yy, py, n, spread)
    r2_by_run = _r2(pp, yy, py, n, y_mean - p_mean - offset)
    total = n.sum()
    p_all, y_all = (n * p_mean).sum(0) / total, (n * y_mean).sum(0) / total
    dp, dy = p_mean - p_all, y_mean - y_all
    pp, yy, py = ((within + n * between).sum(0) for within, between in ((pp, dp * dp), (yy, dy * dy), (py, dp * dy)))
    r, constant = _pearson(pp, yy, py, total, spread)
    r2 = _r2(pp, yy, py, total, y_all - p_all - offset)
    return FoldScores(r, r2, r_by_run, r2_by_run, constant)


def _r2(pp: Tensor, yy: Tensor, py: Tensor, n: Tensor, shift: Tensor) -> Tensor:
    """R2 about the response's own mean; ``shift`` is by how much the prediction's mean is off."""
    import torch

    residual = yy - 2 * py + pp + n * shift.square()
    return torch.where(yy > STILL * n, 1 - residual / yy.clamp(min=1e-30), torch.zeros_like(yy))


def _pearson(pp: Tensor, yy: Tensor, py: Tensor, n: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    constant = (pp <= STILL * n * spread) | (yy <= STILL * n)
    r = (py / (pp * yy).sqrt().clamp(min=1e-30)).clamp(-1, 1)
    return r.masked_fill(constant, 0), constant
