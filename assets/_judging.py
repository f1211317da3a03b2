"""Which questions one model has to answer, and which of its answers count."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from affectlake.exclusions import Exclusions
from assets._work import Metadata, Work
from resources.agents import build_agent
from resources.agents.protocol import Agent, Answers, Stimuli
from resources.agents.service.batches import pending, reserved_usd
from resources.content import parts
from resources.lake import Lake
from resources.study import AnyModel, RecordedModel, ServiceModel, Study

KEY = ["triplet_id", "presented", "repeat", "prompt_version", "stimulus_version"]


def stimuli(lake: Lake) -> Stimuli:
    """What may be perceived."""
    return Stimuli(lake.read("videos"), lake.scan("captions"), lake.scan("ratings"), lake.scan("frames"))


RUN_USD = "affectlake/max_usd"
"""Tag of a run that may spend so many US dollars and no more; questions that are left wait for the next one."""


def spent_usd(lake: Lake, model: str) -> float:
    """What a model's judgments have cost so far, pending batches at their dearest."""
    costs = (lake.scan(table, {"model": model}).select("cost_usd") for table in ("judgments", "attempts"))
    return float(pl.concat(list(costs)).sum().collect().item()) + reserved_usd(lake, model)


def agent_of(model: AnyModel, study: Study, lake: Lake, run_usd: float | None = None) -> Agent:
    """The judge, with what it may perceive, what it has cost so far and what this run may add."""
    spent = 0.0
    if isinstance(model, ServiceModel):
        spent = spent_usd(lake, model.name)
        if run_usd is not None:
            most = spent + run_usd
            model = model.model_copy(update={"max_usd": min(most, model.max_usd or most)})
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
    """Questions that have neither an answer nor been given up nor are pending, with the attempts at them so far."""
    ids = questions["triplet_id"]
    same = pl.col("triplet_id").is_between(pl.lit(ids.min()), pl.lit(ids.max()))
    answered = lake.scan("judgments", {"model": model}).filter(same).select(KEY).collect()
    attempts = lake.scan("attempts", {"model": model}).filter(same)
    tried = attempts.group_by(KEY).agg(pl.col("final").any(), attempted=_next()).collect()
    given_up = tried.filter("final").select(KEY)
    sent = pending(lake, model).filter(same).select(KEY).collect()
    missing = questions
    for settled in (answered, given_up, sent):
        missing = missing.join(settled, on=KEY, how="anti")
    counted = missing.join(tried.drop("final"), on=KEY, how="left", maintain_order="left")
    return counted.with_columns(pl.col("attempted").fill_null(0))


def _next() -> pl.Expr:
    return pl.col("attempt").max() + 1


class Missing:
    """The questions that a judge still has to answer, in the order of their triplets, a block at a time.

    Each iteration plans anew and holds one block, so that a design of any size takes the memory of a block.

    Parameters
    ----------
    agent : Agent
        The judge.
    model : AnyModel
        Its section of the study file.
    triplets : LazyFrame
        The table ``triplets``.
    seed : int
        The study's seed.
    lake : Lake
        Where answers are kept.
    """

    def __init__(self, agent: Agent, model: AnyModel, triplets: pl.LazyFrame, seed: int, lake: Lake) -> None:
        self._agent, self._model, self._triplets, self._seed, self._lake = agent, model, triplets, seed, lake
        n_questions = (pl.col("orders").cast(pl.Int64) * pl.col("repeats")).sum()
        rows = ASKED if isinstance(model, ServiceModel) else COMPUTED
        self._blocks = parts(triplets, "triplet_id", rows, n_questions)

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for condition in self._blocks:
            block = self._triplets.filter(condition).collect()
            questions = unanswered(asked(self._agent, self._model, block, self._seed), self._model.name, self._lake)
            if questions.height:
                yield questions

    def count(self) -> int:
        """How many there are now."""
        return sum(questions.height for questions in self)


def sentinels(agent: Agent, model: AnyModel, triplets: pl.LazyFrame, study: Study, lake: Lake) -> pl.DataFrame:
    """The questions of the panel that are due again, for a judge whose service may change under the study's feet.

    They are asked where other questions are missing too, so that they cover the time in which answers were collected
    and cost nothing when all is done.
    """
    from affectlake.drift import due

    settings = study.triplets
    panel = triplets.filter(pl.col("purpose") == "panel").collect()
    if not (settings.sentinel and isinstance(model, ServiceModel)):
        panel = panel.clear()
    here = asked(agent, model, panel, settings.seed).select("triplet_id", "stimulus_version").unique()
    answered = lake.scan("judgments", {"model": model.name}).filter(pl.col("prompt_version") == agent.prompt_version)
    answered = answered.select("triplet_id", "repeat", "stimulus_version", "judged_at")
    known = answered.join(here.lazy(), on=["triplet_id", "stimulus_version"], how="semi").collect()
    perceived = panel.join(here, on="triplet_id", how="semi")
    again = due(perceived, known, n=settings.sentinel, seed=settings.seed, now=datetime.now(UTC))
    questions = again.join(here, on="triplet_id").with_columns(prompt_version=pl.lit(agent.prompt_version))
    return unanswered(questions.sort("triplet_id"), model.name, lake)


ASKED, COMPUTED = 10_000, 250_000
"""Questions planned at a time. They stand in memory; one that computes its answers would wait for many small blocks."""


def count_unperceived(agent: Agent, videos: pl.DataFrame, left_out: Exclusions) -> None:
    """Count the clips that the judge cannot perceive and is therefore never asked about."""
    canonical = videos.filter((pl.col("status") != "left") & pl.col("duplicate_of").is_null())
    for video_id in canonical.filter(~pl.col("item").is_in(agent.items().tolist()))["video_id"]:
        left_out.add("videos", "unperceived", video_id)


class Counted(NamedTuple):
    """The answers of one model that count now: those to questions of the current wording and stimuli."""

    judgments: pl.DataFrame
    purposes: pl.DataFrame
    """Columns ``triplet_id`` and ``purpose``: what each question was planned for. Judgments made elsewhere were planned
    for nothing here and get their purposes by their ids."""
    prompt_version: str | None
    n_given_up: int
    """Questions that ended as refused or invalid."""


def counted(work: Work, judgments: pl.DataFrame, triplets: pl.DataFrame) -> Counted:
    """Tell the answers that count now from those of earlier wordings, stimuli, settings and files."""
    from affectlake.triplets import purposes

    model = work.study.model(work.model)
    if isinstance(model, RecordedModel):
        from resources.agents.recorded import recorded_judgments

        now = recorded_judgments(model, stimuli(work.lake), work.study, Exclusions())
        judgments = judgments.join(now, on=KEY, how="semi")
        ids = judgments["triplet_id"].unique().sort()
        planned = pl.DataFrame({"triplet_id": ids, "purpose": purposes(ids.to_numpy(), triplets)})
        return Counted(judgments, planned, None, 0)
    agent = agent_of(model, work.study, work.lake)
    questions = asked(agent, model, triplets, work.study.triplets.seed).select(KEY)
    given_up = work.lake.scan("attempts", work.key).filter("final").select(KEY).collect()
    return Counted(
        judgments.join(questions, on=KEY, how="semi"),
        triplets.select("triplet_id", "purpose"),
        agent.prompt_version,
        questions.join(given_up, on=KEY, how="semi").height,
    )


class Tally:
    """What has come back in this run: for the line beside the bar, and for the asset's metadata at the end."""

    def __init__(self) -> None:
        self.questions = self.settled = 0
        self._begin = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._usd = 0.0

    def add(self, answers: Answers, accepted: int) -> None:
        """Count a chunk, of which ``accepted`` judgments were new."""
        self._counts["accepted"] += accepted
        self._counts["given_up"] += int(answers.attempts["final"].sum())
        for reason, n in answers.attempts["reason"].value_counts().iter_rows():
            self._counts[f"attempts_{reason}"] += n
        for frame in (answers.judgments, answers.attempts):
            self._usd += float(frame["cost_usd"].sum())
            for name in ("tokens_in", "tokens_out"):
                self._counts[name] += int(frame[name].sum())

    def line(self) -> str:
        """Failures, money, rate and time left in a few words."""
        rate = self.settled / max(time.monotonic() - self._begin, 1e-9)
        failed = sum(n for name, n in self._counts.items() if name.startswith("attempts_"))
        left = (self.questions - self.settled) / rate / 60 if rate else 0.0
        money = f"${self._usd:,.2f}, " if self._usd else ""
        lost = f"{failed:,} attempts failed, {self._counts['given_up']:,} questions given up"
        return f"({lost}, {money}{rate:,.0f}/s, {left:,.0f} min left)"

    def metadata(self) -> Metadata:
        """The same as numbers."""
        return {"asked": self.questions, **self._counts, "cost_usd": self._usd}
