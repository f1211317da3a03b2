"""The permutation null: features exchanged within runs, models refitted, penalties kept.

An exchange within the strata of `_encoding_splits` leaves every training and held-out covariance of the features as it
is. So the decompositions of the observed fit serve all permutations and only X'Y is new: that product is nearly the
whole cost. All voxels see the same permutations, which keeps their dependence, so the null of a region's mean or of the
maximum over voxels is a by-product.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affectlake._encoding_engine import Block, Choice, Fit, Problem, fits
from affectlake._encoding_splits import permutations
from affectlake._ridge import Base, RowSet

if TYPE_CHECKING:
    from torch import Tensor

Float = npt.NDArray[np.float64]

AT_ONCE = 8  # permutations stacked in one matrix product
BLOCK = 256  # targets at once: with AT_ONCE and tens of features everything stays in a core's cache
STACK_BYTES = 64e6  # of permuted features held at a time; each filling passes over the responses once


@dataclass(frozen=True)
class Null:
    """Scores under permutation."""

    exceed: npt.NDArray[np.int64]  # [v], permutations that score at least as high as observed
    maximum: Float  # [null], the highest voxel
    groups: Float  # [null, groups], mean over each group's voxels


class _Held:
    """One fold's model with its held-out rows, centred, in the eigenbasis: what a permutation is scored with."""

    def __init__(self, problem: Problem, model: Fit, fold: int) -> None:
        import torch

        held = RowSet.of(problem.plan.outer[fold].held, problem.plan.fold, problem.device)
        gram = model.base.gram(held)
        basis, n = model.parts.project[:, :-1], gram[-1, -1]
        mean = gram[:-1, -1] / n
        centred = gram[:-1, :-1] - n * torch.outer(mean, mean)
        self.model, self.fold = model, fold
        self.share = float(n) / len(problem.plan.order)
        self.project = torch.hstack([basis, -(basis @ mean)[:, None]]).float()
        self.covariance = (basis @ centred @ basis.T).float()

    def score(self, cross: Tensor, total: Tensor, filters: Tensor) -> Tensor:
        """Pearson r of each permutation, times the held-out responses' norm: float32[k, b].

        Parameters
        ----------
        cross, total : float32[p + 1, k * b]
            (X, 1)'Y over the held-out and over the training rows.
        filters : float32[p, b]
        """
        k = cross.shape[1] // filters.shape[1]
        weights = self.model.project @ total
        weights.view(filters.shape[0], k, -1).mul_(filters[:, None])
        covariance = (self.project @ cross).mul_(weights).sum(0)
        variance = (self.covariance @ weights).mul_(weights).sum(0)
        return (covariance * variance.clamp_(min=1e-30).rsqrt_()).view(k, -1)


class _Stack:
    """The features of one base under several permutations, side by side."""

    def __init__(self, base: Base, rows: Tensor) -> None:
        self.base, self.k = base, rows.shape[1]
        # [n, k, p + 1] -> [n, (p + 1) * k]: a product with responses then is [p + 1, k * b] without a copy
        self.rows = base.narrow[rows].permute(0, 2, 1).flatten(1)

    def cross(self, responses: Tensor) -> Tensor:
        """(X, 1)'Y of each fold: float32[n_folds, p + 1, k * b]."""
        import torch

        folds = self.base.folds
        products = responses.new_empty(len(folds), self.rows.shape[1], responses.shape[1])
        for fold, product in zip(folds, products, strict=True):
            torch.mm(self.rows[fold].T, responses[fold], out=product)
        return products.view(len(folds), self.rows.shape[1] // self.k, -1)

    def over(self, cross: Tensor, sets: list[RowSet], responses: Tensor) -> Tensor:
        """(X, 1)'Y over each of several row sets: float32[n_sets, p + 1, k * b]."""
        import torch

        weights = torch.stack([rows.folds for rows in sets]).float()
        total = (weights @ cross.flatten(1)).view(len(sets), *cross.shape[1:])
        for i, rows in enumerate(sets):
            if rows.less.numel():
                total[i] -= (self.rows[rows.less].T @ responses[rows.less]).view(total.shape[1:])
        return total


@dataclass(frozen=True)
class _Fold:
    """A fold's model and a block's share in it: the targets that use this model, their penalties and norms."""

    held: _Held
    filters: Tensor  # float32[p, b]
    scale: Tensor  # float32[b], from `_Held.score` to this fold's part of the mean r


def run_null(
    problem: Problem,
    choice: Choice,
    observed: npt.NDArray[np.float32],
    constant: npt.NDArray[np.bool_],
    members: Float,
    *,
    count: int,
    seed: int,
) -> Null:
    """Score ``count`` permutations.

    Parameters
    ----------
    observed : float32[v]
        Scores to count exceedances of.
    constant : bool[folds, v]
        Where the observed prediction or response is constant, which no permutation changes.
    members : float64[v, groups]
        Share of each voxel in each group's mean.
    """
    import torch

    held = [(c, _Held(problem, model, f)) for c, models in fits(problem, choice) for f, model in enumerate(models)]
    null = Null(
        np.zeros(observed.size, np.int64), np.full(count, -np.inf), np.zeros((count, members.shape[1]), np.float64)
    )
    bases = {id(h.model.base): h.model.base for _, h in held}
    stacked_bytes = sum(b.narrow.nbytes for b in bases.values())
    at_a_time = AT_ONCE * max(1, int(STACK_BYTES / stacked_bytes / AT_ONCE))
    source = permutations(problem.plan, count, seed)
    done = 0
    while batch := list(islice(source, at_a_time)):
        rows = torch.as_tensor(np.stack(batch, axis=1), device=problem.device)
        stacks = {key: [_Stack(base, part) for part in torch.split(rows, AT_ONCE, 1)] for key, base in bases.items()}
        for block in problem.blocks(size=BLOCK):
            threshold = torch.as_tensor(observed[block.columns], device=problem.device)
            share = torch.as_tensor(members[block.columns], device=problem.device)
            r = _block_scores(_folds(choice, constant, held, block), stacks, block)
            null.exceed[block.columns] += (r >= threshold).sum(0).cpu().numpy()
            at = slice(done, done + len(batch))
            null.maximum[at] = np.maximum(null.maximum[at], r.max(1).values.cpu().numpy())
            null.groups[at] += (r.double() @ share).cpu().numpy()
        done += len(batch)
        problem.steps.add(len(batch))
    return null


def _folds(
    choice: Choice, constant: npt.NDArray[np.bool_], held: list[tuple[int, _Held]], block: Block
) -> dict[int, list[_Fold]]:
    """The models that a block's targets use, by the features' base."""
    import torch

    used: dict[int, list[_Fold]] = {}
    for candidate, h in held:
        mine = choice.candidate[h.fold, block.columns] == candidate
        if not mine.any():
            continue
        y = block.values[h.model.held]
        norm = torch.linalg.vector_norm(y - y.mean(0), dim=0)
        counted = torch.as_tensor(mine & ~constant[h.fold, block.columns], device=y.device)
        scale = torch.where(counted, h.share / norm.clamp(min=1e-30), 0)
        filters = h.model.filters(choice.alpha[h.fold, block.columns])
        used.setdefault(id(h.model.base), []).append(_Fold(h, filters, scale))
    return used


def _block_scores(used: dict[int, list[_Fold]], stacks: dict[int, list[_Stack]], block: Block) -> Tensor:
    """Mean r over folds of every stacked permutation: float32[permutations, b]."""
    import torch

    results: list[Tensor] = []
    for key, folds in used.items():
        for i, stack in enumerate(stacks[key]):
            cross = stack.cross(block.values)
            totals = stack.over(cross, [f.held.model.train for f in folds], block.values)
            parts = [
                f.held.score(cross[f.held.fold], total, f.filters) * f.scale
                for f, total in zip(folds, totals, strict=True)
            ]
            mean = torch.stack(parts).sum(0)
            if i < len(results):
                results[i] += mean
            else:
                results.append(mean)
    return torch.cat(results)
