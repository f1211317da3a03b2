"""What a reader of captions is shown: which captions of a clip, and the version of them that a question shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.counterhash import below, counter_hash
from affectlake.errors import AgentError
from affectlake.triplets import rank
from resources.agents.local import digest, listed_items, rows_by_item
from resources.agents.protocol import IntArray, Stimuli
from resources.study import Study


class ShownCaptions:
    """The captions of the study's clips as agents read them.

    Under ``use: first`` a clip shows its first caption and under ``all`` all of them; under ``random`` each question
    takes one caption of each clip, chosen by a hash of triplet and item.

    Parameters
    ----------
    model : str
        The model's name, for messages.
    stimuli : Stimuli
        Videos and captions.
    study : Study
        Says which captions are used.

    Raises
    ------
    AgentError
        No clip of the study has a caption.
    """

    def __init__(self, model: str, stimuli: Stimuli, study: Study) -> None:
        self._random = study.captions is not None and study.captions.use == "random"
        captions = stimuli.captions.select("video_id", "caption", "text").collect()
        captions = captions.join(listed_items(stimuli.videos), on="video_id").sort("item", "caption")
        if captions.is_empty():
            raise AgentError("no clip of the study has a caption", where=f"model {model}", remedy="Mend `captions:`.")
        if study.captions is not None and study.captions.use == "first":
            captions = captions.unique("item", keep="first", maintain_order=True)
        grouped = captions.group_by("item", maintain_order=True).agg("text")
        self.items: IntArray = grouped["item"].to_numpy()
        self._texts: list[list[str]] = grouped["text"].to_list()
        self._row = rows_by_item(self.items)
        self._count = np.array([len(texts) for texts in self._texts])
        self._first = np.cumsum(self._count) - self._count
        # 64 bits of each caption, so that millions of questions are hashed without touching a text again
        self._hash = np.array([int(digest(text), 16) for text in captions["text"]], dtype=np.uint64)

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
        rows = self._row[triplets]
        if self._random:
            shown = counter_hash(1, self._hash[self._first[rows] + self._chosen(triplets)])
        else:
            spans = zip(self._first.tolist(), self._count.tolist(), strict=True)
            shown = np.array([counter_hash(n, *self._hash[first : first + n]) for first, n in spans])[rows]
        hashes = counter_hash(0, *shown.T)
        return pl.Series("stimulus_version", [f"{h:016x}" for h in hashes.tolist()], dtype=pl.String)

    def texts(self, triplet: tuple[int, int, int]) -> dict[int, list[str]]:
        """What each item of one sorted triplet shows."""
        texts = {item: self._texts[self._row[item]] for item in triplet}
        if not self._random:
            return texts
        chosen = self._chosen(np.array([triplet], dtype=np.int32))[0]
        return {item: [texts[item][int(i)]] for item, i in zip(triplet, chosen, strict=True)}

    def _chosen(self, triplets: IntArray) -> npt.NDArray[np.int64]:
        return below(counter_hash(0, rank(triplets)[:, None], triplets), self._count[self._row[triplets]])
