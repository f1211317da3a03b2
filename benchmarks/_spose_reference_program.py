"""A faithful plain implementation of the published SPoSE training step, to stand beside ours in the benchmarks.

As ViCCo-Group/SPoSE train.py and model.py (METHOD.md section 3): one-hot rows through a linear layer, three dot
products, softmax without a shift, l1 over the whole matrix, a soft penalty on negative weights, Adam at 0.001.
"""

from __future__ import annotations

import time

import numpy as np
import torch


class Program:
    """The published model and its optimiser."""

    def __init__(self, n_items: int, dimensions: int, l1: float, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.n_items, self.l1 = n_items, l1
        self.layer = torch.nn.Linear(n_items, dimensions, bias=False)
        torch.nn.init.normal_(self.layer.weight, 0.1, 0.01)
        self.adam = torch.optim.Adam(self.layer.parameters(), lr=1e-3)
        self.one_hot = torch.eye(n_items)

    def step(self, rows: torch.Tensor) -> float:
        """Train on one batch, int64[batch, 3], the odd one last."""
        a, b, c = (self.layer(self.one_hot[rows[:, k]]) for k in range(3))
        kept, second, third = ((x * y).sum(dim=1).exp() for x, y in ((a, b), (a, c), (b, c)))
        loss = -torch.log(kept / (kept + second + third)).mean()
        weight = self.layer.weight
        total = loss + self.l1 / self.n_items * weight.abs().sum() + 0.01 * torch.relu(-weight).sum()
        self.adam.zero_grad()
        total.backward()
        self.adam.step()
        return float(loss.detach())

    def rate(self, triplets: np.ndarray, batch: int, *, seconds: float = 4.0) -> float:
        """Triplets a second of processor time, in the steady state."""
        rows = torch.from_numpy(triplets.astype(np.int64))
        for k in range(5):
            self.step(rows[k * batch : (k + 1) * batch])
        done, begin = 0, time.process_time()
        while time.process_time() - begin < seconds:
            at = (done * batch) % (len(rows) - batch)
            self.step(rows[at : at + batch])
            done += 1
        return done * batch / (time.process_time() - begin)
