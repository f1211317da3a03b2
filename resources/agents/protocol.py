"""The one protocol between the judging loop and everything that can judge.

An agent is given questions as a frame and yields accepted answers and failed attempts as frames, in chunks, so that an
agent that computes seven million choices from a matrix and an agent that asks a service one question at a time have the
same shape. A refusal or an answer that cannot be read is an attempt, never a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

IntArray = npt.NDArray[np.int32]

QUESTIONS = pl.Schema(
    {
        "triplet_id": pl.Int64,
        "a": pl.Int32,
        "b": pl.Int32,
        "c": pl.Int32,
        "presented": pl.String,
        "repeat": pl.Int32,
        "stimulus_version": pl.String,
        "attempted": pl.Int32,
    }
)
"""Columns of the questions given to an agent; a < b < c are items, ``presented`` is the order shown, such as bca, and
``attempted`` is how many physical answers to the question are known that were not accepted."""


@dataclass(frozen=True)
class Stimuli:
    """What agents may perceive, as frames of the tables of the same names (lazy, so that nothing unread is loaded)."""

    videos: pl.DataFrame
    captions: pl.LazyFrame
    ratings: pl.LazyFrame
    frames: pl.LazyFrame


@dataclass(frozen=True)
class Answers:
    """A chunk of what came back, with the columns of the tables ``judgments`` and ``attempts``."""

    judgments: pl.DataFrame
    attempts: pl.DataFrame


class Agent(Protocol):
    """Whoever judges which of three items is the odd one out."""

    @property
    def name(self) -> str:
        """The model's name in the study file."""
        ...

    @property
    def prompt_version(self) -> str:
        """Version of the wording, or of the rule, by which the agent judges."""
        ...

    def items(self) -> IntArray:
        """Items that the agent can perceive, sorted, int32[n]."""
        ...

    def stimulus_version(self, triplets: IntArray) -> pl.Series:
        """Version of what is shown for each triplet (items, int32[n, 3]): a change makes it a new question."""
        ...

    def prepare(self, progress: Callable[[int, int], None]) -> None:
        """Do what has to be done once before the first question; ``progress`` is told ``(done, total)``."""
        ...

    def judge(self, questions: Iterable[pl.DataFrame], progress: Callable[[int], None]) -> Iterator[Answers]:
        """Answer ``questions`` (schema ``QUESTIONS``) in chunks; ``progress`` is told how many more are done.

        Questions come in frames that are made when they are needed, so that no design is too large.
        Answers come in any order and carry their question's key; questions that were neither answered nor given up
        (the run was stopped) are simply absent.
        """
        ...
