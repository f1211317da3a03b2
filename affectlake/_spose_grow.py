"""Dimensions that a random start cannot find where judgments are few, grown from what the fit leaves unexplained.

What belongs here: candidates from residuals, and which dimensions held-out judgments keep. What does not: schedules and
the path over l1 (``_spose_cpu``, ``_spose_path``).

Why: from random weights a dimension grows only if its pull on the pairs of its items rises above the noise of all
pairs. One that k of n items share, each of N judgments moving its pairs' probability by delta, does so if
(k / n) delta sqrt(6 N / (0.22 n)) > 1 (the noise edge of a random matrix; 0.22 is the variance of a residual). Below,
the fit from the planted weights keeps the dimension, with a lower objective, and the fit from random ones never sees
it. Sparse non-negative power iterations on the residuals start from single items, not from everywhere, and see further.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlake._spose_cpu import Progress, State, batch_order, batch_size, blocked, descend, pad, plan, run, start
from affectlake._spose_data import Floats, Judgments, batches
from affectlake._spose_path import ENOUGH, Choice, held_out_scores, hold_out

PLENTY = 500
"""Judgments an item from which on a random start sees a dimension of a twentieth of the items, at delta = 0.3."""

SEEDS, ITERATIONS, MOST = 200, 6, 30
"""Items to start candidates from, power iterations, and candidates a round."""

LEAST_ITEMS, OVERLAP = 5, 0.5
"""A candidate has at least so many items, and at most this cosine with a better one."""

ROUNDS, STEPS = 5, 1000
"""Most rounds of growth, and the optimiser's steps in each."""

LOWER, LOWEST = 0.8, 0.6
"""How far a step of the search for l1 goes, and where it ends: the walk's l1 is high for grown dimensions."""


def scarce(data: Judgments) -> bool:
    """Whether judgments are so few that a random start misses dimensions, and enough to hold some out."""
    return 3 * data.total / data.n_items < PLENTY and len(data) >= ENOUGH


def refine_l1(data: Judgments, dimensions: int, walked: float, rng: np.random.Generator, say: Progress) -> Choice:
    """Choose l1 for grown fits: from the walk's choice downhill in the held-out cross-entropy, a grown fit at each."""
    held, train = hold_out(data, rng)
    path: list[dict[str, float]] = []
    l1 = walked
    while l1 >= LOWEST * walked:
        state = start(data.n_items, dimensions, rng)
        descend(state, train, l1, rng, warm=False, say=lambda done, loss: None)
        path.append({"l1": l1, **held_out_scores(grow(state, train, held, l1, rng), held)})
        say(min(0.95, len(path) / 4), f"l1 {l1:.4g}: held-out {path[-1]['cross_entropy']:.4f}, grown")
        if len(path) > 1 and path[-1]["cross_entropy"] > path[-2]["cross_entropy"]:
            break
        l1 *= LOWER
    best = min(path, key=lambda p: p["cross_entropy"])
    return Choice(best["l1"], path[::-1])


def fit(data: Judgments, dimensions: int, l1: float, rng: np.random.Generator, say: Progress) -> State:
    """Fit nine tenths from random weights and grow, guarded by the tenth held out; the caller goes on with all."""
    held, train = hold_out(data, rng)
    state = start(data.n_items, dimensions, rng)
    descend(state, train, l1, rng, warm=False, say=lambda done, loss: say(0.5 * done, f"loss {loss:.4f}"))
    return grow(state, train, held, l1, rng)


def grow(state: State, train: Judgments, held: Judgments, l1: float, rng: np.random.Generator) -> State:
    """Add candidates and drop what held-out judgments do not need, for as long as they are predicted better.

    Parameters
    ----------
    state : State
        A fit to ``train``.
    train, held : Judgments
        Disjoint.
    l1 : float
    rng : numpy.random.Generator
    """
    batched = batches(train, batch_size(train), rng)
    best, least = pruned(state, held)
    planned = plan(0, l1, warm=True, steps=STEPS)
    for _ in range(ROUNDS):
        found = candidates(best, train, rng)
        if not found.shape[1]:
            break
        grown = State(pad(np.hstack([best.weights, found])), best.intercepts.copy())
        run(grown, batched, batch_order(len(batched), STEPS, rng), planned.rates, planned.l1s)
        kept, loss = pruned(grown, held)
        if loss >= least:
            break
        best, least = kept, loss
    return best


def pruned(state: State, held: Judgments) -> tuple[State, float]:
    """Drop the dimensions that held-out judgments are predicted no worse without; return the cross-entropy as well.

    Dimensions are tried from the smallest total weight to the largest, so that of two that say the same the larger one
    stays.
    """

    def loss(weights: Floats) -> float:
        return held_out_scores(State(weights, state.intercepts), held)["cross_entropy"]

    kept, least = state.weights, loss(state.weights)
    for column in np.argsort(kept.sum(axis=0, dtype=np.float64), kind="stable"):
        without = kept.copy()
        without[:, column] = 0
        if (here := loss(without)) <= least:
            kept, least = without, here
    return State(pad(kept[:, kept.any(axis=0)]), state.intercepts.copy()), least


def candidates(state: State, train: Judgments, rng: np.random.Generator) -> Floats:
    """Dimensions that would explain what a fit leaves unexplained, float32[n_items, at most MOST].

    Sparse non-negative power iterations on the matrix of residuals of pairs (kept together, less the probability of
    it), each from one item and the items that it is kept together with; a step subtracts one standard deviation of
    noise. The size of a weight is that of the fitted ones.
    """
    residuals, noise = _residuals(state, train)
    at = rng.permutation(train.n_items)[:SEEDS]
    x = np.maximum(residuals[:, at].toarray(), 0)
    x = _unit(x)
    x[at, np.arange(len(at))] += 0.5
    x = _unit(x)
    for _ in range(ITERATIONS):
        x = _unit(np.maximum(residuals @ x - noise, 0))
    gain = (x * (residuals @ x)).sum(axis=0)
    kept: list[int] = []
    for k in np.argsort(-gain, kind="stable"):
        if (x[:, k] > 0).sum() >= LEAST_ITEMS and (not kept or (x[:, k] @ x[:, kept]).max() < OVERLAP):
            kept.append(int(k))
    chosen = x[:, kept[:MOST]]
    w = state.weights
    typical = (w**2).sum() / w.sum() if w.any() else 1.0
    return np.asarray(chosen * (typical * chosen.sum(axis=0) / (chosen**2).sum(axis=0)), np.float32)


def _unit(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=0), 1e-9))


def _residuals(state: State, data: Judgments) -> tuple[Any, float]:
    """Residuals of all pairs as a symmetric sparse matrix, and the standard deviation of an entry."""
    from scipy.sparse import csr_array

    from affectlake import _spose_kernels as kernels

    out = np.empty((len(data), 3), np.float32)
    kernels.residuals(blocked(state.weights), *data.data, state.intercepts, out)
    a, b, c = data.triplets.T
    rows, columns = np.concatenate([b, a, a]), np.concatenate([c, c, b])
    values = np.concatenate([out[:, 0], out[:, 1], out[:, 2]])
    shape = (data.n_items, data.n_items)
    upper = csr_array((values, (rows, columns)), shape=shape)
    variance = 2 * float((values.astype(np.float64) ** 2).sum()) / data.n_items**2
    return (upper + upper.T).tocsr(), float(np.sqrt(variance))
