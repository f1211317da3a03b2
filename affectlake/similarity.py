"""Representational similarity matrices of judges: predicted by an embedding, or measured from their answers.

What belongs here: judgments or weights in, n x n similarities out. What does not: brains (``rsa``).
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake._spose_data import check_triplets
from affectlake.errors import InputError

Floats = NDArray[np.float32]

_FLOAT32_SPAN, _FLOAT64_SPAN = 80.0, 600.0
"""Similarities further apart than this have no common exp() in float32 (float64)."""


_ONE_AT_A_TIME = threading.Lock()
"""numba's fallback thread pool does not survive two callers."""


def predicted_rsm(weights: ArrayLike) -> Floats:
    """Similarity of every pair of items as an embedding predicts it: how often the pair would be kept together.

    Parameters
    ----------
    weights : float[n_items, d]

    Returns
    -------
    float32[n_items, n_items]
        For a pair (i, j) the mean over all other items k of exp(s_ij) / (exp(s_ij) + exp(s_ik) + exp(s_jk)), where s
        is the dot product of weights; diagonal 1; symmetric to the bit.

    Raises
    ------
    InputError
        Fewer than three items, or weights that are not finite.

    Notes
    -----
    Hebart et al. 2020. Published programs divide by three different denominators (METHOD.md section 4); this is the
    mean, so that a matrix over a subset of items means the same as one over all.
    """
    w = np.asarray(weights, np.float64)
    if w.ndim != 2 or len(w) < 3 or not np.isfinite(w).all():
        raise InputError(
            f"a predicted RSM needs a finite matrix of at least 3 items, not shape {w.shape}",
            remedy="Leave out items without a vector before",
        )
    from affectlake import _similarity_kernels as kernels

    s: Any = w @ w.T
    np.fill_diagonal(s, s[0, 1])
    top, bottom = s.max(), s.min()
    result = np.empty((len(w), len(w)), np.float32)
    with _ONE_AT_A_TIME:
        if top - bottom > _FLOAT64_SPAN:
            kernels.kept_together_far(s, result)
        else:
            e = np.exp(s - (top + bottom) / 2)
            np.fill_diagonal(e, np.inf)
            kernels.kept_together(e.astype(np.float32) if top - bottom < _FLOAT32_SPAN else e, result)
    return result


def similarities_of(vectors: ArrayLike, *, learnt: bool) -> NDArray[np.float64]:
    """Similarity of every pair of clips in a model's space.

    Parameters
    ----------
    vectors : float[n, d]
    learnt : bool
        True for an embedding of judgments (`predicted_rsm`). Of a feature space it is the correlation of the vectors,
        or of one feature alone minus the absolute difference.

    Returns
    -------
    float64[n, n]
    """
    from affectlake.rsa import brain_rsm

    x = np.asarray(vectors, np.float64)
    if learnt:
        return predicted_rsm(x).astype(np.float64)
    return brain_rsm(x) if x.shape[1] > 1 else np.asarray(-np.abs(x - x.T), np.float64)


def measured_rsm(
    triplets: ArrayLike, n_items: int, *, counts: ArrayLike | None = None, probabilities: ArrayLike | None = None
) -> Floats:
    """Similarity of every pair of items as judged: times kept together / times shown together.

    Parameters
    ----------
    triplets : int[n, 3]
        Judgments, the odd item last; give items of the validation set numbers 0 .. n_items - 1.
    n_items : int
    counts : float[n], optional
        How often each judgment was given.
    probabilities : float[n, 3], optional
        Probability that each column is the odd one, for judges that say it.

    Returns
    -------
    float32[n_items, n_items]
        Diagonal 1; NaN for a pair that was never shown.
    """
    rows = check_triplets(triplets, n_items)
    often = np.ones(len(rows)) if counts is None else np.asarray(counts, np.float64)
    odd = np.tile([0.0, 0.0, 1.0], (len(rows), 1)) if probabilities is None else np.asarray(probabilities, np.float64)
    if often.shape != (len(rows),) or odd.shape != rows.shape:
        raise InputError(
            f"{len(rows)} triplets with counts of shape {often.shape} and probabilities of shape {odd.shape}",
            remedy="Give one count and three probabilities a triplet",
        )
    kept, shown = np.zeros(n_items * n_items), np.zeros(n_items * n_items)
    for left_out, (i, j) in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1))):
        pair = rows[:, i].astype(np.int64) * n_items + rows[:, j]
        kept += np.bincount(pair, often * odd[:, left_out], n_items * n_items)
        shown += np.bincount(pair, often, n_items * n_items)
    together, total = (x.reshape(n_items, n_items) for x in (kept, shown))
    together, total = together + together.T, total + total.T
    rsm = np.divide(together, total, out=np.full((n_items, n_items), np.nan), where=total > 0)
    np.fill_diagonal(rsm, 1)
    return np.asarray(rsm, np.float32)


def upper(rsm: ArrayLike) -> NDArray[np.float64]:
    """Return the upper triangle without the diagonal, row by row, float64[n (n - 1) / 2]."""
    matrix = np.asarray(rsm, np.float64)
    return matrix[np.triu_indices(len(matrix), 1)]
