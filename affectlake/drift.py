"""Whether a service's judge is still the one it was: a few questions asked again, day by day.

What belongs here: which questions are due, and how the answers compare with the first day's. What does not: asking.

The sentinels are the first questions of the panel: each order of them was asked twice on the first day, so how often
the judge repeats itself within a day is known. Later rounds ask each of them once, in one order, under the next number
of repeat; whatever else uses the panel reads the repeats that were planned and no later ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.tables import ORDERS
from affectlake.triplets import presented_order

if TYPE_CHECKING:
    from affectlake.quality import Estimate

INTERVAL = timedelta(hours=24)
"""From the beginning of one round to the next."""

ALARM = -3.0
"""Standard errors by which agreement with the first day has fallen below the first day's agreement with itself."""


@dataclass(frozen=True)
class Round:
    """One round of the sentinels.

    Attributes
    ----------
    number : int
        1 for the first one after the first day.
    begun : datetime
    models : tuple of str
        Names of the models that the service says have answered.
    n : int
        Questions that both days answered.
    agreement : Estimate
        Share of answers equal to the first day's to the same question in the same order; interval over questions.
    first_day : Estimate
        The same among the first day's answers: what agreement would be without any change.
    z : float
        Their difference in standard errors of its mean over questions.
    """

    number: int
    begun: datetime
    models: tuple[str, ...]
    n: int
    agreement: Estimate
    first_day: Estimate
    z: float

    @property
    def alarm(self) -> bool:
        """Whether the judge has changed by more than three standard errors."""
        return self.z < ALARM


def due(triplets: pl.DataFrame, answered: pl.DataFrame, *, n: int, seed: int, now: datetime) -> pl.DataFrame:
    """The sentinels to be asked now.

    Parameters
    ----------
    triplets : polars.DataFrame
        Rows of the table ``triplets`` that the judge can perceive.
    answered : polars.DataFrame
        Its answers in today's wording: ``triplet_id``, ``repeat``, ``judged_at``.
    n : int
        How many questions of the panel are sentinels.
    seed : int
        The study's seed, for the random order.
    now : datetime
        With its time zone.

    Returns
    -------
    polars.DataFrame
        Columns of :func:`affectlake.triplets.questions`: none on the first day, those of a round begun within 24
        hours, else those of a new round.
    """
    sentinels = triplets.filter(pl.col("purpose") == "panel").sort("position").head(n)
    known = answered.join(sentinels.select("triplet_id", "repeats"), on="triplet_id")
    begun = known["judged_at"].min()
    repeat = None
    if not known.is_empty():
        later = known.filter(pl.col("repeat") >= pl.col("repeats"))
        repeat = int(known["repeats"].max()) if later.is_empty() else int(later["repeat"].max())  # type: ignore[arg-type]
        begun = begun if later.is_empty() else later.filter(pl.col("repeat") == repeat)["judged_at"].min()
        if isinstance(begun, datetime) and now - begun >= INTERVAL:
            repeat += not later.is_empty()
        elif later.is_empty():
            repeat = None
    sentinels = sentinels if repeat is not None else sentinels.clear()
    shown = presented_order(sentinels["triplet_id"].to_numpy(), np.zeros(sentinels.height, np.int64), seed)
    return sentinels.select("triplet_id", "a", "b", "c").with_columns(
        pl.Series("presented", [ORDERS[k] for k in shown], dtype=pl.String), repeat=pl.lit(repeat or 0, pl.Int32)
    )


def rounds(panel: pl.DataFrame) -> list[Round]:
    """Compare every later round of the sentinels with the first day.

    Parameters
    ----------
    panel : polars.DataFrame
        Answers to the panel in one wording: ``triplet_id``, ``presented``, ``repeat``, ``odd``, ``judged_at``,
        ``model_returned`` and ``repeats`` (of the table ``triplets``).

    Returns
    -------
    list of Round
        In the order in which they were asked.
    """
    planned = pl.col("repeat") < pl.col("repeats")
    question = ["triplet_id", "presented"]
    first = panel.filter(planned).select(*question, "repeat", first="odd")
    same = first.join(first, on=question, suffix="_2").filter(pl.col("repeat") < pl.col("repeat_2"))
    itself = same.group_by(question).agg(first_day=(pl.col("first") == pl.col("first_2")).mean())
    found = []
    for (repeat,), rows in panel.filter(~planned).sort("repeat").group_by("repeat", maintain_order=True):
        both = rows.join(first.drop("repeat"), on=question)
        now = both.group_by(question).agg(now=(pl.col("odd") == pl.col("first")).mean())
        shares = now.join(itself, on=question).sort(question)
        if shares.height:
            number = int(repeat) - int(rows["repeats"].max()) + 1  # type: ignore[arg-type]
            found.append(_round(number, rows, shares))
    return found


def _round(number: int, rows: pl.DataFrame, shares: pl.DataFrame) -> Round:
    from affectlake.quality import Estimate, half_width

    def estimate(values: npt.NDArray[np.float64]) -> Estimate:
        half = half_width(values)
        return Estimate(
            float(values.mean()), max(0.0, float(values.mean()) - half), min(1.0, float(values.mean()) + half)
        )

    now, first_day = shares["now"].to_numpy(), shares["first_day"].to_numpy()
    difference = now - first_day
    # where every question changed alike there is no spread; one question more or less is then what can be told
    error = max(float(difference.std(ddof=1)) / len(now) ** 0.5 if len(now) > 1 else 1.0, 1 / len(now))
    begun: datetime = rows["judged_at"].sort()[0]
    models = tuple(rows["model_returned"].drop_nulls().unique().sort())
    z = float(difference.mean()) / error
    return Round(number, begun, models, len(now), estimate(now), estimate(first_day), z)
