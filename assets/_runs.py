"""The runs that a training ended with, in the lake: what the next one begins with where the study wants that.

What belongs here: rows of ``embedding_runs`` from weights and back, and when they may be gone on with. What does not:
fitting (``affectlake.spose``), when a space is learnt again (``resources.refitting``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake import judged
from affectlake.tables import EMBEDDING_RUNS, unstamped
from assets._work import Work

Floats = npt.NDArray[np.float32]

MOST_GROWTH = 1.5
"""A run that goes on from an earlier one loses dimensions and finds none. With so many times the judgments that its
line began with from random weights, it begins there again."""


class Runs:
    """The earlier runs of one model, as far as a new training may begin with them.

    Attributes
    ----------
    starts : list of float32[m, d_run] or None
        What each run may begin with; None where the training begins with random weights.
    n_random : int
        Training judgments that its line of runs began with from random weights.

    Parameters
    ----------
    work : Work
    n_train : int
        Training judgments of the new training.
    n_items : int
    """

    def __init__(self, work: Work, n_train: int, n_items: int) -> None:
        decisive = [work.recipe.settings(work.study, work.key), work.recipe.code_version]
        text = json.dumps(decisive, sort_keys=True, default=str)
        self._belongs_to = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        self._model, self._n_items, self.n_random = work.model, n_items, n_train
        self.starts: list[Floats] | None = None
        if work.study.embedding.refit_share:
            self._take_up(work.lake.read(EMBEDDING_RUNS.name, work.key), n_train)

    def _take_up(self, rows: pl.DataFrame, n_train: int) -> None:
        rows = rows.filter(pl.col("belongs_to") == self._belongs_to, pl.col("item") < self._n_items)
        if rows.is_empty() or not rows["vector"].list.len().min():
            return
        begun = int(rows["n_random"][0])
        if begun <= n_train <= MOST_GROWTH * begun:
            self.n_random = begun
            self.starts = [_weights(run) for _, run in rows.sort("seed").group_by("seed", maintain_order=True)]

    def rows(self, seed: int, runs: Sequence[Floats]) -> pl.DataFrame:
        """The rows of ``embedding_runs`` after a training, without the stamp."""
        frames = [
            pl.DataFrame(
                {
                    "item": np.arange(len(weights), dtype=np.int32),
                    "vector": pl.Series(np.ascontiguousarray(weights), dtype=pl.List(pl.Float32)),
                }
            ).with_columns(seed=pl.lit(seed + k, dtype=pl.Int64))
            for k, weights in enumerate(runs)
        ]
        empty = pl.DataFrame(schema=unstamped(EMBEDDING_RUNS))
        own: dict[str, Any] = {
            "model": pl.lit(self._model),
            "belongs_to": pl.lit(self._belongs_to),
            "n_random": pl.lit(self.n_random, dtype=pl.Int64),
        }
        return pl.concat(frames).with_columns(**own).select(empty.columns) if frames else empty


def _weights(run: pl.DataFrame) -> Floats:
    """A run's weights, float32[n, d], a row an item; items that it does not hold have zeros."""
    found = run.sort("item")
    known = judged.vectors(found)
    weights = np.zeros((int(found["item"][-1]) + 1, known.shape[1]), np.float32)
    weights[found["item"].to_numpy()] = known
    return weights
