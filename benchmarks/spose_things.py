"""Claim: on people's judgments of objects, ``fit`` predicts held-out choices better than the plain recipe.

50,000 human choices on 1,854 objects (THINGS), split 45,000 / 5,000 in several ways. The plain recipe is SPoSE in
PyTorch without further care: 30 dimensions, Adam, batches of 1,024, 12 epochs; of four learning rates it is given the
one that scores best on the test choices themselves. Ours chooses everything from the training choices alone. The
published 49 dimensions, learnt from 1.46 million choices, stand beside.

    python benchmarks/spose_things.py [FOLDER with things_test_10.txt and things_spose49.npy]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from affectlake import spose

DATA = Path(__file__).parents[2] / "shared" / "data" / "triplets"
N, TEST, SPLITS = 1854, 5_000, (31, 32, 33)
RATES = (1e-3, 3e-3, 1e-2, 3e-2)


def plain(train: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """The plain recipe: non-negative weights by clamping after each step, l1 0.008 / n."""
    torch.manual_seed(seed)
    weights = torch.nn.Parameter(0.1 + 0.01 * torch.randn(N, 30))
    adam, rows = torch.optim.Adam([weights], lr=rate), torch.from_numpy(train.astype(np.int64))
    for _ in range(12):
        for batch in rows[torch.randperm(len(rows))].split(1024):
            a, b, c = (weights[batch[:, k]] for k in range(3))
            z = torch.stack([(b * c).sum(1), (a * c).sum(1), (a * b).sum(1)], 1)
            loss = torch.nn.functional.cross_entropy(z, torch.full((len(batch),), 2)) + 0.008 / N * weights.abs().sum()
            adam.zero_grad()
            loss.backward()
            adam.step()
            weights.data.clamp_(min=0)
    return np.asarray(weights.detach().numpy())


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    choices = np.loadtxt(folder / "things_test_10.txt", dtype=np.int64)
    published = np.load(folder / "things_spose49.npy")
    print(f"published 49 dimensions on all {len(choices):,} choices: {spose.accuracy(published, choices):.4f}")
    for seed in SPLITS:
        order = np.random.default_rng(seed).permutation(len(choices))
        test, train = choices[order[:TEST]], choices[order[TEST:]]
        scores = [spose.accuracy(plain(train, rate, seed), test) for rate in RATES]
        begin = time.process_time()
        fitted = spose.fit(train, N, seed=seed)
        print(
            f"split {seed}: ours {spose.accuracy(fitted.weights, test):.4f} ({fitted.weights.shape[1]} dimensions, "
            f"{time.process_time() - begin:.0f} processor s), plain recipe {max(scores):.4f} (best of rates "
            f"{', '.join(f'{rate:g}: {score:.4f}' for rate, score in zip(RATES, scores, strict=True))}), "
            f"published {spose.accuracy(published, test):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
