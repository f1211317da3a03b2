"""Claim: refitting the dimensions that the published greedy recipe keeps predicts held-out judgments better.

Same runs, same judgments, with and without the refit; prints planted dimensions at r >= .9, mean r, held-out accuracy
and cross-entropy, beside the mean single run's.

    python benchmarks/spose_reproducibility.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from affectlake import spose
from tests.affectlake._planted import judge, plant, recovered

SPACES = ((240, 30, 3.2, 0.65, 30_000), (240, 10, 3.0, 0.65, 20_000), (500, 30, 5.0, 0.5, 150_000))


def line(label: str, weights: list[np.ndarray], planted: np.ndarray, test: np.ndarray) -> str:
    r = [recovered(w, planted) for w in weights]
    accuracy = np.mean([spose.accuracy(w, test) for w in weights])
    loss = np.mean([spose.cross_entropy(w, test) for w in weights])
    return (
        f"  {label:10s} {np.mean([(x >= 0.9).sum() for x in r]):5.1f}/{planted.shape[1]} at r >= .9, "
        f"mean r {np.mean([x.mean() for x in r]):.3f}, accuracy {accuracy:.4f}, cross-entropy {loss:.4f}"
    )


def main() -> None:
    for n, d, active, scale, n_triplets in SPACES:
        for seed in (801, 802):
            planted = plant(n, d, active=active, scale=scale, seed=seed)
            train, test = judge(planted, n_triplets, seed=seed + 50), judge(planted, 30_000, seed=seed + 60)
            print(f"{n} items, {d} planted, {n_triplets:,} judgments, seed {seed}")
            l1: float | str = "auto"
            for method in ("refit", "greedy"):
                result = spose.fit_reproducible(train, n, seeds=5, dimensions_kept=d, method=method, l1=l1)
                l1 = result.l1
                print(line(method, [result.weights], planted, test), flush=True)
            print(line("single run", list(result.runs), planted, test), flush=True)


if __name__ == "__main__":
    main()
