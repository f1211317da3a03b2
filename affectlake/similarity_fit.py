"""How well predicted similarities fit measured ones.

What belongs here: two similarity matrices in, a correlation with its uncertainty out. What does not: making the
matrices (``similarity``), brains (``rsa``). Definitions: METHOD.md section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake.errors import InputError
from affectlake.quality import Estimate
from affectlake.similarity import predicted_rsm, upper
from affectlake.statistics import bootstrap_correlations

Doubles = NDArray[np.float64]


def rsm_fit(predicted: ArrayLike, measured: ArrayLike, *, bootstraps: int = 1000, seed: int = 0) -> Estimate:
    """Pearson r of two similarity matrices' upper triangles, over pairs that both have.

    Parameters
    ----------
    predicted, measured : float[n, n]
        NaN marks a pair that was never shown.
    bootstraps : int
        Resamples of pairs for the interval, made on Fisher's z.

    Raises
    ------
    InputError
        Fewer than four pairs in common, or no variance in one of the matrices.
    """
    x, y = upper(predicted), upper(measured)
    if x.shape != y.shape:
        raise InputError("the similarity matrices are of different size", remedy="Give both the same items")
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    if len(x) < 4 or not x.std() or not y.std():
        raise InputError(
            f"{len(x)} pairs with values that vary are too few for a correlation",
            remedy="Ask more validation triplets, or leave the score empty",
        )
    r = np.corrcoef(x, y)[0, 1:]
    low, high = bootstrap_correlations(r, x[:, None], y[:, None], draws=bootstraps, seed=seed)
    return Estimate(float(r[0]), float(low[0]), float(high[0]))


def rsm_fit_by_dimensions(
    weights: ArrayLike, measured: ArrayLike, *, bootstraps: int = 1000, seed: int = 0
) -> list[Estimate]:
    """Correlate with the measured RSM for the first 1, 2, ..., d dimensions.

    Parameters
    ----------
    weights : float[n, d]
        Rows of the validation items, dimensions sorted by share.
    measured : float[n, n]
    bootstraps, seed
        As in ``rsm_fit``.

    Returns
    -------
    list of Estimate, length d
        0 where the first dimensions predict the same similarity for every pair.
    """
    w = np.asarray(weights, np.float32)
    result = []
    for k in range(1, w.shape[1] + 1):
        predicted = predicted_rsm(w[:, :k])
        varies = upper(predicted)[np.isfinite(upper(measured))].std() > 1e-9
        result.append(
            rsm_fit(predicted, measured, bootstraps=bootstraps, seed=seed) if varies else Estimate(0.0, 0.0, 0.0)
        )
    return result
