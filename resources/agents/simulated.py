"""A judge whose space is known: for the demo, and for tests of everything that is learnt from judgments."""

from __future__ import annotations

import numpy as np
import polars as pl

from affectlake.counterhash import below, counter_hash, uniform
from affectlake.tables import ORDERS
from resources.agents.features import read_space
from resources.agents.local import Choices, LocalAgent, Pairs, digest, presented_numbers, rows_by_item, triplet_rows
from resources.agents.protocol import Stimuli
from resources.study import SimulatedModel, Study

_SHOWN_AT = np.array([[order.index(letter) for letter in "abc"] for order in ORDERS])
"""For each presented order, the position at which a, b and c are shown."""


class SimulatedAgent(LocalAgent):
    """Choices from a planted space, with temperature, lapses and position bias.

    The probability that x is odd goes with exp(s / temperature + bias), s being the dot product of the other two and
    bias that of the position where x is shown. With probability ``lapse`` the choice is random instead. Each draw is
    keyed by its question, so that an interrupted run gives the same answers as one that was not. The answers are hard
    choices: probabilities are not reported.
    """

    def __init__(self, settings: SimulatedModel, stimuli: Stimuli, study: Study) -> None:
        space = read_space(settings.name, study.resolve(settings.file), study.resolve(settings.ids), stimuli.videos)
        bias = " ".join(f"{b:g}" for b in settings.position_bias)
        rule = (
            f"simulated temperature={settings.temperature:g} lapse={settings.lapse:g} "
            f"position_bias={bias} seed={settings.seed}"
        )
        order = np.argsort(space.items)
        vectors = space.vectors[order]
        super().__init__(settings.name, rule, digest(space.items[order], vectors), space.items)
        self._settings, self._pairs = settings, Pairs(vectors)
        self._row = rows_by_item(self.items())

    def choose(self, questions: pl.DataFrame) -> Choices:
        """A draw from the softmax over the three pairs, or from all three where the judge lapses."""
        settings, shown = self._settings, presented_numbers(questions)
        logits = self._pairs(triplet_rows(questions, self._row)) / settings.temperature
        logits = logits + np.asarray(settings.position_bias)[_SHOWN_AT[shown]]
        cumulative = np.exp(logits - logits.max(axis=1, keepdims=True)).cumsum(axis=1)
        keys = (questions["triplet_id"].to_numpy(), shown, questions["repeat"].to_numpy())
        draw, lapse, guess = (counter_hash(settings.seed, *keys, purpose) for purpose in range(3))
        chosen = (uniform(draw)[:, None] * cumulative[:, 2:] >= cumulative[:, :2]).sum(axis=1)
        return Choices(np.where(uniform(lapse) < settings.lapse, below(guess, 3), chosen))
