"""Searchlight RSA of many models in one pass, without a stimuli x stimuli matrix a centre.

Let Z (m voxels x n stimuli) hold a sphere's patterns, each centred and of length one, so the sphere's similarities are
B = Z'Z. Pearson's r of the upper triangles of B and of a model A needs three sums over pairs, and all are traces:
the sum of B is |Z 1|^2, the sum of B^2 is |Z Z'|^2 (m x m, for 340 voxels and 2,180 stimuli 6 times less work), and the
sum of A B is the sum over A's eigenpairs of lambda |Z e|^2; diagonals are subtracted. A model's matrix is replaced by
its leading eigenpairs, as many as a comparison with exact scores at sample centres asks for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from affectlake._ridge import own_threads, resolve_device
from affectlake.errors import InputError

if TYPE_CHECKING:
    import torch

Float = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]
Scorer = Callable[[Index], Float]
"""Pearson r of each model at the centre around which these voxels lie."""

STILL = 1e-6  # patterns shorter than so much of the longest one do not vary over the sphere
CHECKED_CENTRES = 16  # compared with the exact score before a factor is trusted
TOLERANCE = 3e-4  # of that comparison
CENTRES_AT_ONCE = 64  # that a thread takes at a time
FIRST_PAIRS = 32  # eigenpairs that are computed first
FIRST_RESIDUAL = 0.2  # relative residual of a model's off-diagonal values that the first factor may leave


def searchlight(
    model_rsms: npt.ArrayLike,
    responses: npt.ArrayLike,
    ijk: npt.ArrayLike,
    *,
    radius: float,
    shape: Literal["sphere", "cube"] = "sphere",
    min_voxels: int = 2,
    exact: bool = False,
    device: str = "auto",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Single:
    """Correlate models' similarities of stimuli with those of the sphere around each voxel.

    Parameters
    ----------
    model_rsms : float[n_models, n, n]
        Symmetric similarities in the rows' order of ``responses``; diagonals are not used.
    responses : float[n, v]
        One row a stimulus, one column a voxel.
    ijk : int[v, 3]
        Grid coordinates of the voxels.
    radius : float
        In voxels. A sphere holds the voxels at most this far, a cube those at most this far along each axis
        (3: 7 x 7 x 7).
    shape : {"sphere", "cube"}
    min_voxels : int
        Centres with fewer voxels around them (themselves included) are not scored.
    exact : bool
        Form the stimuli x stimuli matrix at each centre, in float64: slow, to check with.
    device : {"auto", "cpu", "cuda"}
    seed : int
        Of the centres at which the fast form is checked.
    progress : callable, optional
        Called with centres done and centres in all.

    Returns
    -------
    float32[n_models, v]
        Pearson r of the upper triangles, NaN where ``min_voxels`` was not met, 0 where one side does not vary. The fast
        form is within 3e-4 of the exact one at 16 centres drawn to check it, or uses the models as they are.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, or two voxels have the same coordinates.

    Notes
    -----
    Kriegeskorte et al. 2006, PNAS 103:3863 (the searchlight); Du et al. 2025, Nature Machine Intelligence 7:860, use
    cubes of radius 3 and Pearson's r.
    """
    return searchlight_scores(
        model_rsms,
        responses,
        ijk,
        radius=radius,
        shape=shape,
        min_voxels=min_voxels,
        exact=exact,
        device=device,
        seed=seed,
        progress=progress,
    ).scores


@dataclass(frozen=True)
class SearchlightScores:
    """What `searchlight` returns, and how good its factors of the models are.

    Attributes
    ----------
    scores : float32[n_models, v]
    ranks : list of int
        Eigenpairs that stand for each model; as many as stimuli where the model is used as it is.
    error : float64[n_models]
        Largest difference from the exact score at the centres checked; 0 in exact mode.
    """

    scores: Single
    ranks: list[int]
    error: Float


def searchlight_scores(
    model_rsms: npt.ArrayLike,
    responses: npt.ArrayLike,
    ijk: npt.ArrayLike,
    *,
    radius: float,
    shape: Literal["sphere", "cube"] = "sphere",
    min_voxels: int = 2,
    exact: bool = False,
    device: str = "auto",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> SearchlightScores:
    """`searchlight`, with the error of its factors.

    Parameters
    ----------
    model_rsms, responses, ijk, radius, shape, min_voxels, exact, device, seed, progress
        As in `searchlight`.
    """
    light = _Light(model_rsms, responses, ijk, radius, shape, min_voxels, resolve_device(device))
    with own_threads(light.patterns.size * light.patterns.shape[1] * len(light.models)):
        if exact:
            n_models, n = light.models.shape[:2]
            return SearchlightScores(light.run(lambda: light.exact, progress), [n] * n_models, np.zeros(n_models))
        factors, error = light.factored(seed)
        return SearchlightScores(light.run(lambda: light.fast(factors), progress), factors.ranks, error)


class _Light:
    """The data of one searchlight: patterns, neighbours and standardized models."""

    def __init__(
        self,
        model_rsms: npt.ArrayLike,
        responses: npt.ArrayLike,
        ijk: npt.ArrayLike,
        radius: float,
        shape: str,
        min_voxels: int,
        device: torch.device,
    ) -> None:
        patterns = np.asarray(responses, dtype=np.float32)
        models, grid = np.asarray(model_rsms, dtype=np.float64), np.asarray(ijk)
        _check(models, patterns, grid, radius, shape)
        self.patterns = np.ascontiguousarray(patterns.T)  # [v, n]
        self.models = np.stack([_standard_triangle(m).astype(np.float32) for m in models])
        self.device = device
        self.min_voxels = max(min_voxels, 2)
        self._grid = grid.astype(np.intp) - grid.min(0)
        self._offsets = _offsets(radius, shape)
        self._lookup = np.full(self._grid.max(0) + 1, -1, dtype=np.intp)
        self._lookup[tuple(self._grid.T)] = np.arange(len(grid))

    def neighbours(self, voxel: int) -> Index:
        """Voxels around ``voxel``, itself included."""
        around = self._grid[voxel] + self._offsets
        inside = ((around >= 0) & (around < self._lookup.shape)).all(1)
        found = self._lookup[tuple(around[inside].T)]
        return np.asarray(found[found >= 0])

    def run(self, scorer: Callable[[], Scorer], progress: Callable[[int, int], None] | None) -> Single:
        """Score every centre; each thread has a scorer of its own and takes the next few centres that are left."""
        import torch
        from threadpoolctl import threadpool_limits

        voxels = len(self._grid)
        result = np.full((len(self.models), voxels), np.nan, dtype=np.float32)
        mine = threading.local()

        def score(start: int) -> int:
            if not hasattr(mine, "scorer"):
                mine.scorer = scorer()
            stop = min(start + CENTRES_AT_ONCE, voxels)
            for voxel in range(start, stop):
                members = self.neighbours(voxel)
                if members.size >= self.min_voxels:
                    result[:, voxel] = mine.scorer(members)
            return stop - start

        threads = 1 if self.device.type == "cuda" else torch.get_num_threads()
        done = 0
        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            for n in pool.map(score, range(0, voxels, CENTRES_AT_ONCE)):
                done += n
                if progress is not None:
                    progress(done, voxels)
        return result

    def exact(self, members: Index) -> Float:
        """Scores from the stimuli x stimuli matrix, in float64."""
        import torch

        part = torch.as_tensor(self.patterns[members], device=self.device).double()
        part -= part.mean(0)
        length = torch.linalg.vector_norm(part, dim=0)
        wide = torch.where(length > STILL * length.max(), part / length, 0)
        n = wide.shape[1]
        upper = torch.ones((n, n), dtype=torch.bool, device=self.device).triu(1)
        triangle = (wide.T @ wide)[upper]
        triangle = triangle - triangle.mean()
        spread = torch.linalg.vector_norm(triangle)
        if not spread > 0:
            return np.zeros(len(self.models))
        models = (torch.as_tensor(model, device=self.device)[upper].double() for model in self.models)
        return np.array([float(model @ triangle / spread) for model in models])

    def fast(self, factors: Factors) -> Scorer:
        """What scores one centre after the other on this device."""
        return _OnCard(self, factors) if self.device.type == "cuda" else _OnCore(self, factors)

    def factored(self, seed: int) -> tuple[Factors, Float]:
        """Factors of the models, of the rank that the centres checked ask for, and their largest error there."""
        chosen = self._centres_to_check(seed)
        exact = [self.exact(members) for members in chosen]
        ranks = None
        while True:
            factors = Factors.of(self.models, ranks)
            score, error = self.fast(factors), np.zeros(len(self.models))
            for members, wanted in zip(chosen, exact, strict=True):
                error = np.maximum(error, np.abs(score(members) - wanted))
            n = self.models.shape[1]
            if (error <= TOLERANCE).all() or min(factors.ranks) == n:
                return factors, error
            ranks = [min(2 * r, n) if e > TOLERANCE else r for r, e in zip(factors.ranks, error, strict=True)]

    def _centres_to_check(self, seed: int) -> list[Index]:
        order = np.random.default_rng(seed).permutation(len(self._grid))
        members = (self.neighbours(int(v)) for v in order)
        return list(islice((m for m in members if m.size >= self.min_voxels), CHECKED_CENTRES))


@dataclass(frozen=True)
class Factors:
    """Leading eigenpairs of all models, stacked."""

    vectors: Single  # [sum of ranks, n]
    values: Float  # [sum of ranks]
    diagonal: Float  # [n_models, n], of the factored matrices
    ranks: list[int]

    @classmethod
    def of(cls, models: Single, ranks: list[int] | None) -> Factors:
        """Factor standardized, hollow models."""
        found = [_factor(m.astype(np.float64), None if ranks is None else ranks[k]) for k, m in enumerate(models)]
        return cls(
            np.vstack([vectors.T for _, vectors in found]).astype(np.float32),
            np.concatenate([values for values, _ in found]),
            np.stack([(vectors**2) @ values for values, vectors in found]),
            [v.size for v, _ in found],
        )

    def scores(self, energy: Float, lengths: Float, total: float, squares: float) -> Float:
        """Pearson r of each model from the sums over a sphere's patterns Z.

        Parameters
        ----------
        energy : float[sum of ranks]
            |Z e|^2 of each eigenvector.
        lengths : float[n]
            Squared length of each stimulus's pattern: 1, or 0 where it does not vary.
        total, squares : float
            |Z 1|^2 and |Z Z'|^2.
        """
        n, still = lengths.size, lengths.sum()
        total, squares = (total - still) / 2, (squares - still) / 2
        spread = max(squares - total * total / (n * (n - 1) / 2), 0.0) ** 0.5
        if not spread > 0:
            return np.zeros(len(self.ranks))
        firsts = np.cumsum([0, *self.ranks[:-1]])
        products = np.add.reduceat(energy * self.values, firsts) - self.diagonal @ lengths
        return np.asarray(products / (2 * spread))


class _OnCore:
    """Scores centres on one core of the CPU, in memory that it keeps from centre to centre."""

    def __init__(self, light: _Light, factors: Factors) -> None:
        self._patterns, self._factors = light.patterns, factors
        most, n = min(len(light._offsets), len(light.patterns)), light.patterns.shape[1]
        self._unit = np.empty((most, n), dtype=np.float32)
        self._gram = np.empty(most * most, dtype=np.float32)
        self._projected = np.empty(len(factors.vectors) * most, dtype=np.float32)
        self._mean, self._scale = np.empty(n, dtype=np.float32), np.empty(n, dtype=np.float32)

    def __call__(self, members: Index) -> Float:
        from affectlake import _searchlight_kernels as kernels

        m, unit = members.size, self._unit[: members.size]
        total = kernels.unit_patterns(self._patterns, members, STILL, unit, self._mean, self._scale)
        gram = self._gram[: m * m].reshape(m, m)
        np.matmul(unit, unit.T, out=gram)  # numpy takes BLAS's symmetric product, and lets other threads go on
        projected = self._projected[: len(self._factors.vectors) * m].reshape(-1, m)
        np.matmul(self._factors.vectors, unit.T, out=projected)
        lengths = (self._scale > 0).astype(np.float64)
        return self._factors.scores(_row_energy(projected), lengths, total, float(_row_energy(gram).sum()))


def _row_energy(matrix: Single) -> Float:
    """Sum of squares of each row."""
    return np.asarray(np.einsum("rm,rm->r", matrix, matrix), dtype=np.float64)


class _OnCard:
    """Scores centres on a graphics card."""

    def __init__(self, light: _Light, factors: Factors) -> None:
        import torch

        self._factors = factors
        self._patterns = torch.as_tensor(light.patterns, device=light.device)
        self._vectors = torch.as_tensor(factors.vectors, device=light.device)

    def __call__(self, members: Index) -> Float:
        import torch

        part = self._patterns[torch.as_tensor(members, device=self._patterns.device)]
        part -= part.mean(0)
        length = torch.linalg.vector_norm(part, dim=0)
        varies = length > STILL * length.max()
        unit = torch.where(varies, part / length, 0)
        energy = (self._vectors @ unit.T).square().sum(1)
        sums = torch.stack([unit.sum(1).square().sum(), (unit @ unit.T).square().sum()]).double().cpu()
        return self._factors.scores(
            np.asarray(energy.double().cpu()), np.asarray(varies.double().cpu()), float(sums[0]), float(sums[1])
        )


def _factor(hollow: Float, rank: int | None) -> tuple[Float, Float]:
    """Eigenvalues and eigenvectors that reproduce the off-diagonal values.

    The diagonal is free, and a hollow matrix is far from low rank; a second decomposition with the diagonal that the
    first one's leading part implies (one step of principal axis factoring) needs fewer pairs.
    """
    n = len(hollow)
    if rank == n:
        values, vectors = np.linalg.eigh(hollow)
        return values, vectors
    values, vectors = _leading(hollow + np.diag(np.abs(hollow).max(1)), rank)
    return _leading(hollow + np.diag((vectors**2) @ values), len(values))


def _leading(matrix: Float, rank: int | None) -> tuple[Float, Float]:
    """The eigenpairs of largest size: ``rank`` of them, or as many as leave a residual of ``FIRST_RESIDUAL``."""
    from scipy.sparse.linalg import eigsh

    n, square = len(matrix), float((matrix**2).sum())
    if square == 0:  # a model that tells no clips apart
        return np.zeros(1), np.eye(n, 1)
    most = rank or FIRST_PAIRS
    while True:
        if most < n // 4:
            begin = np.random.default_rng(0).standard_normal(n)
            values, vectors = eigsh(matrix, k=most, which="LM", v0=begin)
        else:
            values, vectors = np.linalg.eigh(matrix)
        order = np.argsort(-np.abs(values))
        values = values[order]
        left = np.sqrt(np.maximum(0, 1 - np.cumsum(values**2) / square))
        needed = rank or int(np.searchsorted(-left, -FIRST_RESIDUAL)) + 1
        if needed <= len(values):
            return values[:needed], vectors[:, order[:needed]]
        most *= 2


def _standard_triangle(model: Float) -> Float:
    """Off-diagonal values centred and of unit length over the upper triangle, the diagonal zero."""
    hollow = (model + model.T) / 2
    n = len(hollow)
    np.fill_diagonal(hollow, 0)
    hollow -= hollow.sum() / (n * (n - 1))
    np.fill_diagonal(hollow, 0)
    length = float(np.linalg.norm(hollow)) / 2**0.5
    return np.asarray(hollow / length if length > 1e-12 * n else np.zeros_like(hollow))


def _offsets(radius: float, shape: str) -> Index:
    reach = int(np.floor(radius))
    axis = np.arange(-reach, reach + 1)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return cube if shape == "cube" else cube[(cube**2).sum(1) <= radius**2 + 1e-9]


def _check(models: Float, patterns: Single, grid: npt.NDArray[np.generic], radius: float, shape: str) -> None:
    where = "rsa.searchlight"
    n = patterns.shape[0]
    if patterns.ndim != 2 or n < 3 or models.ndim != 3 or models.shape[1:] != (n, n):
        raise InputError(
            f"models have shape {models.shape}, responses {patterns.shape}", where=where, remedy="Give models x n x n"
        )
    if grid.shape != (patterns.shape[1], 3) or grid.dtype.kind not in "iu":
        raise InputError(
            f"coordinates have shape {grid.shape} and type {grid.dtype}, integers v x 3 are needed", where=where
        )
    if len(np.unique(grid, axis=0)) != len(grid):
        raise InputError("two voxels have the same coordinates", where=where)
    if not (np.isfinite(models).all() and np.isfinite(patterns).all()):
        raise InputError("a similarity or response is NaN or infinite", where=where)
    if radius < 1 or shape not in ("sphere", "cube"):
        raise InputError(f"radius {radius} and shape {shape!r} make no neighbourhood", where=where)
