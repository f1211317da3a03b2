"""Which captions of a clip a judge reads, and which of them each question shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.counterhash import below, counter_hash
from affectlake.errors import AgentError
from affectlake.triplets import rank
from resources.agents.local import listed_items, rows_by_item
from resources.agents.protocol import IntArray, Stimuli
from resources.study import Study

NUMBERS = ("caption_a", "caption_b", "caption_c")
"""Columns of ``judgments`` that say which caption of each clip was shown."""


class ReadCaptions:
    """The captions of the study's clips that its judges read.

    Under ``use: first`` a clip shows its first caption and under ``all`` all of them; under ``random`` each question
    takes one caption of each clip, chosen by a hash of triplet and item, the same for every judge.

    Parameters
    ----------
    model : str
        The judge's name, for messages.
    stimuli : Stimuli
        Videos and captions.
    study : Study
        Says which captions are used.

    Attributes
    ----------
    table : polars.DataFrame
        Columns ``item``, ``caption`` and ``text`` of all captions that may be shown, sorted.
    items : int32[n]
        Items with a caption, sorted.
    first, count : int64[n]
        Where each item's captions begin in ``table``, and how many there are.

    Raises
    ------
    AgentError
        No clip of the study has a caption.
    """

    def __init__(self, model: str, stimuli: Stimuli, study: Study) -> None:
        self.use = "first" if study.captions is None else study.captions.use
        captions = stimuli.captions.select("video_id", "caption", "text").collect()
        captions = captions.join(listed_items(stimuli.videos), on="video_id").sort("item", "caption")
        if captions.is_empty():
            raise AgentError("no clip of the study has a caption", where=f"model {model}", remedy="Mend `captions:`.")
        if self.use == "first":
            captions = captions.unique("item", keep="first", maintain_order=True)
        self.table = captions.select("item", "caption", "text")
        self.items: IntArray = captions["item"].unique().sort().to_numpy()
        self.first = np.searchsorted(captions["item"].to_numpy(), self.items)
        self.count = np.diff(np.append(self.first, captions.height))
        self._row = rows_by_item(self.items)

    def shown(self, triplets: IntArray) -> npt.NDArray[np.int64]:
        """Rows in ``table`` of the one caption of each clip that each triplet shows; not under ``use: all``.

        Parameters
        ----------
        triplets : int32 array of shape (n, 3)
            Sorted items.

        Returns
        -------
        int64 array of shape (n, 3)
        """
        rows = self._row[triplets]
        if self.use == "first":
            return self.first[rows]
        # the high half of the hash scaled by each clip's own number of captions
        return self.first[rows] + below(counter_hash(0, rank(triplets)[:, None], triplets), self.count[rows])

    def numbered(self, questions: pl.DataFrame) -> pl.DataFrame:
        """``questions`` with the numbers of the captions that they show; null where all are shown."""
        if self.use == "all":
            return unnumbered(questions)
        shown = self.shown(questions.select("a", "b", "c").to_numpy())
        numbers = self.table["caption"].to_numpy()[shown]
        return questions.with_columns(pl.Series(name, numbers[:, i], pl.Int32) for i, name in enumerate(NUMBERS))


def unnumbered(questions: pl.DataFrame) -> pl.DataFrame:
    """``questions`` that show no caption by itself."""
    return questions.with_columns(pl.lit(None, pl.Int32).alias(name) for name in NUMBERS)
