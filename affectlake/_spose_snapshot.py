"""A fit on its way: what is kept so that a killed one goes on where it was, to the same bits.

What belongs here: the state of one run and what it belongs to. What does not: where it is kept (the caller's
``Checkpoints``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from affectlake._spose_cpu import State
from affectlake._spose_data import Floats, Judgments


@dataclass(frozen=True)
class Snapshot:
    """One run after a twentieth, two twentieths, ... of its way.

    Attributes
    ----------
    seed : int
    belongs_to : str
        Hash of judgments and settings; a snapshot of anything else is not gone on with.
    l1 : float
        The penalty chosen or given.
    path : list of dict
        Where l1 was chosen, as in ``Spose.history``; empty where it was given.
    warm : bool
        Whether the descent began from fitted weights.
    losses : tuple of float
        Training cross-entropy of each part done.
    rng : dict
        State of the generator as the descent began: it decides batches and their order (numbers and text only).
    state : State
        Weights, Adam's moments, intercepts, steps taken.
    """

    seed: int
    belongs_to: str
    l1: float
    path: list[dict[str, float]]
    warm: bool
    losses: tuple[float, ...]
    rng: dict[str, Any]
    state: State


class Checkpoints(Protocol):
    """Keeps the newest snapshot of every seed; called from several threads."""

    def load(self, seed: int) -> Snapshot | None:
        """Return the newest snapshot of a seed, or None."""

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot; its arrays belong to the taker. Keeping only some of them loses time and nothing else."""


def fingerprint(data: Judgments, settings: object, first: Floats | None) -> str:
    """Hash of what decides a run: judgments in canonical order, settings, weights to start from."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (*data.data, *(() if first is None else (first,))):
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(repr((data.n_items, settings)).encode())
    return digest.hexdigest()
