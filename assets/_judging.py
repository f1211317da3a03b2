"""Which questions one model has to answer, and which of its answers count."""

from __future__ import annotations

import polars as pl

from affectlake.exclusions import Exclusions
from assets._work import Work
from resources.agents import build_agent
from resources.agents.protocol import Agent, Stimuli
from resources.study import AnyModel, RecordedModel

KEY = ["triplet_id", "presented", "repeat", "prompt_version", "stimulus_version"]


def stimuli(work: Work) -> Stimuli:
    """What may be perceived."""
    lake = work.lake
    return Stimuli(lake.read("videos"), lake.scan("captions"), lake.scan("ratings"), lake.scan("frames"))


def agent_of(work: Work, model: AnyModel) -> Agent:
    """The judge, with what it may perceive."""
    return build_agent(model, stimuli(work), work.study)


def asked(agent: Agent, model: AnyModel, triplets: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Every question of the design that the judge can perceive, with its versions."""
    from affectlake.triplets import questions

    perceived = pl.Series(agent.items())
    wanted = triplets.filter(
        pl.all_horizontal(pl.col(c).is_in(perceived.implode()) for c in ("a", "b", "c"))
        & ((pl.col("purpose") != "train") | (pl.col("position") < (model.train or 2**62)))
    ).sort("triplet_id")
    shown = agent.stimulus_version(wanted.select("a", "b", "c").to_numpy())
    versions = pl.DataFrame({"triplet_id": wanted["triplet_id"], "stimulus_version": shown})
    return (
        questions(wanted, seed=seed)
        .join(versions, on="triplet_id")
        .with_columns(prompt_version=pl.lit(agent.prompt_version))
        .sort("triplet_id", "presented", "repeat")
    )


def unanswered(questions: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Questions that have neither an accepted answer nor been given up."""
    answered = work.lake.scan("judgments", work.key).select(KEY).collect()
    given_up = work.lake.scan("attempts", work.key).filter("final").select(KEY).collect()
    return questions.join(answered, on=KEY, how="anti").join(given_up, on=KEY, how="anti")


def counted(
    work: Work, judgments: pl.DataFrame, triplets: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, str | None]:
    """The answers of one model that count now: those to questions of the current wording and stimuli.

    Returns
    -------
    judgments : polars.DataFrame
    purposes : polars.DataFrame
        Columns ``triplet_id`` and ``purpose``: what each question was planned for. Judgments made elsewhere were
        planned for nothing here and get their purposes by their ids.
    prompt_version : str or None
    """
    from affectlake.triplets import purposes

    model = work.study.model(work.model)
    if isinstance(model, RecordedModel):
        from resources.agents.recorded import recorded_judgments

        # an earlier state of the file stays in the table and does not count
        now = recorded_judgments(model, stimuli(work), work.study, Exclusions())
        judgments = judgments.join(now, on=KEY, how="semi")
        ids = judgments["triplet_id"].unique().sort()
        planned = pl.DataFrame({"triplet_id": ids, "purpose": purposes(ids.to_numpy(), triplets)})
        return judgments, planned, None
    agent = agent_of(work, model)
    questions = asked(agent, model, triplets, work.study.triplets.seed)
    current = judgments.join(questions.select(KEY), on=KEY, how="semi")
    return current, triplets.select("triplet_id", "purpose"), agent.prompt_version
