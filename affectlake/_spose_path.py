"""The choice of l1 by held-out likelihood: a walk of warm starts.

What belongs here: which penalties are tried, and what decides. What does not: how one of them is fitted
(``_spose_cpu``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affectlake._spose_cpu import ALIVE, Plan, Progress, State, batch_order, batch_size, evaluate, plan, run, start
from affectlake._spose_data import Judgments, batches

START, RATIO = 0.5, 1.3
FIRST, EACH = 1500, 500
"""Where the walk begins (in its unit), how far a step of it goes, and the optimiser's steps at each place."""

HELD, MOST_HELD = 0.1, 50_000
ENOUGH, USUAL = 200, 0.6
"""With fewer judgments a held-out tenth says nothing; then l1 is the one that planted spaces usually want."""


@dataclass(frozen=True)
class Choice:
    """The path over l1 and what was chosen on it."""

    l1: float
    path: list[dict[str, float]]


def choose_l1(data: Judgments, dimensions: int, rng: np.random.Generator, say: Progress) -> Choice:
    """Walk over l1 by warm starts, downhill in the cross-entropy of held-out training judgments.

    The unit of the walk is 1 / sqrt(judgments per item), the size of the noise in a weight's gradient, so that the same
    walk serves any number of items and judgments. It starts where planted spaces usually want it and goes up; only
    where up is worse at once does it go down, because zero attracts: what a high penalty killed stays dead.
    """
    unit = 1 / np.sqrt(max(1.0, 3 * data.total / data.n_items))
    if len(data) < ENOUGH:
        return Choice(float(USUAL * unit), [])
    held, train = hold_out(data, rng)
    batched = batches(train, batch_size(train), rng)
    first = start(data.n_items, dimensions, rng)
    path: list[dict[str, float]] = []

    def visit(state: State, factor: float, planned: Plan) -> float:
        run(state, batched, batch_order(len(batched), len(planned.rates), rng), planned.rates, planned.l1s)
        state.compact()
        path.append({"l1": float(factor * unit), **held_out_scores(state, held)})
        say(min(0.95, len(path) / 6), f"l1 {factor * unit:.4g}: held-out {path[-1]['cross_entropy']:.4f}")
        return path[-1]["cross_entropy"]

    best = visit(first, START, plan(0, float(START * unit), steps=FIRST))
    chosen = START
    for direction in (RATIO, 1 / RATIO):
        state, factor, worse = first.copy(), START, 0
        while worse < 2 and 0.005 < factor < 5:
            factor *= direction
            here = visit(state, factor, plan(0, float(factor * unit), steps=EACH, warm=True))
            worse = worse + 1 if here > best else 0
            if here < best:
                best, chosen = here, factor
        if chosen > START:
            break
    path.sort(key=lambda p: p["l1"])
    return Choice(float(chosen * unit), path)


def held_out_scores(state: State, held: Judgments) -> dict[str, float]:
    """Return the cross-entropy, accuracy and number of dimensions of a fit on held-out judgments."""
    losses, verdicts = evaluate(state.weights, held, state.intercepts)
    return {
        "cross_entropy": float(losses.sum(dtype=np.float64) / held.total),
        "accuracy": float((verdicts == 1).mean()),
        "dimensions": float((state.weights.max(axis=0) > ALIVE).sum()),
    }


def hold_out(data: Judgments, rng: np.random.Generator) -> tuple[Judgments, Judgments]:
    """Split off a tenth of the judgments (at most 50,000); repeats of a set of three stay on one side."""
    ordered = np.sort(data.triplets, axis=1).astype(np.int64)
    key = (ordered[:, 0] * data.n_items + ordered[:, 1]) * data.n_items + ordered[:, 2]
    sets, which = np.unique(key, return_inverse=True)
    n = max(1, min(round(HELD * len(sets)), MOST_HELD))
    chosen = np.zeros(len(sets), bool)
    chosen[rng.permutation(len(sets))[:n]] = True
    held = chosen[which]
    return data.take(np.flatnonzero(held)), data.take(np.flatnonzero(~held))
