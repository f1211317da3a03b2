"""Claim: one training step is tens of times faster than the published program's at its own batch, hundreds at ours.

Runs the published step (one-hot products, autograd, Adam) and our fused kernels on the same triplets, the two taking
turns so that other load on the machine meets both, and prints triplets a second of processor time and their ratio.

    python benchmarks/spose_step.py

Both on one thread: our fits take one each, and several seeds stand side by side. Processor time, since the clock on the
wall also counts what other programs take.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from _spose_reference_program import Program

from affectlake import _spose_cpu as cpu
from affectlake._spose_data import batches, judgments

N, D, TRIPLETS, ROUNDS = 2180, 90, 400_000, 3
BYTES = 3 * 2 + 9 * D * 4
"""That a triplet moves at least: its three indices, three rows read, three rows of the gradient read and written."""


def bandwidth() -> float:
    """Bytes a second at which torch sums an array of the size of the weights, which a second or third cache holds."""
    weights, repeats = torch.ones(N * D), 2000
    weights.sum()
    begin = time.process_time()
    for _ in range(repeats):
        weights.sum()
    return repeats * weights.nbytes / (time.process_time() - begin)


def ours(triplets: np.ndarray, batch: int, *, seconds: float = 2.0) -> float:
    rng = np.random.default_rng(0)
    shuffled = batches(judgments(triplets, N), batch, rng)
    state = cpu.start(N, D, rng)
    cpu.run(state, shuffled, np.arange(2), np.full(2, 1e-3), np.full(2, 0.01))
    steps = max(4, min(len(shuffled), 200_000 // batch))
    done, begin = 0, time.process_time()
    while time.process_time() - begin < seconds:
        cpu.run(state, shuffled, np.arange(steps), np.full(steps, 1e-3), np.full(steps, 0.01))
        done += steps
    return done * len(triplets) / len(shuffled) / (time.process_time() - begin)


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(2026)
    triplets = np.stack([rng.permutation(N)[:3] for _ in range(2000)])
    triplets = np.concatenate([(triplets + shift) % N for shift in range(TRIPLETS // 2000)]).astype(np.int32)
    reference, same, best, bounds = [], [], [], []
    for _ in range(ROUNDS):
        bounds.append(bandwidth() / BYTES)
        reference.append(Program(N, D, 0.008).rate(triplets, 100))
        same.append(ours(triplets, 100))
        best.append(ours(triplets, 4 * N))
    r, s, b, bound = (float(np.median(x)) for x in (reference, same, best, bounds))
    print(f"one thread, {N} items x {D} dimensions, processor time, median of {ROUNDS} rounds")
    print(f"published step, batch 100      {r:12,.0f} triplets/s")
    print(f"ours, batch 100                {s:12,.0f} triplets/s  {s / r:6.0f} x  (goal 60)")
    print(f"ours, batch {4 * N}               {b:12,.0f} triplets/s  {b / r:6.0f} x  (goal 500)")
    print(f"bound by traffic               {bound:12,.0f} triplets/s  {b / bound:6.0%} of it (goal 60 %)")


if __name__ == "__main__":
    main()
