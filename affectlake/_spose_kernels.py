# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
"""The compiled inner loops of the embedding: loss, gradient and Adam step of one batch.

What belongs here: loops over triplets and items, as numba kernels, without any choice in them. What does not:
schedules, validation of input, selection of l1 (see ``_spose_cpu``). They stand in one file: numba's cache of compiled
code does not see that another file changed.

Weights stand in blocks of 32 columns, float32[blocks, n, 32]: the rows of one block of two thousand items fit a core's
second cache, where whole rows do not, and gathering rows is what a step does most. A step computes the three
coefficients of every triplet's pairs, writes them where the items they belong to will read them, and then goes block by
block: every item sums its gradient over the places it stands in, in a fixed order, and one pass of Adam moves the
block. A run takes one thread: two that wait for each other twice a step were four times slower than one on a busy
machine. Several seeds stand side by side instead; kernels hold no lock.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

# Reassociation lets the compiler vectorise the dot products; NaN and infinity keep their meaning, so that a diverged
# fit is seen and not silently turned into numbers.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "fastmath": _FAST}
_compiled: Any = njit(cache=True, **_OPTIONS)
# Inlined by force: left to itself, the compiler decides otherwise where it finds helpers in the cache than where it has
# just compiled them, and the same seed would give other last bits in the first process than in all later ones.
_helper: Any = njit(forceinline=True, **_OPTIONS)
_generated: Any = intrinsic

BLOCK = 32
"""Columns of a block of weights: two cache lines an item."""

PLAIN, PUBLISHED = 0, 1
"""Update rules: projection onto non-negative weights, or the published soft penalty on negative ones."""


_LOWEST = np.float32(-87)
"""exp() below this is no normal float32."""

_ROOT3, _LOG_ROOT3 = np.float32(np.sqrt(3)), np.float32(np.log(3) / 2)


@_helper
def _exponential(x):
    """Return exp(x) for x <= 0: 2 ** n times a polynomial (Cephes, expf), in vectors as the C library's is not."""
    x = _LOWEST if x < _LOWEST else x
    n = np.floor(x * np.float32(1.44269504088896341) + np.float32(0.5))
    r = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p * r * r + r + np.float32(1)) * power


@_helper
def _logarithm(x):
    """Return log(x) for 1 <= x <= 3: log(root of 3) and twice the inverse hyperbolic tangent of what is left."""
    u = (x - _ROOT3) / (x + _ROOT3)
    w = u * u
    p = np.float32(2 / 11)
    p = p * w + np.float32(2 / 9)
    p = p * w + np.float32(2 / 7)
    p = p * w + np.float32(2 / 5)
    p = p * w + np.float32(2 / 3)
    p = p * w + np.float32(2)
    return _LOG_ROOT3 + u * p


@_helper
def _softmax(z, p, log_total, size):
    """Probabilities float32[3, size] of three logits each, and the logarithm of the sum of their exponentials."""
    for t in range(size):
        z0, z1, z2 = z[0, t], z[1, t], z[2, t]
        top = max(z0, max(z1, z2))
        e0, e1, e2 = _exponential(z0 - top), _exponential(z1 - top), _exponential(z2 - top)
        total = e0 + e1 + e2
        p[0, t], p[1, t], p[2, t] = e0 / total, e1 / total, e2 / total
        log_total[t] = _logarithm(total) + top


@_helper
def _similarities(W, triplets, lo, hi, z):
    """Similarity of each triplet's three pairs; pair k is the one opposite to column k."""
    for block in range(W.shape[0]):
        for t in range(lo, hi):
            a, b, c = triplets[t, 0], triplets[t, 1], triplets[t, 2]
            z0, z1, z2 = np.float32(0), np.float32(0), np.float32(0)
            for k in range(BLOCK):
                x, y, u = W[block, a, k], W[block, b, k], W[block, c, k]
                z0 += y * u
                z1 += x * u
                z2 += x * y
            if block:
                z[0, t - lo] += z0
                z[1, t - lo] += z1
                z[2, t - lo] += z2
            else:
                z[0, t - lo], z[1, t - lo], z[2, t - lo] = z0, z1, z2


@_helper
def _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, z, out, losses):
    """Derivative of each triplet's loss by its three similarities, into ``out``, and the losses."""
    _similarities(W, triplets, lo, hi, z)
    if positions.shape[0] > 1:
        for t in range(lo, hi):
            for k in range(3):
                z[k, t - lo] += intercepts[positions[t, k]]
    _softmax(z, out, losses, hi - lo)
    soft, many = targets.shape[0] > 1, counts.shape[0] > 1
    for t in range(hi - lo):
        r = lo + t if soft else 0
        q0, q1, q2 = targets[r, 0], targets[r, 1], targets[r, 2]
        weight = counts[lo + t if many else 0]
        losses[t] = weight * (losses[t] - q0 * z[0, t] - q1 * z[1, t] - q2 * z[2, t])
        out[0, t] = weight * (out[0, t] - q0)
        out[1, t] = weight * (out[1, t] - q1)
        out[2, t] = weight * (out[2, t] - q2)


@_helper
def _hand_out(triplets, slots, coefficients, lo, hi, partners, pulls):
    """Write each pair's partner and coefficient where the item that it pulls will read them."""
    for t in range(lo, hi):
        a, b, c = triplets[t, 0], triplets[t, 1], triplets[t, 2]
        of_a, of_b, of_c = coefficients[0, t - lo], coefficients[1, t - lo], coefficients[2, t - lo]
        at = slots[t, 0]
        partners[at, 0], partners[at, 1], pulls[at, 0], pulls[at, 1] = b, c, of_c, of_b
        at = slots[t, 1]
        partners[at, 0], partners[at, 1], pulls[at, 0], pulls[at, 1] = a, c, of_c, of_a
        at = slots[t, 2]
        partners[at, 0], partners[at, 1], pulls[at, 0], pulls[at, 1] = a, b, of_b, of_a


@_generated
def _sum_of_rows(typing, weights, partners, pulls, first, last, result):
    """``result[:] = sum of pulls[p, 0] * weights[partners[p, 0]] + pulls[p, 1] * weights[partners[p, 1]]``.

    Over p from ``first`` to before ``last``, in order; weights float32[n, 32], result float32[32], both contiguous.
    Written in the compiler's own terms to keep the sum in registers: a loop over arrays, which might overlap, loads and
    stores it for every row and checks for overlaps each time, and took three times as long.
    """
    signature = types.void(weights, partners, pulls, first, last, result)
    number, row = ir.IntType(64), ir.VectorType(ir.FloatType(), BLOCK)
    unknown, lanes = ir.Constant(row, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
    flags = tuple(sorted(_FAST))

    def generate(context, builder, signature, arguments):
        arrays = [
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args, arguments, strict=True)
            if isinstance(kind, types.Array)
        ]
        weights, partners, pulls, result = arrays
        begin, end = (context.cast(builder, arguments[k], signature.args[k], types.int64) for k in (3, 4))
        total = cgutils.alloca_once_value(builder, ir.Constant(row, [0.0] * BLOCK))
        with cgutils.for_range_slice(builder, begin, end, number(1), number) as (p, _):
            value = builder.load(total)
            for k in (0, 1):
                at = builder.add(builder.shl(p, number(1)), number(k))
                item = builder.sext(builder.load(builder.gep(partners, [at])), number)
                start = builder.gep(weights, [builder.mul(item, number(BLOCK))])
                values = builder.load(builder.bitcast(start, row.as_pointer()), align=4)
                pull = builder.insert_element(unknown, builder.load(builder.gep(pulls, [at])), ir.IntType(32)(0))
                product = builder.fmul(builder.shuffle_vector(pull, unknown, lanes), values, flags=flags)
                value = builder.fadd(value, product, flags=flags)
            builder.store(value, total)
        builder.store(builder.load(total), builder.bitcast(result, row.as_pointer()), align=4)
        return context.get_dummy_value()

    return signature, generate


@_helper
def _block_gradient(W, partners, pulls, starts, result):
    """Sum every item's gradient in one block, float32[n, 32], over the places it stands in."""
    for i in range(W.shape[0]):
        _sum_of_rows(W, partners, pulls, starts[i], starts[i + 1], result[i])


@_helper
def _adam(w, m, v, g, numbers):
    """One projected Adam step of flat weights; ``l1`` is the penalty per weight, already divided by the items."""
    scale, rate, l1, correction1, correction2, beta1, beta2 = numbers
    one, zero = np.float32(1), np.float32(0)
    for k in range(w.size):
        slope = g[k] * scale + l1
        mk = beta1 * m[k] + (one - beta1) * slope
        vk = beta2 * v[k] + (one - beta2) * slope * slope
        m[k] = mk
        v[k] = vk
        x = w[k] - rate * (mk * correction1) / (math.sqrt(vk * correction2) + np.float32(1e-8))
        w[k] = zero if x < zero else x


@_helper
def _published_adam(w, m, v, g, numbers):
    """One published Adam step: l1 by the weight's sign, 0.01 against negative weights, no projection."""
    scale, rate, l1, correction1, correction2, beta1, beta2 = numbers
    one, zero = np.float32(1), np.float32(0)
    for k in range(w.size):
        slope = g[k] * scale
        slope += l1 if w[k] > zero else (-l1 if w[k] < zero else zero)
        slope -= np.float32(0.01) if w[k] < zero else zero
        m[k] = beta1 * m[k] + (one - beta1) * slope
        v[k] = beta2 * v[k] + (one - beta2) * slope * slope
        w[k] -= rate * (m[k] * correction1) / (math.sqrt(v[k] * correction2) + np.float32(1e-8))


@_helper
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


@_helper
def _total(losses, size):
    """Sum in double precision, in order."""
    total = 0.0
    for t in range(size):
        total += losses[t]
    return total


@_helper
def _move_intercepts(intercepts, state, first, positions, out, size, numbers):
    """Adam on the three position intercepts, kept at mean zero (a common shift changes no probability)."""
    scale, rate, _, c1, c2, beta1, beta2 = numbers
    g = np.zeros(3, np.float64)
    for t in range(size):
        for k in range(3):
            g[positions[first + t, k]] += out[k, t]
    for k in range(3):
        slope = np.float32(g[k]) * scale
        state[0, k] = beta1 * state[0, k] + (np.float32(1) - beta1) * slope
        state[1, k] = beta2 * state[1, k] + (np.float32(1) - beta2) * slope * slope
        intercepts[k] -= rate * state[0, k] * c1 / (math.sqrt(state[1, k] * c2) + np.float32(1e-8))
    intercepts -= intercepts.mean()


@_compiled
def steps(W, m, v, data, batches, order, rates, l1s, scale, step, betas, rule, intercepts, state, losses):
    """Take one step for each batch named in ``order``, in place."""
    triplets, targets, counts, positions = data
    bounds, starts, slots = batches
    largest = int(np.max(np.diff(bounds)))
    z, out = np.empty((3, largest), np.float32), np.empty((3, largest), np.float32)
    loss = np.empty(largest, np.float32)
    partners, pulls = np.empty((3 * largest, 2), np.int32), np.empty((3 * largest, 2), np.float32)
    g = np.empty(W.shape[1:], np.float32)
    for s in range(order.shape[0]):
        b = order[s]
        lo, hi = bounds[b], bounds[b + 1]
        _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, z, out, loss)
        _hand_out(triplets, slots, out, lo, hi, partners, pulls)
        numbers = _numbers(scale, rates[s], l1s[s], step + s + 1, betas[0], betas[1])
        for block in range(W.shape[0]):
            _block_gradient(W[block], partners, pulls, starts[b], g)
            flat = (W[block].reshape(-1), m[block].reshape(-1), v[block].reshape(-1), g.reshape(-1))
            if rule == PLAIN:
                _adam(*flat, numbers)
            else:
                _published_adam(*flat, numbers)
        if positions.shape[0] > 1:
            _move_intercepts(intercepts, state, lo, positions, out, hi - lo, numbers)
        losses[s] = _total(loss, hi - lo) * scale


@_compiled
def gradient(W, data, batches, intercepts, result):
    """Sum of the gradients of the weighted cross-entropies of all batches, without the penalty, into ``result``."""
    triplets, targets, counts, positions = data
    bounds, starts, slots = batches
    result[:] = 0
    g = np.empty(W.shape[1:], np.float32)
    for b in range(bounds.shape[0] - 1):
        lo, hi = bounds[b], bounds[b + 1]
        z, out = np.empty((3, hi - lo), np.float32), np.empty((3, hi - lo), np.float32)
        loss = np.empty(hi - lo, np.float32)
        partners, pulls = np.empty((3 * (hi - lo), 2), np.int32), np.empty((3 * (hi - lo), 2), np.float32)
        _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, z, out, loss)
        _hand_out(triplets, slots, out, lo, hi, partners, pulls)
        for block in range(W.shape[0]):
            _block_gradient(W[block], partners, pulls, starts[b], g)
            result[block] += g


@_compiled
def index_batches(triplets, bounds, n):
    """Say, for every batch, where among its 3 x batch places sorted by item each triplet's three items stand."""
    starts = np.zeros((bounds.shape[0] - 1, n + 1), np.int32)
    slots = np.empty(triplets.shape, np.int32)
    fill = np.empty(n, np.int32)
    for b in range(bounds.shape[0] - 1):
        start = starts[b]
        for t in range(bounds[b], bounds[b + 1]):
            for k in range(3):
                start[triplets[t, k] + 1] += 1
        for i in range(n):
            start[i + 1] += start[i]
            fill[i] = start[i]
        for t in range(bounds[b], bounds[b + 1]):
            for k in range(3):
                i = triplets[t, k]
                slots[t, k] = fill[i]
                fill[i] += 1
    return starts, slots


@_compiled
def score(W, triplets, targets, counts, positions, intercepts, losses, verdicts):
    """Weighted loss of every triplet, and its verdict: 1 right (last column is odd), 0 wrong, -1 tied at the top."""
    step = 4096
    z, out = np.empty((3, step), np.float32), np.empty((3, step), np.float32)
    for lo in range(0, triplets.shape[0], step):
        hi = min(lo + step, triplets.shape[0])
        _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, z, out, losses[lo:hi])
        if positions.shape[0] > 1:
            _similarities(W, triplets, lo, hi, z)  # a verdict is about the items, not about where they stood
        for t in range(lo, hi):
            z0, z1, z2 = z[0, t - lo], z[1, t - lo], z[2, t - lo]
            other = max(z0, z1)
            verdicts[t] = 1 if z2 > other else (-1 if z2 == other or (z0 == z1 and z0 > z2) else 0)


@_compiled
def residuals(W, triplets, targets, counts, positions, intercepts, result):
    """Of every triplet's three pairs: how much likelier it was kept together than the weights say, times its count."""
    step = 4096
    z, out = np.empty((3, step), np.float32), np.empty((3, step), np.float32)
    losses = np.empty(step, np.float32)
    for lo in range(0, triplets.shape[0], step):
        hi = min(lo + step, triplets.shape[0])
        _coefficients(W, triplets, targets, counts, positions, intercepts, lo, hi, z, out, losses)
        for t in range(lo, hi):
            for k in range(3):
                result[t, k] = -out[k, t - lo]
