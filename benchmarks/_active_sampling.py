"""Which questions would tell most: expected information under the current embedding, and a sample by it.

For ``cheaper_questions.py``, which measures whether that saves judgments. Each item's weights are taken as uncertain by
themselves (Laplace's approximation, a Gaussian with the inverse of prior plus Fisher information of the answers so
far), and a question's expected information is the sum over its three items of 1/2 log det(I + F K): F the Fisher
information of the three logits, K their covariance through that item. Within a wave the covariances are brought up to
date after each part, so that its questions do not all ask for the same.
"""

from __future__ import annotations

import numpy as np

from affectlake.triplets import n_sets, rank, unrank

POOL, PARTS, UNIFORM, SHARPNESS = 40, 8, 0.25, 2.0
"""Candidates a question wanted, parts of a wave, its uniform share, and the power of information drawn by."""


def probabilities(weights, triplets):
    """Probability that each item of each triplet is the odd one, float64[n, 3]."""
    a, b, c = (weights[triplets[:, k]].astype(float) for k in range(3))
    z = np.stack([(b * c).sum(1), (a * c).sum(1), (a * b).sum(1)], axis=1)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def _parts(weights, triplets):
    """For each place: its items, the derivatives of the two logits that move with them, and those logits' Fisher."""
    p = probabilities(weights, triplets)
    for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        # the logit of "j is odd" is the similarity of i and k
        fisher = p[:, j] * (1 - p[:, j]), -p[:, j] * p[:, k], p[:, k] * (1 - p[:, k])
        yield triplets[:, i], weights[triplets[:, k]].astype(float), weights[triplets[:, j]].astype(float), fisher


def precision(weights, triplets):
    """Fisher information of the answers to ``triplets`` on each item's weights, float64[n_items, d, d]."""
    n, d = weights.shape
    total = np.zeros((n, d, d))
    for start in range(0, len(triplets), 20_000):
        for items, u, v, (uu, uv, vv) in _parts(weights, triplets[start : start + 20_000]):
            cross = uv[:, None, None] * u[:, :, None] * v[:, None, :]
            each = uu[:, None, None] * u[:, :, None] * u[:, None, :] + vv[:, None, None] * v[:, :, None] * v[:, None, :]
            np.add.at(total, items, each + cross + cross.transpose(0, 2, 1))
    return total


def information(weights, covariance, triplets):
    """Expected information of each question in nats, float64[n]."""
    gain = np.zeros(len(triplets))
    for items, u, v, (a, b, c) in _parts(weights, triplets):
        at_u, at_v = (np.einsum("nij,nj->ni", covariance[items], x) for x in (u, v))
        uu, uv, vv = (u * at_u).sum(1), (u * at_v).sum(1), (v * at_v).sum(1)
        gain += 0.5 * np.log((1 + a * uu + b * uv) * (1 + b * uv + c * vv) - (a * uv + b * vv) * (b * uu + c * uv))
    return gain


def inclusion(gain, wanted):
    """Probabilities of being drawn that go with a power of the gain and sum to ``wanted``."""
    size = np.maximum(gain, 1e-12) ** SHARPNESS
    certain = np.zeros(len(size), dtype=bool)
    while True:
        chance = size * (wanted - certain.sum()) / size[~certain].sum()
        more = (chance >= 1) & ~certain
        if not more.any():
            return np.where(certain, 1.0, chance)
        certain |= more


def wave(weights, asked, n, rng):
    """The next ``n`` questions or so, int32[m, 3], and the probability by which each was drawn from the pool."""
    n_items = len(weights)
    pool = unrank(np.unique(rng.integers(0, n_sets(n_items), POOL * n)))
    pool = rng.permutation(pool[~np.isin(rank(pool), rank(asked))])
    uniform, rest = np.split(pool, [round(UNIFORM * n)])
    prior = 1 / max(float(np.square(weights).mean()), 1e-3)
    known = prior * np.eye(weights.shape[1]) + precision(weights, np.concatenate([asked, uniform]))
    drawn, chances = [uniform], [np.full(len(uniform), len(uniform) / len(pool))]
    for part in np.array_split(rest, PARTS):
        chance = inclusion(information(weights, np.linalg.inv(known), part), (n - len(uniform)) / PARTS)
        taken = rng.random(len(part)) < chance
        drawn.append(part[taken])
        chances.append(chance[taken])
        known += precision(weights, part[taken])
    return np.concatenate(drawn), np.concatenate(chances)
