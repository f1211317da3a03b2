"""What the agents that compute their answers have in common: chunks, the rows of their answers, vectors by item.

What belongs here: the shape of answers. What does not: how an answer is found (the modules beside this one).
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.tables import ATTEMPTS, JUDGMENTS, ORDERS
from resources.agents.protocol import Answers, IntArray

CHUNK = 250_000
"""Questions answered at a time: bounds memory, and is how often progress is shown."""

ABSENT = -1
"""In a table by item: the item has no row."""

GRAM_ITEMS = 6000
"""Up to so many items all products are made beforehand (288 MB): millions of questions are then look-ups."""

BLOCK_VALUES = 2**22
"""Numbers gathered at a time where they are not."""

Floats = npt.NDArray[np.floating]


class Choices(NamedTuple):
    """Answers to a chunk of questions."""

    odd: npt.NDArray[np.integer]
    """Place of the odd one in (a, b, c): 0, 1, 2, or -1 where there is no answer."""
    probabilities: Floats | None = None
    """Probability that a, b and c is odd, of shape (n, 3), where the agent has one."""


class LocalAgent(ABC):
    """An agent that computes its answers: give it items, versions and a way to choose.

    Parameters
    ----------
    name : str
        The model's name in the study file.
    rule : str
        What the answer depends on besides the stimuli: every word and number of it.
    stimuli : str
        Hash of the stimuli that the answers are computed from.
    items : int32 array of shape (n,)
        Items that it can perceive.
    """

    def __init__(self, name: str, rule: str, stimuli: str, items: IntArray) -> None:
        self._name, self._items, self._stimuli = name, np.sort(items).astype(np.int32), stimuli
        self._rule = f"{rule.split(' ', 1)[0]}-{digest(rule)}"

    @property
    def name(self) -> str:
        """The model's name in the study file."""
        return self._name

    @property
    def prompt_version(self) -> str:
        """Name and hash of the rule by which the agent judges."""
        return self._rule

    def items(self) -> IntArray:
        """Items that the agent can perceive, sorted, int32[n]."""
        return self._items

    def prepare(self, progress: Callable[[int, int], None]) -> None:  # noqa: B027 - most have nothing to prepare
        """Nothing has to be done before the first question, unless an agent says otherwise."""

    def stimulus_version(self, triplets: IntArray) -> pl.Series:
        """One version for all triplets: all its answers come from one table, and asking again costs seconds."""
        return pl.repeat(self._stimuli, len(triplets), dtype=pl.String, eager=True).rename("stimulus_version")

    def judge(self, questions: Iterable[pl.DataFrame], progress: Callable[[int], None]) -> Iterator[Answers]:
        """Answer ``questions`` in chunks; see :class:`resources.agents.protocol.Agent`."""
        for block in questions:
            for chunk in block.iter_slices(CHUNK):
                yield self._answers(chunk, self.choose(chunk))
                progress(chunk.height)

    @abstractmethod
    def choose(self, questions: pl.DataFrame) -> Choices:
        """Answers to a chunk of questions, in its order."""

    def _answers(self, questions: pl.DataFrame, choices: Choices) -> Answers:
        now = pl.lit(datetime.now(UTC)).cast(pl.Datetime("us", "UTC"))
        probabilities = choices.probabilities
        columns = [None] * 3 if probabilities is None else probabilities.astype(np.float32).T
        rows = questions.with_columns(
            model=pl.lit(self.name),
            prompt_version=pl.lit(self.prompt_version),
            place=pl.Series(choices.odd.astype(np.int8)),
            **{
                f"p_{x}": pl.lit(p, pl.Float32) if p is None else pl.Series(p)
                for x, p in zip("abc", columns, strict=True)
            },
        )
        answered = rows.filter(pl.col("place") >= 0).with_columns(
            odd=pl.when(pl.col("place") == 0).then("a").when(pl.col("place") == 1).then("b").otherwise("c"),
            judged_at=now,
        )
        return Answers(shaped(answered, JUDGMENTS.schema), self._ties(rows.filter(pl.col("place") < 0), now))

    def _ties(self, rows: pl.DataFrame, now: pl.Expr) -> pl.DataFrame:
        """A tie has no answer: any label for it would be made up."""
        attempts = rows.with_columns(
            request_keys(rows),
            attempt=pl.lit(0, pl.Int32),
            reason=pl.lit("invalid"),
            final=pl.lit(True),
            raw=pl.lit("tie"),
            attempted_at=now,
        )
        return shaped(attempts, ATTEMPTS.schema)


def shaped(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The columns of ``schema``; those that ``rows`` does not have are null."""
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in rows.columns]
    return rows.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def request_keys(rows: pl.DataFrame) -> pl.Series:
    """The key of each request in the table ``attempts``: a hash of all that makes it this request and no other.

    Parameters
    ----------
    rows : polars.DataFrame
        Columns ``model``, ``prompt_version``, ``stimulus_version``, ``a``, ``b``, ``c``, ``presented``, ``repeat``.

    Returns
    -------
    polars.Series of String
        Named ``request_key``.
    """
    parts = rows.select("model", "prompt_version", "stimulus_version", "a", "b", "c", "presented", "repeat")
    return pl.Series("request_key", [digest(*row) for row in parts.iter_rows()], dtype=pl.String)


def digest(*parts: str | int | float | bytes | npt.NDArray[np.generic] | pl.Series) -> str:
    """A short hash of values, arrays and columns; 64 bits are ample for versions that are compared, not attacked."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            content = f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
        elif isinstance(part, pl.Series):
            content = "\x1f".join(str(v) for v in part).encode()
        else:
            content = part if isinstance(part, bytes) else json.dumps(part).encode()
        state.update(len(content).to_bytes(8, "little") + content)
    return state.hexdigest()[:16]


def rows_by_item(items: IntArray) -> npt.NDArray[np.int64]:
    """For each item its row in an array whose rows are ``items``; :data:`ABSENT` where it has none."""
    table = np.full(int(items.max()) + 1 if items.size else 0, ABSENT, dtype=np.int64)
    table[items] = np.arange(items.size)
    return table


def triplet_rows(questions: pl.DataFrame, table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows of a, b and c of each question, of shape (n, 3)."""
    rows: npt.NDArray[np.int64] = table[questions.select("a", "b", "c").to_numpy()]
    return rows


def presented_numbers(questions: pl.DataFrame) -> npt.NDArray[np.int64]:
    """The presented order of each question as its place in :data:`affectlake.tables.ORDERS`."""
    numbers = {order: i for i, order in enumerate(ORDERS)}
    return questions["presented"].replace_strict(numbers, return_dtype=pl.Int64).to_numpy()


class Pairs:
    """Products of the vectors of any two items.

    Parameters
    ----------
    vectors : float array of shape (n_items, d)
        One row an item.
    """

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._gram = vectors @ vectors.T if len(vectors) <= GRAM_ITEMS else None

    def __call__(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Products of the pairs (b, c), (a, c), (a, b): what speaks for a, b and c being the odd one.

        Parameters
        ----------
        rows : int64 array of shape (n, 3)
            Rows of a, b, c.

        Returns
        -------
        float array of shape (n, 3)
            In the type of the vectors.
        """
        pairs = ((1, 2), (0, 2), (0, 1))
        if self._gram is not None:
            return np.stack([self._gram[rows[:, i], rows[:, j]] for i, j in pairs], axis=1)
        step = max(1, BLOCK_VALUES // self._vectors.shape[1])
        blocks = []
        for start in range(0, len(rows), step):
            three = [self._vectors[rows[start : start + step, i]] for i in range(3)]
            blocks.append(np.stack([np.einsum("nd,nd->n", three[i], three[j]) for i, j in pairs], axis=1))
        return np.concatenate(blocks) if blocks else np.empty((0, 3), self._vectors.dtype)


def listed_items(videos: pl.DataFrame) -> pl.DataFrame:
    """``video_id`` and ``item`` of the clips that have not left the study, sorted by item."""
    return videos.filter(pl.col("status") != "left").select("video_id", "item").sort("item")
