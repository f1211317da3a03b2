"""The passes over the responses: choose penalties, predict and score. Blocks of targets, so memory stays bounded.

Here belongs what holds features, splits and blocks of responses together. The algebra is in `_ridge`, the choice of a
penalty in `_ridge_selection`, the permutation null in `_encoding_null`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affectlake._encoding_inputs import Steps
from affectlake._encoding_scores import score
from affectlake._encoding_splits import Plan
from affectlake._ridge import Base, Design, RowSet, decompose
from affectlake._ridge_selection import Selection
from affectlake.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Float = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]

CONSTANT = 1e-6  # relative to its mean, a response that varies less is rounding


@dataclass
class Problem:
    """One cross-validation: what is predicted from what, and how the work is cut up."""

    features: Float  # [n, p] in canonical order
    responses: npt.NDArray[np.generic]  # [n, v] as the caller has them
    plan: Plan
    alphas: Float
    bands: Index  # [p]
    candidates: Float  # [n_candidates, n_bands]
    device: torch.device
    steps: Steps
    block: int = field(init=False)

    def __post_init__(self) -> None:
        self.features = self.features - self.features.mean(0)
        few = min(self.features.shape) <= 64
        # few features: the products of a block stay in a core's cache; many: matrix products want long rows
        self.block = 16384 if self.device.type == "cuda" else 512 if few else 1024

    @property
    def folds(self) -> int:
        """Number of outer folds."""
        return len(self.plan.outer)

    @property
    def shared(self) -> bool:
        """All outer folds use one base; more features than rows are rotated in each fold."""
        return bool(self.features.shape[1] <= self.features.shape[0])

    @cached_property
    def base(self) -> Base:
        """The sums over folds that all outer folds share."""
        return Base(self.features, self.plan.fold, self.device)

    def designs(self, candidate: int) -> list[Design]:
        """The features as each outer fold sees them: standardized on its training rows, weighted by band."""
        import torch

        weight = np.sqrt(self.candidates[candidate])[self.bands]
        designs = []
        for split in self.plan.outer:
            train = self.features[split.train]
            spread, size = train.std(0), np.abs(train).max(0)
            varies = spread > 1e-9 * np.maximum(size, 1e-300)
            scale = np.where(varies, weight / np.where(varies, spread, 1), 0)
            if self.shared:
                designs.append(Design(self.base, torch.as_tensor(scale, device=self.device)))
            else:
                designs.append(self._rotated(scale))
        return designs

    def _rotated(self, scale: Float) -> Design:
        """Features in as many coordinates as there are rows: ridge sees only the inner products of rows."""
        import torch

        scaled = torch.as_tensor(self.features * scale, device=self.device)
        values, vectors = torch.linalg.eigh(scaled @ scaled.T)
        coordinates = (vectors * values.clamp(min=0).sqrt()).cpu().numpy()
        base = Base(coordinates, self.plan.fold, self.device)
        return Design(base, torch.ones(coordinates.shape[1], dtype=torch.float64, device=self.device))

    def blocks(self, columns: Index | None = None, size: int | None = None) -> Iterator[Block]:
        """Blocks of targets in canonical row order, each of zero mean and unit variance over all rows."""
        wanted = np.arange(self.responses.shape[1]) if columns is None else columns
        for start in range(0, wanted.size, size or self.block):
            yield Block.of(self, wanted[start : start + (size or self.block)])


@dataclass(frozen=True)
class Block:
    """Some targets' responses. Shifting and scaling a target changes no score and no choice, only float32's room."""

    columns: Index
    values: Tensor  # float32[n, b]
    mean: Tensor  # float32[b]
    spread: Tensor  # float32[b]

    @classmethod
    def of(cls, problem: Problem, columns: Index) -> Block:
        """Gather ``columns``.

        Raises
        ------
        InputError
            A response is NaN or infinite.
        """
        import torch

        run = slice(int(columns[0]), int(columns[-1]) + 1)
        dense = run.stop - run.start == columns.size
        part = problem.responses[:, run] if dense else problem.responses[:, columns]
        values = torch.as_tensor(np.asarray(part[problem.plan.order], dtype=np.float32), device=problem.device)
        mean = values.mean(0)
        values = values - mean
        spread = values.square().mean(0).sqrt()
        if not torch.isfinite(spread).all():
            bad = int((~torch.isfinite(spread)).nonzero()[0, 0])
            row = int(np.flatnonzero(~np.isfinite(np.asarray(part)[:, bad]))[:1].sum())
            raise InputError(
                "is NaN, infinite or too large for float32",
                where=f"cross_validate, responses, row {row}, column {int(columns[bad])}",
                remedy="Drop voxels with missing values before scoring, and count them",
            )
        still = spread <= CONSTANT * mean.abs()
        spread = spread.masked_fill(still, 0)
        values = values * torch.where(spread > 0, 1 / spread, 0)
        return cls(columns, values, mean, spread)


@dataclass(frozen=True)
class Choice:
    """What the inner folds chose for each outer fold and target."""

    alpha: Float  # [folds, v]
    candidate: Index  # [folds, v], row of `Problem.candidates`


def choose(problem: Problem) -> Choice:
    """Choose penalty and band weights of each target in each outer fold."""
    folds, targets = problem.folds, problem.responses.shape[1]
    if problem.alphas.size == 1 and len(problem.candidates) == 1:
        return _no_choice(problem)
    best = np.full((folds, targets), np.inf, dtype=np.float32)
    alpha = np.full((folds, targets), problem.alphas[0])
    candidate = np.zeros((folds, targets), dtype=np.intp)
    for c, f, block, errors in inner_errors(problem):
        error, index = (t.cpu().numpy() for t in errors.min(0))
        better = error < best[f, block.columns]
        chosen = block.columns[better]
        best[f, chosen] = error[better]
        alpha[f, chosen] = problem.alphas[index[better]]
        candidate[f, chosen] = c
    return Choice(alpha, candidate)


def _no_choice(problem: Problem) -> Choice:
    """There is one penalty and nothing else to choose from: there are no inner folds."""
    shape = (problem.folds, problem.responses.shape[1])
    return Choice(np.full(shape, problem.alphas[0]), np.zeros(shape, dtype=np.intp))


def choose_together(problem: Problem, pools: Index) -> Choice:
    """Choose one penalty (and band weights) for all targets of a pool: intp[v], 0, 1, ...

    Every target counts alike, whatever its units: errors are in units of its variance.
    """
    if problem.alphas.size == 1 and len(problem.candidates) == 1:
        return _no_choice(problem)
    n = int(pools.max()) + 1
    totals = np.zeros((problem.folds, len(problem.candidates), problem.alphas.size, n))
    for c, f, block, errors in inner_errors(problem):
        for a, row in enumerate(errors.cpu().numpy()):
            totals[f, c, a] += np.bincount(pools[block.columns], weights=row, minlength=n)
    best = totals.reshape(problem.folds, -1, n).argmin(1)[:, pools]
    candidate, index = np.divmod(best, problem.alphas.size)
    return Choice(problem.alphas[index], candidate)


def inner_errors(problem: Problem) -> Iterator[tuple[int, int, Block, Tensor]]:
    """Yield candidate, outer fold, block of targets and their inner error under each penalty: float32[a, b]."""
    import torch

    alphas = torch.as_tensor(problem.alphas, device=problem.device)
    for c in range(len(problem.candidates)):
        designs = problem.designs(c)
        selections = [
            Selection(d, splits, problem.plan.fold, alphas)
            for d, splits in zip(designs, problem.plan.inner, strict=True)
        ]
        for block in problem.blocks():
            cross = None
            for f, (design, selection) in enumerate(zip(designs, selections, strict=True)):
                if cross is None or not problem.shared:
                    cross = design.base.cross(block.values)
                yield c, f, block, selection.errors(cross, block.values)
        problem.steps.add()


class Fit:
    """The final model of one outer fold: all of its training rows, penalties as chosen."""

    def __init__(self, problem: Problem, design: Design, fold: int) -> None:
        import torch

        split = problem.plan.outer[fold]
        self.base = design.base
        self.parts = decompose(design, RowSet.of(split.train, problem.plan.fold, problem.device))
        self.train = RowSet.of(split.train, problem.plan.fold, problem.device)
        self.project = self.parts.project.float()
        self.held = torch.as_tensor(split.held, device=problem.device)
        self.rows = (self.base.wide[self.held] @ self.parts.project.T).float()

    def filters(self, alpha: Float) -> Tensor:
        """1 / (s + alpha): float32[p, b]."""
        import torch

        penalty = torch.as_tensor(alpha, device=self.parts.values.device)
        return (1 / (self.parts.values[:, None] + penalty)).float()

    def predict(self, block: Block, cross: Tensor, alpha: Float) -> tuple[Tensor, Tensor, Tensor]:
        """Predictions float32[n_held, b] without intercepts, intercepts and squared lengths of weights float32[b]."""
        total = self.base.cross_over(cross, [self.train], block.values)[0]
        weights = (self.project @ total) * self.filters(alpha)
        return self.rows @ weights, total[-1] / self.parts.n, weights.square().sum(0)


@dataclass
class Scores:
    """What `evaluate` fills, column by column."""

    r_by_fold: Single  # [folds, v]
    r2_by_fold: Single
    r_by_run: Single  # [runs, v]
    r2_by_run: Single
    constant: npt.NDArray[np.bool_]  # [folds, v]
    predicted: Single | None  # [n, v] in the caller's row order


def fits(problem: Problem, choice: Choice) -> Iterator[tuple[int, list[Fit]]]:
    """Each candidate that some target chose, with the models of all outer folds."""
    for c in np.unique(choice.candidate):
        designs = problem.designs(int(c))
        yield int(c), [Fit(problem, d, f) for f, d in enumerate(designs)]


def evaluate(problem: Problem, choice: Choice, *, predicted: bool) -> Scores:
    """Predict every held-out row with what was chosen, and score."""
    n, targets = problem.responses.shape
    plan, folds = problem.plan, problem.folds
    scores = Scores(
        np.zeros((folds, targets), np.float32),
        np.zeros((folds, targets), np.float32),
        np.zeros((len(plan.labels), targets), np.float32),
        np.zeros((len(plan.labels), targets), np.float32),
        np.zeros((folds, targets), np.bool_),
        np.empty((n, targets), np.float32) if predicted else None,
    )
    for c, models in fits(problem, choice):
        for block in problem.blocks(np.flatnonzero((choice.candidate == c).any(0))):
            cross = None
            for f, model in enumerate(models):
                if cross is None or not problem.shared:
                    cross = model.base.cross(block.values)
                _score_fold(problem, choice, scores, model, block, cross, f, c)
    problem.steps.add()
    return scores


def _score_fold(
    problem: Problem, choice: Choice, scores: Scores, model: Fit, block: Block, cross: Tensor, f: int, c: int
) -> None:
    mine = choice.candidate[f, block.columns] == c
    columns = block.columns[mine]
    prediction, offset, spread = model.predict(block, cross, choice.alpha[f, block.columns])
    held = problem.plan.outer[f].held
    segment = problem.plan.segment[held]
    result = score(prediction, offset, block.values[model.held], segment - segment[0], spread)
    scores.r_by_fold[f, columns] = result.r.cpu().numpy()[mine]
    scores.r2_by_fold[f, columns] = result.r2.cpu().numpy()[mine]
    scores.constant[f, columns] = result.constant.cpu().numpy()[mine]
    runs = slice(int(segment[0]), int(segment[-1]) + 1)
    scores.r_by_run[runs, columns] = result.r_by_run.cpu().numpy()[:, mine]
    scores.r2_by_run[runs, columns] = result.r2_by_run.cpu().numpy()[:, mine]
    if scores.predicted is not None:
        natural = (prediction + offset) * block.spread + block.mean
        scores.predicted[np.ix_(problem.plan.order[held], columns)] = natural.cpu().numpy()[:, mine]
