"""All that is measured of one judge, from its rows of ``judgments`` and ``attempts``: what a panel shows.

What belongs here: bringing the measures together. What does not: their definitions (``judge_panel``, ``judge_clips``,
``drift``), drawing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from affectlake import drift, judge_clips, judge_panel

if TYPE_CHECKING:
    from affectlake.quality import Estimate

USAGE = ("latency_s", "tokens_in", "tokens_out", "cost_usd")
"""Columns of ``judgments`` whose quantiles are shown."""

BIASED_P, BIASED_BY = 0.001, 0.01
"""A place is told of as an alarm where both the test and the share's distance from a third say so: among millions of
answers a test alone finds a preference that moves nothing."""


@dataclass(frozen=True)
class Measures:
    """One judge in its newest wording.

    Attributes
    ----------
    model, prompt_version : str
    n_answers, n_given_up : int
        Accepted answers, and questions that ended without one.
    n_clips : int
        Clips with an accepted answer.
    places : Places or None
    bias : Bias or None
    agreement : SelfAgreement or None
        On the panel's planned questions.
    ceiling : Estimate or None
    near_ties, n_soft : int
        Answers that are nearly ties, among those with probabilities.
    clips : polars.DataFrame
        Of :func:`affectlake.judge_clips.clip_rates`.
    rounds : list of Round
        Of the sentinels.
    usage : dict
        Column to its median, 90th and 99th percentile.
    totals : dict
        Column to its sum over answers and attempts; None where nothing was counted.
    answered_by : polars.DataFrame
        ``model_returned``, ``n``, ``first`` and ``last``: who answered, and when.
    reasons : polars.DataFrame
        ``reason``, ``n``, ``given_up`` and ``raw`` (up to three texts as received, untrusted).
    """

    model: str
    prompt_version: str
    n_answers: int
    n_given_up: int
    n_clips: int
    places: judge_panel.Places | None
    bias: judge_panel.Bias | None
    agreement: judge_panel.SelfAgreement | None
    ceiling: Estimate | None
    near_ties: int
    n_soft: int
    clips: pl.DataFrame
    rounds: list[drift.Round]
    usage: dict[str, tuple[float | None, ...]]
    totals: dict[str, float | None]
    answered_by: pl.DataFrame
    reasons: pl.DataFrame

    @property
    def alarms(self) -> list[str]:
        """What a reader must know first, in sentences."""
        found = []
        if self.places and self.places.p < BIASED_P:
            place = max(range(3), key=lambda k: abs(self.places.shares[k].value - 1 / 3))  # type: ignore[union-attr]
            chosen = self.places.shares[place].value
            if abs(chosen - 1 / 3) > BIASED_BY:
                name = ("first", "second", "third")[place]
                found.append(f"The place matters: the {name} clip is called odd in {chosen:.1%} of random orders.")
        for column, what in (("refused", "refused"), ("invalid", "answered unreadably")):
            n = int(self.clips[f"{column}_stands_out"].sum())
            if n:
                clips = "1 clip is" if n == 1 else f"{n} clips are"
                found.append(f"{clips} {what} more than five times as often as the median clip.")
        changed = [r.number for r in self.rounds if r.alarm]
        if changed:
            found.append(f"The judge has changed: round {', '.join(map(str, changed))} of the sentinels differs.")
        if self.answered_by.height > 1:
            found.append("Answers come from " + " and ".join(self.answered_by["model_returned"]) + ".")
        return found


def measure(model: str, judgments: pl.LazyFrame, attempts: pl.LazyFrame, triplets: pl.LazyFrame) -> Measures | None:
    """Measure one judge.

    Parameters
    ----------
    model : str
    judgments, attempts : polars.LazyFrame
        Its rows of the tables; read column by column, so that millions of answers need little memory.
    triplets : polars.LazyFrame
        The table ``triplets``; only the panel and the repeated questions are read.

    Returns
    -------
    Measures or None
        None where it has given no answer in a known order.
    """
    answers = judge_panel.current(judgments)
    version = answers.select("prompt_version").head(1).collect()
    if version.is_empty():
        return None
    prompt_version = version["prompt_version"][0]
    tries = attempts.filter(pl.col("prompt_version") == prompt_version)
    repeated = triplets.filter(pl.col("purpose").is_in(("panel", "ceiling"))).select("triplet_id", "purpose", "repeats")
    asked = (
        answers.join(repeated, on="triplet_id")
        .collect()
        .unique(["triplet_id", "presented", "repeat"], keep="last", maintain_order=True)
    )
    panel = asked.filter(pl.col("purpose") == "panel")
    planned = panel.filter(pl.col("repeat") < pl.col("repeats"))
    random = answers.join(repeated.filter(pl.col("purpose") == "panel"), on="triplet_id", how="anti")
    near, soft = judge_panel.near_ties(answers)
    clips = judge_clips.clip_rates(answers, tries)
    return Measures(
        model,
        prompt_version,
        int(answers.select(pl.len()).collect().item()),
        int(tries.select(pl.col("final").sum()).collect().item()),
        clips.filter(pl.col("n") > pl.col("n_refused") + pl.col("n_invalid")).height,
        judge_panel.places(random),
        judge_panel.position_bias(planned) if planned.height else None,
        judge_panel.self_agreement(planned),
        judge_panel.ceiling(asked.filter(pl.col("purpose") == "ceiling")),
        near,
        soft,
        clips,
        drift.rounds(panel),
        judge_panel.quantiles(answers, USAGE),
        _totals(answers, tries),
        _answered_by(answers),
        _reasons(tries),
    )


def _totals(answers: pl.LazyFrame, tries: pl.LazyFrame) -> dict[str, float | None]:
    names = USAGE[1:]
    both = pl.concat([frame.select(pl.col(c).cast(pl.Float64) for c in names) for frame in (answers, tries)])
    row = both.select(pl.when(pl.col(c).count() > 0).then(pl.col(c).sum()).alias(c) for c in names).collect()
    return row.row(0, named=True)


def _answered_by(answers: pl.LazyFrame) -> pl.DataFrame:
    named = answers.filter(pl.col("model_returned").is_not_null())
    at = pl.col("judged_at")
    return named.group_by("model_returned").agg(n=pl.len(), first=at.min(), last=at.max()).sort("first").collect()


def _reasons(tries: pl.LazyFrame) -> pl.DataFrame:
    texts = pl.col("raw").drop_nulls().unique().sort().head(3)
    return tries.group_by("reason").agg(n=pl.len(), given_up=pl.col("final").sum(), raw=texts).sort("reason").collect()
