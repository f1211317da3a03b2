"""Which questions one model has to answer, and which of its answers count."""

from __future__ import annotations

import polars as pl

from assets._work import Work
from resources.agents import build_agent
from resources.agents.protocol import Agent, Stimuli
from resources.lake import Lake
from resources.study import AnyModel, RecordedModel, ServiceModel, Study

KEY = ["triplet_id", "presented", "repeat", "prompt_version", "stimulus_version"]


def stimuli(lake: Lake) -> Stimuli:
    """What may be perceived."""
    return Stimuli(lake.read("videos"), lake.scan("captions"), lake.scan("ratings"), lake.scan("frames"))


def agent_of(model: AnyModel, study: Study, lake: Lake) -> Agent:
    """The judge, with what it may perceive and what it has cost so far."""
    spent = 0.0
    if isinstance(model, ServiceModel):
        costs = (lake.scan(table, {"model": model.name}).select("cost_usd") for table in ("judgments", "attempts"))
        spent = pl.concat(list(costs)).sum().collect().item()
    return build_agent(model, stimuli(lake), study, spent)


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


def unanswered(questions: pl.DataFrame, model: str, lake: Lake) -> pl.DataFrame:
    """Questions that have neither an accepted answer nor been given up, with the attempts at them so far."""
    answered = lake.scan("judgments", {"model": model}).select(KEY).collect()
    tried = (
        lake.scan("attempts", {"model": model}).group_by(KEY).agg(pl.col("final").any(), attempted=_next()).collect()
    )
    given_up = tried.filter("final").select(KEY)
    missing = questions.join(answered, on=KEY, how="anti").join(given_up, on=KEY, how="anti")
    counted = missing.join(tried.drop("final"), on=KEY, how="left", maintain_order="left")
    return counted.with_columns(pl.col("attempted").fill_null(0))


def _next() -> pl.Expr:
    return pl.col("attempt").max() + 1


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
        ids = judgments["triplet_id"].unique().sort()
        planned = pl.DataFrame({"triplet_id": ids, "purpose": purposes(ids.to_numpy(), triplets)})
        return judgments, planned, None
    agent = agent_of(model, work.study, work.lake)
    questions = asked(agent, model, triplets, work.study.triplets.seed)
    current = judgments.join(questions.select(KEY), on=KEY, how="semi")
    return current, triplets.select("triplet_id", "purpose"), agent.prompt_version
