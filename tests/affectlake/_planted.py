"""Judgments of a planted embedding, for tests and benchmarks of the embedding's recovery."""

from __future__ import annotations

import numpy as np


def plant(n, d=30, *, active=3.2, scale=0.65, seed=0):
    """Sparse weights float32[n, d]: each item has about ``active`` dimensions, more items have the first ones."""
    rng = np.random.default_rng(seed)
    share = np.linspace(1.6, 0.4, d)
    share *= active / share.sum()
    on = rng.random((n, d)) < np.minimum(share, 0.95)
    return (on * rng.gamma(2.0, scale, size=(n, d))).astype(np.float32)


def judge(weights, n_triplets, *, seed=0):
    """Answers drawn from the softmax over the three similarities; int32[n, 3], the odd one last."""
    rng = np.random.default_rng(seed)
    answers = []
    while (missing := n_triplets - sum(map(len, answers))) > 0:
        t = rng.integers(0, len(weights), size=(min(missing, 1 << 18), 3))
        t = t[(t[:, 0] != t[:, 1]) & (t[:, 0] != t[:, 2]) & (t[:, 1] != t[:, 2])]
        a, b, c = (weights[t[:, k]] for k in range(3))
        z = np.stack([(b * c).sum(1), (a * c).sum(1), (a * b).sum(1)], axis=1)
        odd = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        turn = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]
        answers.append(np.take_along_axis(t, turn, axis=1).astype(np.int32))
    return np.concatenate(answers)


def recovered(weights, planted):
    """r of each planted dimension with its best match, float64[d]."""
    from affectlake.reproducibility import correlations

    return correlations(planted, weights).max(axis=1, initial=0)
