"""The embedding on CUDA: the same objective and schedule as ``_spose_cpu``, all seeds in one tensor.

What belongs here: PyTorch on a GPU. What does not: anything that a machine without one needs.

Seeds share the batches of judgments and differ in their start: one gather of item rows and one scatter of gradients
serves all of them. The scatter is a sorted segment sum, not an atomic one, so that a seed gives the same bits twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from affectlake import _spose_cpu as cpu
from affectlake._spose_data import Batches, Floats, Judgments, batches
from affectlake._spose_path import choose_l1


class Batched:
    """Weights [seeds, n, d] on a device with Adam's moments, and steps over batches that all seeds share."""

    def __init__(self, weights: Floats, device: str) -> None:
        import torch

        self.torch: Any = torch
        self.device = device
        self.weights = torch.tensor(weights, device=device)
        self.first = torch.zeros_like(self.weights)
        self.second = torch.zeros_like(self.weights)
        self.taken = 0

    def coefficients(self, rows: Any, targets: Any, counts: Any) -> tuple[Any, Any]:
        """Derivative of the weighted losses by the three similarities, [seeds, batch, 3], and the losses."""
        a, b, c = (self.weights[:, rows[:, k]] for k in range(3))
        z = self.torch.stack([(b * c).sum(-1), (a * c).sum(-1), (a * b).sum(-1)], dim=-1)
        log_p = self.torch.log_softmax(z, dim=-1)
        return counts[None, :, None] * (log_p.exp() - targets), -counts * (targets * log_p).sum(-1)

    def gradient(self, rows: Any, coefficients: Any) -> Any:
        """Gradient by the weights, [seeds, n, d]: a sparse symmetric matrix of pair coefficients times the weights."""
        n = self.weights.shape[1]
        pairs = ((1, 2, 0), (0, 2, 1), (0, 1, 2))
        i = self.torch.cat([rows[:, p] for p, _, _ in pairs] + [rows[:, q] for _, q, _ in pairs])
        j = self.torch.cat([rows[:, q] for _, q, _ in pairs] + [rows[:, p] for p, _, _ in pairs])
        order = self.torch.argsort(i, stable=True)
        starts = self.torch.searchsorted(i[order], self.torch.arange(n + 1, device=self.device))
        values = self.torch.cat([coefficients[:, :, k] for _, _, k in pairs] * 2, dim=1)[:, order]
        matrices = [self.torch.sparse_csr_tensor(starts, j[order], v, (n, n), check_invariants=False) for v in values]
        return self.torch.stack([m @ w for m, w in zip(matrices, self.weights, strict=True)])

    def step(self, rows: Any, targets: Any, counts: Any, scale: float, rate: float, l1: float) -> Any:
        """One projected Adam step of all seeds; return the mean loss of each."""
        coefficients, losses = self.coefficients(rows, targets, counts)
        slope = self.gradient(rows, coefficients) * scale + l1
        self.taken += 1
        beta1, beta2 = (float(b) for b in cpu.BETAS)
        self.first.mul_(beta1).add_(slope, alpha=1 - beta1)
        self.second.mul_(beta2).addcmul_(slope, slope, value=1 - beta2)
        correction1, correction2 = 1 / (1 - beta1**self.taken), 1 / (1 - beta2**self.taken)
        self.weights.addcdiv_(
            self.first, (self.second * correction2).sqrt().add_(1e-8), value=-rate * correction1
        ).clamp_(min=0)
        return losses.sum(-1) * scale

    def run(self, data: Batches, order: Any, rates: Floats, l1s: Floats) -> list[float]:
        """Take one step for each batch in ``order``; return the loss of the first seed at each."""
        to = {"device": self.device}
        rows = self.torch.tensor(data.judgments.triplets, dtype=self.torch.long, **to)
        targets = self.torch.tensor(data.judgments.targets, **to)
        counts = self.torch.tensor(data.judgments.counts, **to)
        scale = len(data) / data.judgments.total
        losses = []
        for batch, rate, l1 in zip(order, rates, l1s, strict=True):
            part = slice(int(data.bounds[batch]), int(data.bounds[batch + 1]))
            here = rows[part]
            soft = targets[part] if len(targets) > 1 else targets
            often = counts[part] if len(counts) > 1 else counts.expand(len(here))
            loss = self.step(here, soft, often, scale, float(rate), float(l1) / data.judgments.n_items)
            losses.append(loss[0])
        return [float(x) for x in self.torch.stack(losses).cpu()]

    def states(self) -> list[cpu.State]:
        """The seeds' weights, back on the processor."""
        return [cpu.State(w) for w in self.weights.cpu().numpy()]


def fit_many(
    data: Judgments,
    dimensions: int,
    l1: float | Literal["auto"],
    seeds: Sequence[int],
    say: cpu.Progress,
    *,
    device: str = "cuda",
    weights: ArrayLike | None = None,
) -> tuple[list[cpu.State], float, dict[str, Any]]:
    """Fit all seeds together; l1 is chosen on the processor's path, which costs seconds."""
    choosing, fitting = (np.random.default_rng(s) for s in np.random.SeedSequence(seeds[0]).spawn(2))
    history: dict[str, Any] = {}
    if l1 == "auto":
        choice = choose_l1(data, dimensions, choosing, say)
        l1, history["path"] = choice.l1, choice.path
    if weights is None:
        starts = [cpu.start(data.n_items, dimensions, np.random.default_rng(s)).weights for s in seeds]
    else:
        starts = [cpu.warm_start(np.asarray(weights, np.float32), data.n_items, fitting).weights for _ in seeds]
    batched = batches(data, cpu.batch_size(data), fitting)
    plan = cpu.plan(len(batched), l1, warm=weights is not None)
    fitted = Batched(np.stack(starts), device)
    history["loss"] = fitted.run(batched, cpu.batch_order(len(batched), len(plan.rates), fitting), plan.rates, plan.l1s)
    return fitted.states(), float(l1), history
