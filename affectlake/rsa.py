"""Representational similarity analysis: whether stimuli that a model holds alike evoke alike responses.

Regions here, spheres in `_searchlight`. What does not belong here: how a model's similarities come about
(`affectlake.similarity`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from affectlake._searchlight import searchlight
from affectlake.errors import InputError

__all__ = ["RoiTest", "brain_rsm", "roi", "roi_test", "searchlight"]

Float = npt.NDArray[np.float64]
Method = Literal["pearson", "spearman"]


@dataclass(frozen=True)
class RoiTest:
    """A region's similarity to a model, with its permutation null.

    Attributes
    ----------
    rho : float
        Correlation of the two upper triangles, controls partialled out.
    p : float
        One-sided permutation p.
    null : float64[permutations]
    """

    rho: float
    p: float
    null: Float


def brain_rsm(responses: npt.ArrayLike) -> Float:
    """Pearson correlation between the response patterns of stimuli.

    Parameters
    ----------
    responses : float[n, v]
        One row a stimulus, one column a voxel.

    Returns
    -------
    float64[n, n]
        A stimulus whose pattern does not vary correlates 0 with all others.

    Raises
    ------
    InputError
        There are fewer than three stimuli or two voxels, or a value is not finite.
    """
    patterns = np.asarray(responses, dtype=np.float64)
    if patterns.ndim != 2 or patterns.shape[0] < 3 or patterns.shape[1] < 2:
        raise InputError(
            f"responses have shape {patterns.shape}; at least 3 stimuli x 2 voxels are needed", where="rsa"
        )
    if not np.isfinite(patterns).all():
        raise InputError("a response is NaN or infinite", where="rsa", remedy="Drop such voxels and count them")
    patterns = patterns - patterns.mean(1, keepdims=True)
    length = np.linalg.norm(patterns, axis=1, keepdims=True)
    unit = np.divide(patterns, length, out=np.zeros_like(patterns), where=length > 1e-12 * max(1e-300, length.max()))
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, 1)
    return np.asarray(similarity, dtype=np.float64)


def roi(
    model_rsm: npt.ArrayLike,
    responses: npt.ArrayLike,
    *,
    method: Method = "pearson",
    controls: Sequence[npt.ArrayLike] = (),
) -> float:
    """Correlate a model's similarities of stimuli with a region's.

    Parameters
    ----------
    model_rsm : float[n, n]
        Symmetric similarities in the rows' order of ``responses``; the diagonal is not used.
    responses : float[n, v]
        One row a stimulus.
    method : {"pearson", "spearman"}
        Of the upper triangles.
    controls : sequence of float[n, n]
        Similarities that are partialled out of both sides (ranks of ranks for Spearman).

    Returns
    -------
    float
        0 where either side does not vary.

    Raises
    ------
    InputError
        Shapes disagree, or a value is not finite.

    Notes
    -----
    Kriegeskorte et al. 2008, Front. Syst. Neurosci. 2:4.
    """
    brain, model, basis = _sides(model_rsm, responses, method, controls)
    upper = np.triu_indices(len(brain), 1)
    return _correlation(_residual(brain[upper], basis), _residual(model[upper], basis))


def roi_test(
    model_rsm: npt.ArrayLike,
    responses: npt.ArrayLike,
    *,
    method: Method = "pearson",
    controls: Sequence[npt.ArrayLike] = (),
    null: int = 1000,
    seed: int = 0,
) -> RoiTest:
    """`roi` with a permutation test: the region's stimuli are exchanged against the model's.

    Parameters
    ----------
    model_rsm, responses, method, controls
        As in `roi`.
    null : int
        Permutations, the same ones for every region and model of as many stimuli and the same ``seed``.
    seed : int

    Raises
    ------
    InputError
        As in `roi`, or ``null`` is not positive.

    Notes
    -----
    Exchanging stimuli, not pairs, keeps the dependence of the pairs that share a stimulus (Nili et al. 2014, PLoS
    Comput. Biol. 10:e1003553, "Statistical inference"). With controls, the model's residual is exchanged.
    """
    if null < 1:
        raise InputError(f"{null} permutations were asked for", where="rsa.roi_test", remedy="Ask for at least one")
    brain, model, basis = _sides(model_rsm, responses, method, controls)
    n = len(brain)
    upper = np.triu_indices(n, 1)
    fixed = _standard(_residual(brain[upper], basis))
    moving = np.zeros((n, n))
    moving[upper] = _standard(_residual(model[upper], basis))
    moving += moving.T
    full = np.zeros((n, n), dtype=np.float32)
    full[upper] = fixed
    observed = float(moving[upper] @ fixed)
    rng = np.random.default_rng(seed)
    drawn = np.empty(null)
    narrow = moving.astype(np.float32)
    for k in range(null):
        order = rng.permutation(n)
        drawn[k] = np.vdot(full, narrow[order][:, order])
    return RoiTest(observed, float((1 + (drawn >= observed - 1e-6).sum()) / (1 + null)), drawn)


def _sides(
    model_rsm: npt.ArrayLike, responses: npt.ArrayLike, method: Method, controls: Sequence[npt.ArrayLike]
) -> tuple[Float, Float, Float | None]:
    """Both similarity matrices (ranked for Spearman) and an orthonormal basis of the controls."""
    brain = brain_rsm(responses)
    model, *others = (_similarities(m, len(brain)) for m in (model_rsm, *controls))
    upper = np.triu_indices(len(brain), 1)
    if method == "spearman":
        brain, model = _ranked(brain, upper), _ranked(model, upper)
        others = [_ranked(m, upper) for m in others]
    elif method != "pearson":
        raise InputError(f"unknown method {method!r}", where="rsa.roi", remedy="Use pearson or spearman")
    if not others:
        return brain, model, None
    centred = np.stack([m[upper] - m[upper].mean() for m in others], axis=1)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    return brain, model, left[:, singular > 1e-10 * max(1e-300, singular[0])]


def _similarities(matrix: npt.ArrayLike, n: int) -> Float:
    square = np.asarray(matrix, dtype=np.float64)
    if square.shape != (n, n):
        raise InputError(
            f"similarities have shape {square.shape}, the responses are of {n} stimuli",
            where="rsa",
            remedy="Take the same stimuli in the same order on both sides",
        )
    if not np.isfinite(square).all():
        raise InputError("a similarity is NaN or infinite", where="rsa")
    if not np.allclose(square, square.T, rtol=1e-4, atol=1e-5 * max(1e-300, float(np.abs(square).max()))):
        raise InputError("similarities are not symmetric", where="rsa", remedy="Average the matrix with its transpose")
    return square


def _ranked(matrix: Float, upper: tuple[npt.NDArray[np.intp], ...]) -> Float:
    from scipy.stats import rankdata

    ranks = np.zeros_like(matrix)
    ranks[upper] = rankdata(matrix[upper])
    return np.asarray(ranks + ranks.T)


def _residual(triangle: Float, basis: Float | None) -> Float:
    centred = triangle - triangle.mean()
    return centred if basis is None else np.asarray(centred - basis @ (basis.T @ centred))


def _standard(residual: Float) -> Float:
    length = float(np.linalg.norm(residual))
    return residual / length if length > 1e-12 * residual.size**0.5 else np.zeros_like(residual)


def _correlation(one: Float, other: Float) -> float:
    return float(np.clip(_standard(one) @ _standard(other), -1, 1))
