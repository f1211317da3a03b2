"""Snapshots of a training on its way, in the lake: what a killed computation goes on with.

What belongs here: rows of ``checkpoints`` from snapshots and back. What does not: what a snapshot is
(``affectlake.spose``), and when it is out of date (its ``belongs_to`` says).
"""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import polars as pl

from affectlake.spose import Snapshot
from affectlake.tables import CHECKPOINTS, unstamped
from resources.lake import Lake

EVERY_S = 30.0
"""Seconds between two writes: what a kill can lose, and a commit costs a fraction of a second."""


class LakeCheckpoints:
    """The newest snapshot of every seed of one model's training.

    Parameters
    ----------
    lake : Lake
    model : str
    code_version : str
        Snapshots of other code are not gone on with.
    run_id : str
        Noted in the commits.
    """

    def __init__(self, lake: Lake, model: str, code_version: str, run_id: str) -> None:
        self._lake, self._key, self._code, self._run_id = lake, {"model": model}, code_version, run_id
        found = lake.read(CHECKPOINTS.name, self._key).filter(pl.col("code_version") == code_version)
        self._snapshots = {row["seed"]: _snapshot(row) for row in found.iter_rows(named=True)}
        self._written = time.monotonic()
        self._lock = threading.Lock()

    @property
    def n_found(self) -> int:
        """Runs that an earlier computation left behind."""
        return len(self._snapshots)

    def load(self, seed: int) -> Snapshot | None:
        """Return the newest snapshot of a seed, or None."""
        return self._snapshots.get(seed)

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot; all of them are written when the last write is long enough ago."""
        with self._lock:
            self._snapshots[snapshot.seed] = snapshot
            if time.monotonic() - self._written >= EVERY_S:
                rows = [self._key | {"code_version": self._code} | _row(s) for s in self._snapshots.values()]
                self._lake.overwrite(CHECKPOINTS.name, pl.DataFrame(rows, schema=_SCHEMA), self._key, self._run_id)
                self._written = time.monotonic()

    def clear(self) -> None:
        """Drop what was kept: the training is done."""
        if not self._lake.scan(CHECKPOINTS.name, self._key).head(1).collect().is_empty():
            self._lake.overwrite(CHECKPOINTS.name, CHECKPOINTS.empty(), self._key, self._run_id)


_SCHEMA = unstamped(CHECKPOINTS) | {"code_version": pl.String}
_ARRAYS = ("weights", "first_moments", "second_moments", "intercepts", "intercept_moments")


def _row(snapshot: Snapshot) -> dict[str, Any]:
    state = snapshot.state
    arrays = (state.weights, *state.moments, state.intercepts, state.intercept_moments)
    return {
        "seed": snapshot.seed,
        "belongs_to": snapshot.belongs_to,
        "l1": snapshot.l1,
        "path": json.dumps(snapshot.path),
        "warm": snapshot.warm,
        "losses": list(snapshot.losses),
        "rng": json.dumps(snapshot.rng),
        "steps": state.taken,
        "width": state.weights.shape[1],
        **{name: array.ravel() for name, array in zip(_ARRAYS, arrays, strict=True)},
    }


def _snapshot(row: dict[str, Any]) -> Snapshot:
    from affectlake._spose_cpu import State

    weights, first, second, intercepts, its_moments = (np.array(row[name], np.float32) for name in _ARRAYS)
    shape = (-1, row["width"])
    state = State(
        weights.reshape(shape),
        intercepts,
        np.stack([first.reshape(shape), second.reshape(shape)]),
        its_moments.reshape(2, 3),
        row["steps"],
    )
    return Snapshot(
        row["seed"], row["belongs_to"], row["l1"], json.loads(row["path"]), row["warm"], tuple(row["losses"]),
        json.loads(row["rng"]), state,
    )  # fmt: skip
