# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
"""The compiled inner loops of the embedding: loss, gradient and Adam step of one batch, fused row by row.

What belongs here: loops over triplets and items, as numba kernels, without any choice in them. What does not:
schedules, validation of input, selection of l1 (see ``_spose_cpu``).

A step has two halves. First every triplet's three pair coefficients are computed from the current weights. Then every
item gathers the coefficients of the triplets it stands in, in a fixed order, and updates its own row into a second
buffer, so that no n x d gradient is written to memory. A run takes one thread: two that wait for each other twice a
step were four times slower than one on a busy machine. Several seeds stand side by side instead; kernels hold no lock.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

# Reassociation lets the compiler vectorise the dot products; NaN and infinity keep their meaning, so that a diverged
# fit is seen and not silently turned into numbers.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
_OPTIONS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": _FAST}
_compiled = njit(**_OPTIONS)

PLAIN, PUBLISHED = 0, 1
"""Update rules: projection onto non-negative weights, or the published soft penalty on negative ones."""


@_compiled
def _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, first, out, losses):
    """Derivative of each triplet's loss by its three similarities; pair k is the one opposite to column k."""
    d = W.shape[1]
    soft, many, placed = targets.shape[0] > 1, counts.shape[0] > 1, positions.shape[0] > 1
    for t in range(lo, hi):
        a, b, c = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        z0, z1, z2 = np.float32(0), np.float32(0), np.float32(0)
        for k in range(d):
            x, y, z = W[a, k], W[b, k], W[c, k]
            z0 += y * z
            z1 += x * z
            z2 += x * y
        if placed:
            z0 += intercepts[positions[t, 0]]
            z1 += intercepts[positions[t, 1]]
            z2 += intercepts[positions[t, 2]]
        top = max(z0, max(z1, z2))
        e0, e1, e2 = math.exp(z0 - top), math.exp(z1 - top), math.exp(z2 - top)
        total = e0 + e1 + e2
        r = t if soft else 0
        q0, q1, q2 = targets[r, 0], targets[r, 1], targets[r, 2]
        weight = counts[t if many else 0]
        out[t - first, 0] = weight * (e0 / total - q0)
        out[t - first, 1] = weight * (e1 / total - q1)
        out[t - first, 2] = weight * (e2 / total - q2)
        losses[t - first] = weight * (math.log(total) + top - q0 * z0 - q1 * z1 - q2 * z2)


@_compiled
def _gradient_row(W, triplets, coefficients, places, lo, hi, first, scratch):
    """Sum one item's gradient over the places (triplet and column) it stands in."""
    d = W.shape[1]
    for k in range(d):
        scratch[k] = 0.0
    for p in range(lo, hi):
        place = places[p]
        t = place // 3
        role = place - 3 * t
        s = 1 if role == 0 else 0
        u = 1 if role == 2 else 2
        i, j = triplets[t, s], triplets[t, u]
        gi, gj = coefficients[t - first, u], coefficients[t - first, s]
        for k in range(d):
            scratch[k] += gi * W[i, k] + gj * W[j, k]


@_compiled
def _adam_row(w, w_next, m, v, g, scale, rate, l1, correction1, correction2, beta1, beta2, rule):
    """One Adam update of one row; ``l1`` is the penalty per weight, already divided by the number of items."""
    one = np.float32(1)
    for k in range(w.shape[0]):
        x = w[k]
        slope = g[k] * scale
        if rule == PUBLISHED:
            slope += l1 if x > 0 else (-l1 if x < 0 else np.float32(0))
            slope -= np.float32(0.01) if x < 0 else np.float32(0)
        else:
            slope += l1
        mk = beta1 * m[k] + (one - beta1) * slope
        vk = beta2 * v[k] + (one - beta2) * slope * slope
        m[k] = mk
        v[k] = vk
        x -= rate * (mk * correction1) / (math.sqrt(vk * correction2) + np.float32(1e-8))
        if rule == PLAIN and x < 0:
            x = np.float32(0)
        w_next[k] = x


@_compiled
def _rows(W, W_next, m, v, triplets, coefficients, places, starts, lo, hi, first, numbers, rule):
    scratch = np.empty(W.shape[1], np.float32)
    scale, rate, l1, c1, c2, beta1, beta2 = numbers
    for i in range(lo, hi):
        _gradient_row(W, triplets, coefficients, places, starts[i], starts[i + 1], first, scratch)
        _adam_row(W[i], W_next[i], m[i], v[i], scratch, scale, rate, l1, c1, c2, beta1, beta2, rule)


@_compiled
def _numbers(scale, rate, l1, step, beta1, beta2):
    return (
        np.float32(scale),
        np.float32(rate),
        np.float32(l1),
        np.float32(1.0 / (1.0 - beta1**step)),
        np.float32(1.0 / (1.0 - beta2**step)),
        np.float32(beta1),
        np.float32(beta2),
    )


@_compiled
def _total(losses, size):
    """Sum in double precision, in order."""
    total = 0.0
    for t in range(size):
        total += losses[t]
    return total


@_compiled
def _move_intercepts(intercepts, state, triplets_first, positions, out, size, numbers):
    """Adam on the three position intercepts, kept at mean zero (a common shift changes no probability)."""
    scale, rate, _, c1, c2, beta1, beta2 = numbers
    g = np.zeros(3, np.float64)
    for t in range(size):
        for k in range(3):
            g[positions[triplets_first + t, k]] += out[t, k]
    for k in range(3):
        slope = np.float32(g[k]) * scale
        state[0, k] = beta1 * state[0, k] + (np.float32(1) - beta1) * slope
        state[1, k] = beta2 * state[1, k] + (np.float32(1) - beta2) * slope * slope
        intercepts[k] -= rate * state[0, k] * c1 / (math.sqrt(state[1, k] * c2) + np.float32(1e-8))
    intercepts -= intercepts.mean()


@_compiled
def steps(buffers, m, v, data, batches, order, rates, l1s, scale, step, betas, rule, intercepts, state, losses):
    """Take one step for each batch named in ``order``; return which buffer holds the weights."""
    triplets, targets, counts, positions = data
    bounds, starts, places = batches
    n = buffers.shape[1]
    now = 0
    out = np.empty((int(np.max(np.diff(bounds))), 3), np.float32)
    loss = np.empty(out.shape[0], np.float32)
    for s in range(order.shape[0]):
        b = order[s]
        lo, hi = bounds[b], bounds[b + 1]
        W, W_next = buffers[now], buffers[1 - now]
        _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, lo, out, loss)
        numbers = _numbers(scale, rates[s], l1s[s], step + s + 1, betas[0], betas[1])
        _rows(W, W_next, m, v, triplets, out, places, starts[b], 0, n, lo, numbers, rule)
        if positions.shape[0] > 1:
            _move_intercepts(intercepts, state, lo, positions, out, hi - lo, numbers)
        losses[s] = _total(loss, hi - lo) * scale
        now = 1 - now
    return now


@_compiled
def gradient(W, data, batches, intercepts, result):
    """Sum of the gradients of the weighted cross-entropies of all batches, without the penalty, into ``result``."""
    triplets, targets, counts, positions = data
    bounds, starts, places = batches
    result[:] = 0
    scratch = np.empty(W.shape[1], np.float32)
    for b in range(bounds.shape[0] - 1):
        lo, hi = bounds[b], bounds[b + 1]
        out = np.empty((hi - lo, 3), np.float32)
        loss = np.empty(hi - lo, np.float32)
        _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, lo, out, loss)
        for i in range(W.shape[0]):
            _gradient_row(W, triplets, out, places, starts[b, i], starts[b, i + 1], lo, scratch)
            result[i] += scratch


@_compiled
def index_batches(triplets, bounds, n):
    """List, for every batch and item, the places (3 x triplet + column) where the item stands."""
    starts = np.zeros((bounds.shape[0] - 1, n + 1), np.int32)
    places = np.empty(triplets.shape[0] * 3, np.int32)
    fill = np.empty(n, np.int32)
    for b in range(bounds.shape[0] - 1):
        start = starts[b]
        for t in range(bounds[b], bounds[b + 1]):
            for k in range(3):
                start[triplets[t, k] + 1] += 1
        start[0] = 3 * bounds[b]
        for i in range(n):
            start[i + 1] += start[i]
            fill[i] = start[i]
        for t in range(bounds[b], bounds[b + 1]):
            for k in range(3):
                i = triplets[t, k]
                places[fill[i]] = 3 * t + k
                fill[i] += 1
    return starts, places


@_compiled
def score(W, triplets, targets, counts, positions, intercepts, losses, verdicts):
    """Weighted loss of every triplet, and its verdict: 1 right (last column is odd), 0 wrong, -1 tied at the top."""
    d = W.shape[1]
    step = 4096
    out = np.empty((step, 3), np.float32)
    for lo in range(0, triplets.shape[0], step):
        hi = min(lo + step, triplets.shape[0])
        _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, lo, out, losses[lo:hi])
    for t in range(triplets.shape[0]):
        a, b, c = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        z0, z1, z2 = np.float32(0), np.float32(0), np.float32(0)
        for k in range(d):
            z0 += W[b, k] * W[c, k]
            z1 += W[a, k] * W[c, k]
            z2 += W[a, k] * W[b, k]
        other = max(z0, z1)
        verdicts[t] = 1 if z2 > other else (-1 if z2 == other or (z0 == z1 and z0 > z2) else 0)


@_compiled
def residuals(W, triplets, targets, counts, positions, intercepts, result):
    """Of every triplet's three pairs: how much likelier it was kept together than the weights say, times its count."""
    losses = np.empty(triplets.shape[0], np.float32)
    _coefficients(W, triplets, targets, counts, positions, intercepts, 0, triplets.shape[0], 0, result, losses)
    for t in range(triplets.shape[0]):
        for k in range(3):
            result[t, k] = -result[t, k]
