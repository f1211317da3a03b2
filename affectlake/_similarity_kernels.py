# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
"""The compiled triple loop of the predicted similarity matrix."""

from __future__ import annotations

import math
from typing import Any

from numba import njit, prange

_OPTIONS: Any = {"cache": True, "nogil": True, "parallel": True, "error_model": "numpy"}


@njit(fastmath={"reassoc", "contract", "arcp", "nsz"}, **_OPTIONS)
def kept_together(e, result):
    """Mean over k of e_ij / (e_ij + e_ik + e_jk); the infinite diagonal of ``e`` leaves out k = i and j."""
    n = e.shape[0]
    for i in prange(n):
        result[i, i] = 1.0
        for j in range(i + 1, n):
            pair = e[i, j]
            total = pair * 0
            for k in range(n):
                total += pair / (pair + e[i, k] + e[j, k])
            share = total / (n - 2)
            result[i, j] = share
            result[j, i] = share


@njit(**_OPTIONS)
def kept_together_far(s, result):
    """Compute the same from similarities too far apart for a common exp(); slower by the exponentials."""
    n = s.shape[0]
    for i in prange(n):
        result[i, i] = 1.0
        for j in range(i + 1, n):
            total = 0.0
            for k in range(n):
                if k != i and k != j:
                    total += 1 / (1 + math.exp(s[i, k] - s[i, j]) + math.exp(s[j, k] - s[i, j]))
            share = total / (n - 2)
            result[i, j] = share
            result[j, i] = share
