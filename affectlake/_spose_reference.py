"""The published SPoSE schedule, step by step, on the compiled kernels.

What belongs here: what the published program does (ViCCo-Group/SPoSE train.py, model.py, utils.py; METHOD.md section
3). What does not: anything better.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from affectlake._spose_cpu import Progress, State, pad, run
from affectlake._spose_data import Judgments, batches

BATCH = 100
RATE = 1e-3
BETAS = np.array([0.9, 0.999], np.float32)


def published(
    data: Judgments, dimensions: int, l1: float, seed: int, epochs: int, say: Progress
) -> tuple[State, dict[str, Any]]:
    """Start at N(0.1, 0.01); Adam at 0.001; shuffled batches of 100, the rest dropped; absolute values at the end."""
    rng = np.random.default_rng(seed)
    state = State(pad(rng.normal(0.1, 0.01, size=(data.n_items, dimensions)).astype(np.float32)))
    losses = []
    for epoch in range(epochs):
        shuffled = batches(data, BATCH, rng, drop_last=True)
        steps = np.ones(len(shuffled), np.float32)
        order = np.arange(len(shuffled))
        losses.append(float(run(state, shuffled, order, RATE * steps, l1 * steps, published=True, betas=BETAS).mean()))
        say((epoch + 1) / epochs, f"epoch {epoch + 1}: training cross-entropy {losses[-1]:.4f}")
    state.weights = np.abs(state.weights)
    return state, {"loss": losses}
