"""Random numbers that depend on nothing but their own key.

A draw keyed by (seed, triplet, repeat) is the same in whatever order, chunk or process it is made, so a run that was
stopped and resumed gives the answers that an uninterrupted one would have given.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

UInt64s = npt.NDArray[np.uint64]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32, _S11 = (np.uint64(s) for s in (30, 27, 31, 32, 11))


def splitmix64(state: UInt64s) -> UInt64s:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014), element by element."""
    with np.errstate(over="ignore"):
        z = state + _GAMMA
        z = (z ^ (z >> _S30)) * _MIX1
        z = (z ^ (z >> _S27)) * _MIX2
        return z ^ (z >> _S31)


def counter_hash(seed: int, *keys: npt.ArrayLike) -> UInt64s:
    """A 64-bit hash of a seed and integer keys.

    Parameters
    ----------
    seed : int
        Any integer.
    *keys : int arrays
        Broadcast against each other.

    Returns
    -------
    uint64 array
        Of the broadcast shape.
    """
    out: UInt64s = splitmix64(np.asarray(seed & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64))
    for key in keys:
        # hashing after each key keeps (1, 2) and (2, 1) apart
        out = splitmix64(out ^ np.asarray(key).astype(np.int64).view(np.uint64))
    return out


def below(hashes: UInt64s, n: int | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Hashes as integers 0 .. n - 1, uniform to one part in 2**32 / n; ``n`` may differ from hash to hash."""
    return (((hashes >> _S32) * np.asarray(n).astype(np.uint64)) >> _S32).astype(np.int64)


def uniform(hashes: UInt64s) -> npt.NDArray[np.float64]:
    """Hashes as numbers in [0, 1), in steps of 2**-53."""
    return (hashes >> _S11).astype(np.float64) * 2.0**-53
