# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
"""The softmax over three similarities, in a form that a compiler turns into vector instructions.

What belongs here: exp, log and softmax of float32, and how kernels are compiled. What does not: where similarities come
from (``_spose_kernels``). The C library's exp and log are called one value at a time and took a third of a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# Reassociation lets the compiler vectorise the dot products; NaN and infinity keep their meaning, so that a diverged
# fit is seen and not silently turned into numbers.
_FAST = {"reassoc", "contract", "arcp", "nsz"}
OPTIONS: Any = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": _FAST}
_compiled: Any = njit(**OPTIONS)

_LOWEST = np.float32(-87)
"""exp() below this is no normal float32."""

_ROOT3, _LOG_ROOT3 = np.float32(np.sqrt(3)), np.float32(np.log(3) / 2)


@_compiled
def exponential(x):
    """Return exp(x) for x <= 0 to two units in the last place: 2 ** n times a polynomial (Cephes, expf); NaN stays."""
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


@_compiled
def logarithm(x):
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


@_compiled
def softmax(z, p, log_total, size):
    """Probabilities float32[3, size] of three logits each, and the logarithm of the sum of their exponentials."""
    for t in range(size):
        z0, z1, z2 = z[0, t], z[1, t], z[2, t]
        top = max(z0, max(z1, z2))
        e0, e1, e2 = exponential(z0 - top), exponential(z1 - top), exponential(z2 - top)
        total = e0 + e1 + e2
        p[0, t], p[1, t], p[2, t] = e0 / total, e1 / total, e2 / total
        log_total[t] = logarithm(total) + top
