"""Banded ridge: how much of the penalty's freedom each group of features gets.

A candidate is a point on the simplex, one weight a band; features of a band are scaled by the square root of its weight
and ordinary ridge follows (Dupre la Tour et al. 2022, NeuroImage 264:119728, section 2.4). A single band is ordinary
ridge, and so is the first candidate.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from affectlake.errors import InputError

Float = npt.NDArray[np.float64]
CONCENTRATIONS = (0.1, 1.0)  # of the Dirichlet draws: nearly one band alone, and anywhere


def band_candidates(
    bands: npt.ArrayLike | None, features: int, candidates: int, seed: int
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.intp], Float]:
    """Names of the bands, the band of each feature, and the candidates float64[n_candidates, n_bands].

    The first candidate weighs all bands alike, the next ones leave out all but one, the others are drawn.
    """
    if bands is None:
        return np.array(["all"]), np.zeros(features, dtype=np.intp), np.ones((1, 1))
    labels = np.asarray(bands)
    if labels.shape != (features,):
        raise InputError(
            f"has shape {labels.shape}, one label for each of the {features} features is needed",
            where="cross_validate, bands",
        )
    names, codes = np.unique(labels, return_inverse=True)
    fixed = np.vstack([np.full((1, names.size), 1 / names.size), np.eye(names.size)])
    if names.size == 1:
        return names, codes, fixed[:1]
    rng = np.random.default_rng([seed, names.size])
    drawn = [rng.dirichlet([CONCENTRATIONS[k % 2]] * names.size) for k in range(max(0, candidates - len(fixed)))]
    return names, codes, np.vstack([fixed, *drawn])[: max(candidates, 1)]
