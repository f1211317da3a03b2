"""The embedding on the processor: annealed Adam over the fused kernels, and the choice of l1.

What belongs here: schedules and the path over l1. What does not: loops over triplets (``_spose_kernels``), checks of
input (``_spose_data``), the public names (``spose``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from affectlake._spose_data import Batches, Floats, Judgments, batches

ALIVE = 0.1
"""A dimension is kept if one of its weights is above this (published pruning rule, METHOD.md section 3)."""

BETAS = np.array([0.9, 0.99], np.float32)
LANES = 32
"""Widths are padded to whole blocks of the kernels; padded columns are zero and stay zero."""

_LINE = 64
"""Bytes of a cache line: a block's row begins on one, or it would touch three instead of two."""

Progress = Callable[[float, str], None]


@dataclass
class State:
    """Weights, Adam's moments and position intercepts of one run; ``width`` columns are real, the rest is padding."""

    weights: Floats
    intercepts: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    moments: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    intercept_moments: Floats = field(default_factory=lambda: np.zeros((2, 3), np.float32))
    taken: int = 0

    def __post_init__(self) -> None:
        if self.moments.size == 0:
            self.moments = np.zeros((2, *self.weights.shape), np.float32)

    def compact(self) -> None:
        """Drop columns that are zero everywhere: no gradient can bring them back."""
        alive = np.flatnonzero(self.weights.any(axis=0))
        if padded(len(alive)) < self.weights.shape[1]:
            self.moments = np.stack([pad(x[:, alive]) for x in self.moments])
            self.weights = pad(self.weights[:, alive])

    def copy(self) -> State:
        """Return an independent copy."""
        return State(
            self.weights.copy(), self.intercepts.copy(), self.moments.copy(), self.intercept_moments.copy(), self.taken
        )


def padded(width: int) -> int:
    """Round ``width`` up to whole blocks."""
    return max(LANES, -(-width // LANES) * LANES)


def pad(weights: Floats) -> Floats:
    """Return ``weights`` with zero columns up to whole blocks, C-contiguous."""
    result = np.zeros((len(weights), padded(weights.shape[1])), np.float32)
    result[:, : weights.shape[1]] = weights
    return result


def blocked(weights: Floats) -> Floats:
    """Return ``weights``, float32[n, d], as the kernels take them: float32[blocks, n, 32], at the start of a line."""
    n, blocks = len(weights), padded(weights.shape[1]) // LANES
    room = np.zeros(blocks * n * LANES + _LINE // 4, np.float32)
    skip = (-room.ctypes.data % _LINE) // 4
    result = room[skip : skip + blocks * n * LANES].reshape(blocks, n, LANES)
    for k in range(blocks):
        part = weights[:, k * LANES : (k + 1) * LANES]
        result[k, :, : part.shape[1]] = part
    return result


def whole(blocks: Floats) -> Floats:
    """Undo ``blocked``: float32[n, padded width]."""
    return np.ascontiguousarray(blocks.transpose(1, 0, 2)).reshape(blocks.shape[1], -1)


def run(
    state: State,
    data: Batches,
    order: NDArray[np.int64],
    rates: Floats,
    l1s: Floats,
    *,
    published: bool = False,
    betas: Floats = BETAS,
) -> Floats:
    """Take one Adam step for each batch in ``order``; return the mean loss of each batch before its step."""
    from affectlake import _spose_kernels as kernels

    weights, first, second = (blocked(x) for x in (state.weights, *state.moments))
    losses = np.zeros(len(order), np.float32)
    kernels.steps(
        weights, first, second, data.judgments.data, data.index, order,
        np.asarray(rates, np.float32), np.asarray(l1s, np.float32) / np.float32(data.judgments.n_items),
        np.float32(len(data) / data.judgments.total), state.taken, betas,
        kernels.PUBLISHED if published else kernels.PLAIN, state.intercepts, state.intercept_moments, losses,
    )  # fmt: skip
    state.weights, state.moments = whole(weights), np.stack([whole(first), whole(second)])
    state.taken += len(order)
    return losses


def evaluate(weights: Floats, data: Judgments, intercepts: Floats | None = None) -> tuple[Floats, NDArray[np.int8]]:
    """Return each judgment's weighted loss and its verdict (1 right, 0 wrong, -1 tied at the top)."""
    from affectlake import _spose_kernels as kernels

    losses = np.zeros(len(data), np.float32)
    verdicts = np.zeros(len(data), np.int8)
    bias = np.zeros(3, np.float32) if intercepts is None else intercepts
    kernels.score(blocked(weights), *data.data, bias, losses, verdicts)
    return losses, verdicts


def anneal(peak: float, steps: int, *, warm: int = 50, floor: float = 0.0) -> Floats:
    """Learning rates that rise over ``warm`` steps and fall by a half cosine to ``floor`` times the peak."""
    t = np.arange(steps) / max(1, steps)
    cosine = floor + (1 - floor) * 0.5 * (1 + np.cos(np.pi * t))
    return np.asarray(peak * cosine * np.minimum(1, (np.arange(steps) + 1) / warm), np.float32)


def batch_order(n_batches: int, steps: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Every batch once a pass, in a new random order each pass."""
    passes = -(-steps // n_batches)
    return np.concatenate([rng.permutation(n_batches) for _ in range(passes)])[:steps].astype(np.int64)


def batch_size(data: Judgments) -> int:
    """Judgments a step: each item stands in about twelve; fewer than ten steps a pass only where judgments are few.

    Smaller batches are as fast a pass, but their noise, held against zero by the penalty, kills weak dimensions.
    """
    return max(1, min(max(4 * data.n_items, 512), max(16, len(data) // 10)))


def start(n_items: int, dimensions: int, rng: np.random.Generator) -> State:
    """Weights uniform on 0 .. 0.4: far enough from zero, which attracts, and from each other."""
    return State(pad(rng.uniform(0, 0.4, size=(n_items, dimensions)).astype(np.float32)))


def warm_start(first: Floats, n_items: int, rng: np.random.Generator) -> State:
    """Start from ``first``; items that it does not know start at random within each dimension's own range."""
    new = rng.uniform(0, 2, size=(n_items - len(first), first.shape[1])).astype(np.float32)
    return State(pad(np.vstack([first, new * first.mean(axis=0)])))


PEAK, WALK_PEAK, WARM_PEAK = 0.04, 0.03, 0.01
STEPS, WARM_STEPS = 5000, 1000
PASSES, WARM_PASSES = 3, 1
RAMP = 0.3
PARTS = 20
"""A descent tells of itself, and may be taken up again, after each of so many parts."""


@dataclass(frozen=True)
class Plan:
    """Learning rate and penalty of every step."""

    rates: Floats
    l1s: Floats


def plan(n_batches: int, l1: float, *, warm: bool = False, steps: int | None = None) -> Plan:
    """Plan a fit of ``steps``, or of as many as ``n_batches`` a pass need.

    From random weights the penalty rises over the first third: from the first step on it would kill dimensions before
    the data have told them apart (PERFORMANCE.md, traps). A warm start has told them apart and moves less.
    """
    if warm:
        total = steps or max(WARM_STEPS, WARM_PASSES * n_batches)
        return Plan(anneal(WARM_PEAK if steps is None else WALK_PEAK, total), np.full(total, l1, np.float32))
    total = steps or max(STEPS, PASSES * n_batches)
    ramp = np.minimum(1, np.arange(total) / (RAMP * total))
    return Plan(anneal(PEAK, total), np.asarray(l1 * ramp, np.float32))


def descend(
    state: State,
    data: Judgments,
    l1: float,
    rng: np.random.Generator,
    *,
    warm: bool,
    say: Callable[[float, float], None],
    done: Sequence[float] = (),
    keep: Callable[[State, Sequence[float]], None] | None = None,
) -> list[float]:
    """Minimise the objective from ``state``; return the training loss of each twentieth of the way.

    ``done`` are the losses of the parts that led to ``state`` from where ``rng`` was the same; they are not done again.
    ``keep`` is handed state and losses after each part.
    """
    batched = batches(data, batch_size(data), rng)
    planned = plan(len(batched), l1, warm=warm)
    total = len(planned.rates)
    order = batch_order(len(batched), total, rng)
    losses = list(done)
    for part in np.array_split(np.arange(total), PARTS)[len(losses) :]:
        moved = run(state, batched, order[part], planned.rates[part], planned.l1s[part])
        state.compact()
        losses.append(float(moved.mean()))
        if keep is not None:
            keep(state, losses)
        say(float(part[-1] + 1) / total, losses[-1])
    return losses
