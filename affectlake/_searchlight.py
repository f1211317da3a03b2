"""Searchlight RSA of many models in one pass, without a stimuli x stimuli matrix a centre.

Let Z (m voxels x n stimuli) hold a sphere's patterns, each centred and of length one, so the sphere's similarities are
B = Z'Z. Pearson's r of the upper triangles of B and of a model A needs three sums over pairs, and all are traces:
the sum of B is |Z 1|^2, the sum of B^2 is |Z Z'|^2 (m x m, for 340 voxels and 2,180 stimuli 6 times less work), and the
sum of A B is the sum over A's eigenpairs of lambda |Z e|^2; diagonals are subtracted. A model's matrix is replaced by
its leading eigenpairs, as many as a comparison with exact scores at sample centres asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from affectlake._ridge import own_threads, resolve_device
from affectlake.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Float = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]

CHECKED_CENTRES = 16  # compared with the exact score before a factor is trusted
TOLERANCE = 3e-4  # of that comparison
GRAM_BLOCKS = 3  # more of them save little and slow the products
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
    with own_threads(light.patterns.numel() * light.patterns.shape[1] * len(light.models)):
        if exact:
            n_models, n = light.models.shape[:2]
            return SearchlightScores(light.run(light.exact, progress), [n] * n_models, np.zeros(n_models))
        factors, error = light.factored(seed)
        return SearchlightScores(light.run(factors.scores, progress), factors.ranks, error)


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
        import torch

        patterns = np.asarray(responses, dtype=np.float32)
        models, grid = np.asarray(model_rsms, dtype=np.float64), np.asarray(ijk)
        _check(models, patterns, grid, radius, shape)
        self.patterns = torch.as_tensor(np.ascontiguousarray(patterns.T), device=device)  # [v, n]
        self.models = np.stack([_standard_triangle(m) for m in models])
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

    def run(self, scores: Callable[[Tensor], Tensor], progress: Callable[[int, int], None] | None) -> Single:
        """Score every centre."""
        voxels = len(self._grid)
        result = np.full((len(self.models), voxels), np.nan, dtype=np.float32)
        for voxel in range(voxels):
            members = self.neighbours(voxel)
            if members.size >= self.min_voxels:
                result[:, voxel] = scores(self.unit(members)).cpu().numpy()
            if progress is not None and (voxel % 256 == 255 or voxel == voxels - 1):
                progress(voxel + 1, voxels)
        return result

    def unit(self, members: Index) -> Tensor:
        """Each stimulus's pattern over ``members``, centred and of length one (or zero): float32[m, n]."""
        import torch

        part = self.patterns[torch.as_tensor(members, device=self.patterns.device)]
        part -= part.mean(0)
        length = part.square().sum(0).sqrt()
        still = length <= 1e-6 * length.max()
        return part.mul_(torch.where(still, 0, 1 / length.clamp(min=1e-30)))

    def exact(self, unit: Tensor) -> Tensor:
        """Scores from the stimuli x stimuli matrix, in float64."""
        import torch

        wide = unit.double()
        n = wide.shape[1]
        upper = torch.ones((n, n), dtype=torch.bool, device=wide.device).triu(1)
        triangle = (wide.T @ wide)[upper]
        triangle = triangle - triangle.mean()
        length = torch.linalg.vector_norm(triangle)
        models = torch.as_tensor(self.models, device=wide.device)[:, upper]
        return (models @ triangle) / length if length > 0 else torch.zeros(len(models), device=wide.device)

    def factored(self, seed: int) -> tuple[_Factors, Float]:
        """Factors of the models, of the rank that the centres checked ask for, and their largest error there."""
        centres = self._centres_to_check(seed)
        ranks = None
        while True:
            factors = _Factors.of(self.models, ranks, self.patterns.device)
            error = np.zeros(len(self.models))
            for unit in centres():
                difference = (factors.scores(unit) - self.exact(unit)).abs()
                error = np.maximum(error, difference.cpu().numpy())
            n = self.models.shape[1]
            if (error <= TOLERANCE).all() or min(factors.ranks) == n:
                return factors, error
            ranks = [min(2 * r, n) if e > TOLERANCE else r for r, e in zip(factors.ranks, error, strict=True)]

    def _centres_to_check(self, seed: int) -> Callable[[], Iterator[Tensor]]:
        order = np.random.default_rng(seed).permutation(len(self._grid))
        members = (self.neighbours(int(v)) for v in order)
        chosen = list(islice((m for m in members if m.size >= self.min_voxels), CHECKED_CENTRES))
        return lambda: (self.unit(m) for m in chosen)


@dataclass(frozen=True)
class _Factors:
    """Leading eigenpairs of all models, stacked."""

    vectors: Tensor  # float32[sum of ranks, n]
    values: Tensor  # float32[sum of ranks]
    owner: Tensor  # int64[sum of ranks], the model
    diagonal: Tensor  # float32[n_models, n], of the factored matrices
    ranks: list[int]

    @classmethod
    def of(cls, models: Float, ranks: list[int] | None, device: torch.device) -> _Factors:
        """Factor standardized, hollow models."""
        import torch

        found = [_factor(m, None if ranks is None else ranks[k]) for k, m in enumerate(models)]
        owner = np.concatenate([np.full(v.size, k) for k, (v, _) in enumerate(found)])
        diagonal = np.stack([(vectors**2) @ values for values, vectors in found])
        return cls(
            torch.as_tensor(np.vstack([vectors.T for _, vectors in found]), device=device).float(),
            torch.as_tensor(np.concatenate([values for values, _ in found]), device=device).float(),
            torch.as_tensor(owner, device=device),
            torch.as_tensor(diagonal, device=device).float(),
            [v.size for v, _ in found],
        )

    def scores(self, unit: Tensor) -> Tensor:
        """Pearson r of each model at one centre: float32[n_models]."""
        import torch

        n = unit.shape[1]
        pairs = n * (n - 1) / 2
        lengths = unit.square().sum(0)
        total = (unit.sum(1).square().sum() - lengths.sum()) / 2
        squares = (_gram_energy(unit) - lengths.square().sum()) / 2
        spread = (squares - total.square() / pairs).clamp(min=0).sqrt()
        energy = (self.vectors @ unit.T).square().sum(1) * self.values
        products = torch.zeros(len(self.ranks), device=unit.device).index_add_(0, self.owner, energy)
        products = (products - self.diagonal @ lengths) / 2
        return products / spread if spread > 0 else torch.zeros_like(products)


def _gram_energy(unit: Tensor) -> Tensor:
    """|Z Z'|^2 from the upper blocks: a third less work than the whole product."""
    step = -(-unit.shape[0] // GRAM_BLOCKS)
    energy = unit.new_zeros(())
    for start in range(0, unit.shape[0], step):
        block = unit[start : start + step] @ unit[start:].T
        energy += 2 * block.square().sum() - block[:, :step].square().sum()
    return energy


def _factor(hollow: Float, rank: int | None) -> tuple[Float, Float]:
    """Eigenvalues and eigenvectors that reproduce the off-diagonal values.

    The diagonal is free, and a hollow matrix is far from low rank; a second decomposition with the diagonal that the
    first one's leading part implies (one step of principal axis factoring) needs fewer pairs.
    """
    n = len(hollow)
    if rank == n:
        values, vectors = np.linalg.eigh(hollow)
        return values, vectors
    filled = hollow + np.diag(np.abs(hollow).max(1))
    for _ in range(2):
        values, vectors = np.linalg.eigh(filled)
        order = np.argsort(-np.abs(values))
        values, vectors = values[order], vectors[:, order]
        if rank is None:
            left = np.sqrt(np.maximum(0, 1 - np.cumsum(values**2) / (values**2).sum()))
            rank = int(np.searchsorted(-left, -FIRST_RESIDUAL)) + 1
        values, vectors = values[:rank], vectors[:, :rank]
        filled = hollow + np.diag((vectors**2) @ values)
    return values, vectors


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
