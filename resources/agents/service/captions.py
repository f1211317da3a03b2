"""What a reader of captions is shown, and the version of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.counterhash import counter_hash
from resources.agents.captions import ReadCaptions
from resources.agents.local import digest, rows_by_item
from resources.agents.protocol import IntArray, Stimuli
from resources.study import Study

Render = Callable[[Sequence[Sequence[str]]], str]


class ShownCaptions:
    """The captions of the study's clips as texts.

    Parameters
    ----------
    model : str
        The model's name, for messages.
    stimuli : Stimuli
        Videos and captions.
    study : Study
        Says which captions are used.
    render : callable
        From the captions of three clips, in presented order, to the question.

    Raises
    ------
    AgentError
        No clip of the study has a caption.
    """

    def __init__(self, model: str, stimuli: Stimuli, study: Study, render: Render) -> None:
        self._render = render
        self._captions = ReadCaptions(model, stimuli, study)
        self.items: IntArray = self._captions.items
        self._row = rows_by_item(self.items)
        self._texts: list[str] = self._captions.table["text"].to_list()
        # 64 bits of each caption, so that millions of questions are hashed without touching a text again
        self._hash = np.array([int(digest(text), 16) for text in self._texts], dtype=np.uint64)

    def versions(self, triplets: IntArray) -> pl.Series:
        """Version of what is shown for each triplet: changes with the captions of its own three clips only.

        Parameters
        ----------
        triplets : int32 array of shape (n, 3)
            Sorted items.

        Returns
        -------
        polars.Series of String
            Named ``stimulus_version``.
        """
        read = self._captions
        if read.use == "all":
            spans = zip(read.first.tolist(), read.count.tolist(), strict=True)
            shown = np.array([counter_hash(n, *self._hash[at : at + n]) for at, n in spans])[self._row[triplets]]
        else:
            shown = counter_hash(1, self._hash[read.shown(triplets)])
        hashes = counter_hash(0, *shown.T)
        return pl.Series("stimulus_version", [f"{h:016x}" for h in hashes.tolist()], dtype=pl.String)

    def sizes(self, triplets: IntArray) -> npt.NDArray[np.int64]:
        """Bytes of the text of each question, int64[n]: what :meth:`question` gives in any order, without making it.

        Parameters
        ----------
        triplets : int32 array of shape (n, 3)
            Sorted items.
        """
        read = self._captions
        rows = self._row[triplets] if read.use == "all" else read.shown(triplets)
        around, more = self._bytes
        sizes: npt.NDArray[np.int64] = around + more[rows].sum(axis=1)
        return sizes

    @cached_property
    def _bytes(self) -> tuple[int, npt.NDArray[np.int64]]:
        """Bytes of a question about nothing, and what each caption (under ``use: all``, item) adds to it."""
        read = self._captions
        shown = [self._texts[at : at + n] for at, n in zip(read.first.tolist(), read.count.tolist(), strict=True)]
        if read.use != "all":
            shown = [[text] for text in self._texts]
        around = len(self._render([[], [], []]).encode())
        return around, np.array([len(self._render([texts, [], []]).encode()) - around for texts in shown])

    def prepare(self, items: IntArray, progress: Callable[[int, int], None]) -> None:
        """Nothing: captions stand in memory."""

    def question(self, row: Mapping[str, Any]) -> tuple[str, tuple[()]]:
        """The text of a question; nothing stands before it."""
        texts = self.texts((row["a"], row["b"], row["c"]))
        return self._render([texts[row[place]] for place in row["presented"]]), ()

    def texts(self, triplet: tuple[int, int, int]) -> dict[int, list[str]]:
        """What each item of one sorted triplet shows."""
        read = self._captions
        if read.use == "all":
            rows = [int(self._row[item]) for item in triplet]
            return {
                i: self._texts[read.first[r] : read.first[r] + read.count[r]]
                for i, r in zip(triplet, rows, strict=True)
            }
        shown = read.shown(np.array([triplet], dtype=np.int32))[0]
        return {item: [self._texts[row]] for item, row in zip(triplet, shown, strict=True)}

    def numbered(self, questions: pl.DataFrame) -> pl.DataFrame:
        """``questions`` with the numbers of the captions that they show; null where all are shown."""
        return self._captions.numbered(questions)
