"""The odd one out by human ratings, as the paper derives its two human systems."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import AgentError
from resources.agents.local import Choices, LocalAgent, Pairs, digest, listed_items, rows_by_item, triplet_rows
from resources.agents.protocol import IntArray, Stimuli
from resources.study import RatingsModel

TIE = 1e-12
"""Cosines closer than this are equal: what is left of them is rounding."""


def rating_vectors(
    stimuli: Stimuli, scale: str, model: str
) -> tuple[IntArray, npt.NDArray[np.float64], tuple[str, ...]]:
    """The study's ratings on one scale as a matrix.

    Returns
    -------
    items : int32 array of shape (n,)
        Items with a rating on every name of the scale, sorted.
    vectors : float64 array of shape (n, d)
        Their ratings, in the units of the scale.
    names : tuple of str
        Columns of ``vectors``, in the order of the ratings table.

    Raises
    ------
    AgentError
        No clip of the study is rated on this scale.
    """
    long = stimuli.ratings.filter(pl.col("scale") == scale).select("video_id", "name", "value").collect()
    rated = long.join(listed_items(stimuli.videos), on="video_id")
    names = tuple(rated["name"].unique().sort())
    if not names:
        raise AgentError(
            f"no clip of the study has ratings on the scale {scale!r}",
            where=f"model {model}",
            remedy="Give the file under `ratings:`, or remove the model.",
        )
    wide = rated.pivot("name", index="item", values="value").drop_nulls().sort("item")
    return wide["item"].to_numpy(), wide.select(names).to_numpy(), names


class RatingsAgent(LocalAgent):
    """The odd one is the item outside the pair whose rating vectors have the highest cosine.

    Deterministic. A tie of the two best pairs is not an answer. An item whose ratings are all zero has no direction and
    is not perceived.
    """

    def __init__(self, settings: RatingsModel, stimuli: Stimuli) -> None:
        items, vectors, names = rating_vectors(stimuli, settings.scale, settings.name)
        length = np.linalg.norm(vectors, axis=1)
        items, vectors = items[length > 0], vectors[length > 0]
        version = digest(items, vectors, *names)
        super().__init__(settings.name, f"cosine-argmax scale={settings.scale} tie={TIE}", version, items)
        self._pairs = Pairs(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
        self._row = rows_by_item(self.items())

    def choose(self, questions: pl.DataFrame) -> Choices:
        """The item outside the most similar pair; no answer where two pairs tie."""
        cosines = self._pairs(triplet_rows(questions, self._row))
        ordered = np.sort(cosines, axis=1)
        return Choices(np.where(ordered[:, 2] - ordered[:, 1] > TIE, cosines.argmax(axis=1), -1))
