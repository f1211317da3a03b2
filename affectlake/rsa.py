"""Representational similarity analysis: whether stimuli that a model holds alike evoke alike responses.

Regions here, spheres in `_searchlight`. What does not belong here: how a model's similarities come about
(`affectlake.similarity`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from affectlake._searchlight import SearchlightScores, searchlight, searchlight_scores
from affectlake.errors import InputError
from affectlake.statistics import permutation_p

__all__ = [
    "RoiTest",
    "SearchlightScores",
    "brain_rsm",
    "roi",
    "roi_test",
    "roi_tests",
    "searchlight",
    "searchlight_scores",
]

Float = npt.NDArray[np.float64]
Method = Literal["pearson", "spearman"]

STACK_BYTES = 512e6  # of regions' similarities held at a time
TIE = 1e-6  # a permutation that rounding in float32 puts below the same arrangement counts as equal


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
    brain = _ranks_of(brain_rsm(responses), method)
    model = _ranks_of(_similarities(model_rsm, len(brain)), method)
    basis = _control_basis([_ranks_of(_similarities(m, len(brain)), method) for m in controls])
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
    """`roi` with a permutation test: `roi_tests` of one model and one region.

    Parameters
    ----------
    model_rsm, responses, method, controls
        As in `roi`.
    null, seed
        As in `roi_tests`.

    Raises
    ------
    InputError
        As in `roi_tests`.
    """
    tests = roi_tests({"": model_rsm}, {"": responses}, method=method, controls=controls, null=null, seed=seed)
    return tests["", ""]


def roi_tests(
    model_rsms: Mapping[str, npt.ArrayLike],
    responses: Mapping[str, npt.ArrayLike],
    *,
    method: Method = "pearson",
    controls: Sequence[npt.ArrayLike] = (),
    null: int = 1000,
    seed: int = 0,
) -> dict[tuple[str, str], RoiTest]:
    """Test every model in every region: the stimuli of the regions are exchanged against the models'.

    All models and regions see the same permutations, so a permuted model is compared with all regions in one product.

    Parameters
    ----------
    model_rsms : dict of str to float[n, n]
        Similarities by model, of the same stimuli.
    responses : dict of str to float[n, v]
        Responses by region, in the same order of stimuli.
    method, controls
        As in `roi`.
    null : int
        Permutations.
    seed : int
        Of the permutations; the same for any models and regions of as many stimuli.

    Returns
    -------
    dict of (model, region) to RoiTest

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
        raise InputError(f"{null} permutations were asked for", where="rsa.roi_tests", remedy="Ask for at least one")
    regions = list(responses)
    at_once = max(1, int(STACK_BYTES / 4 / np.asarray(responses[regions[0]]).shape[0] ** 2)) if regions else 1
    tests: dict[tuple[str, str], RoiTest] = {}
    for start in range(0, len(regions), at_once):
        part = {name: responses[name] for name in regions[start : start + at_once]}
        tests |= _tests(model_rsms, part, method, controls, null, seed)
    return tests


def _tests(
    model_rsms: Mapping[str, npt.ArrayLike],
    responses: Mapping[str, npt.ArrayLike],
    method: Method,
    controls: Sequence[npt.ArrayLike],
    null: int,
    seed: int,
) -> dict[tuple[str, str], RoiTest]:
    """`roi_tests` of as many regions as are held at a time."""
    brains = {name: _ranks_of(brain_rsm(y), method) for name, y in responses.items()}
    n = len(next(iter(brains.values())))
    models = {name: _ranks_of(_similarities(m, n), method) for name, m in model_rsms.items()}
    basis = _control_basis([_ranks_of(_similarities(m, n), method) for m in controls])
    upper = np.triu_indices(n, 1)
    fixed = np.zeros((len(brains), n, n), dtype=np.float32)
    for square, brain in zip(fixed, brains.values(), strict=True):
        square[upper] = _standard(_residual(brain[upper], basis))
    moving = np.zeros((len(models), n, n), dtype=np.float32)
    for square, model in zip(moving, models.values(), strict=True):
        square[upper] = _standard(_residual(model[upper], basis))
    observed = moving.reshape(len(models), -1) @ fixed.reshape(len(brains), -1).T
    moving += moving.transpose(0, 2, 1)
    rng = np.random.default_rng(seed)
    drawn = np.empty((null, len(models), len(brains)))
    for k in range(null):
        order = rng.permutation(n)
        exchanged = moving[:, order][:, :, order].reshape(len(models), -1)
        drawn[k] = exchanged @ fixed.reshape(len(brains), -1).T
    p = permutation_p(observed - TIE, drawn)
    return {
        (model, region): RoiTest(float(observed[i, j]), float(p[i, j]), drawn[:, i, j].copy())
        for i, model in enumerate(models)
        for j, region in enumerate(brains)
    }


def _ranks_of(matrix: Float, method: Method) -> Float:
    """The similarities, or for Spearman the ranks of the upper triangle in both triangles."""
    if method == "pearson":
        return matrix
    if method != "spearman":
        raise InputError(f"unknown method {method!r}", where="rsa.roi", remedy="Use pearson or spearman")
    from scipy.stats import rankdata

    upper = np.triu_indices(len(matrix), 1)
    ranks = np.zeros_like(matrix)
    ranks[upper] = rankdata(matrix[upper])
    return np.asarray(ranks + ranks.T)


def _control_basis(controls: Sequence[Float]) -> Float | None:
    """Orthonormal columns that span the controls' centred triangles."""
    if not controls:
        return None
    upper = np.triu_indices(len(controls[0]), 1)
    centred = np.stack([m[upper] - m[upper].mean() for m in controls], axis=1)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(left[:, singular > 1e-10 * max(1e-300, singular[0])])


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


def _residual(triangle: Float, basis: Float | None) -> Float:
    centred = triangle - triangle.mean()
    return centred if basis is None else np.asarray(centred - basis @ (basis.T @ centred))


def _standard(residual: Float) -> Float:
    length = float(np.linalg.norm(residual))
    return residual / length if length > 1e-12 * residual.size**0.5 else np.zeros_like(residual)


def _correlation(one: Float, other: Float) -> float:
    return float(np.clip(_standard(one) @ _standard(other), -1, 1))
