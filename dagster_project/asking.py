"""What the command line says about judges: what their questions will cost, and one question with its answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from affectlake.errors import AgentError, LakeError
from affectlake.prompts import LABELS
from assets._judging import agent_of, asked, sentinels, unanswered
from resources.agents.service.agent import ServiceAgent
from resources.agents.service.estimate import BATCH_HOURS, Estimate, estimate
from resources.lake import Lake
from resources.study import Study


def cost(study: Study, lake: Lake, model: str) -> Estimate:
    """What the questions that are missing now will take of a model behind a service.

    Raises
    ------
    AgentError
        The model asks no service.
    """
    settings = study.model(model)
    if settings.agent not in ("openai", "anthropic"):
        raise AgentError("asks no service and costs nothing", where=f"model {model}")
    agent = agent_of(settings, study, lake)
    if not isinstance(agent, ServiceAgent):
        raise AgentError("asks no service and costs nothing", where=f"model {model}")
    triplets = lake.scan("triplets")
    questions = unanswered(asked(agent, settings, triplets.collect(), study.triplets.seed), model, lake)
    if questions.height:
        again = sentinels(agent, settings, triplets, study, lake)
        questions = pl.concat([questions, again.select(questions.columns)])
    earlier = (lake.scan(table, {"model": model}).collect() for table in ("judgments", "attempts"))
    return estimate(agent, questions, *earlier)


def cost_table(found: Estimate, pending: int = 0) -> pl.DataFrame:
    """An estimate in words, one line a fact; ``pending`` questions are in batches already."""
    basis = f"as in {found.counted:,} earlier answers" if found.counted else "estimated from the questions' length"
    lines = {
        "questions to ask": f"{found.questions:,}",
        "questions in pending batches": f"{pending:,}",
        f"tokens in, {basis}": f"{found.tokens_in:,}",
        f"tokens out, {basis}": f"{found.tokens_out:,}",
        "price in US dollars, in real time": _usd(found.realtime.usd),
        "  at most, with max_tokens": _usd(found.realtime.usd_at_most),
        "hours at the profile's limits": f"{found.hours:,.2f}",
        "price in US dollars, in batches": _usd(found.batch.usd) if found.batch else "not to be had",
        "  at most, with max_tokens, in batches": _usd(found.batch.usd_at_most) if found.batch else "not to be had",
        "hours in batches": f"{BATCH_HOURS} at most" if found.batch else "not to be had",
    }
    return pl.DataFrame({"what": list(lines), "value": list(lines.values())})


def _usd(usd: float | None) -> str:
    return "unknown: write it into `prices:`" if usd is None else f"{usd:,.4f}"


def show(study: Study, lake: Lake, triplet: int) -> Iterator[str]:
    """One triplet as it was put to each model, with all that came back.

    Yields
    ------
    str
        Lines; whatever others wrote (captions, answers) is JSON-encoded.

    Raises
    ------
    LakeError
        There is no such triplet, or nobody has been asked.
    """
    planned = lake.scan("triplets").filter(pl.col("triplet_id") == triplet).collect()
    answered, tried = (
        lake.scan(t).filter(pl.col("triplet_id") == triplet).collect().sort("model", "presented", "repeat")
        for t in ("judgments", "attempts")
    )
    if planned.is_empty() and answered.is_empty():
        raise LakeError(f"there is no triplet {triplet}", remedy="`affectlake query` on `triplets` lists them.")
    items = (planned if planned.height else answered).select("a", "b", "c").row(0)
    videos = dict(lake.read("videos").select("item", "video_id").iter_rows())
    named = ", ".join(f"{place} = {videos.get(item, '?')}" for place, item in zip("abc", items, strict=True))
    purpose = f", asked for {planned['purpose'][0]}" if planned.height else ""
    yield f"triplet {triplet}: {named}{purpose}"
    models = sorted({*answered["model"], *tried["model"]})
    if not models:
        yield "no model has been asked"
    for model in models:
        yield from _of_model(study, lake, model, items, answered, tried)


def _of_model(
    study: Study, lake: Lake, model: str, items: tuple[int, ...], answered: pl.DataFrame, tried: pl.DataFrame
) -> Iterator[str]:
    yield f"\nmodel {model}"
    agent = None
    if model in study.model_names and study.model(model).agent in ("openai", "anthropic"):
        agent = agent_of(study.model(model), study, lake)
    places = dict(zip(items, "abc", strict=True))
    key = ["presented", "repeat", "prompt_version", "stimulus_version"]
    mine = [frame.filter(pl.col("model") == model) for frame in (answered, tried)]
    for question in pl.concat([f.select(key) for f in mine]).unique(maintain_order=True).iter_rows(named=True):
        yield f"\n  shown as {question['presented']}, repeat {question['repeat']}"
        if isinstance(agent, ServiceAgent):
            yield from _as_shown(agent, question, items)
        same = pl.all_horizontal(pl.col(name) == value for name, value in question.items())
        for row in mine[1].filter(same).sort("attempt").iter_rows(named=True):
            end = ", given up" if row["final"] else ""
            yield f"  attempt {row['attempt']}: {row['reason']}{end}: {json.dumps(row['raw'])}"
        for row in mine[0].filter(same).iter_rows(named=True):
            yield f"  odd: {_answer(row, places)}"


def _as_shown(agent: ServiceAgent, question: dict[str, Any], items: tuple[int, ...]) -> Iterator[str]:
    now = (agent.prompt_version, agent.stimulus_version(pl.DataFrame([items], orient="row").to_numpy())[0])
    if (question["prompt_version"], question["stimulus_version"]) != now:
        yield "  (asked in other words, of another model or with other captions or media than the study has now)"
        return
    row = dict(zip("abc", items, strict=True)) | question
    agent.shown.prepare(np.array(items, dtype=np.int32), lambda done, total: None)
    text, clips = agent.shown.question(row)
    yield f"  | {agent.instruction}"
    for line, media in clips:
        yield f"  | {line}"
        yield from (f"  |   {medium}" for medium in media)
    yield from (f"  | {line}" for line in text.splitlines())


def _answer(row: dict[str, Any], places: dict[int, str]) -> str:
    place = places[row["odd"]]
    text = f"{LABELS[row['presented'].index(place)]} = {place}"
    if row["p_a"] is not None:
        text += " (" + ", ".join(f"p_{x} = {row[f'p_{x}']:.3f}" for x in "abc") + ")"
    facts = [f"{row['judged_at']:%Y-%m-%d %H:%M:%S} UTC"]
    if row["model_returned"] is not None:
        facts.append(f"by {json.dumps(row['model_returned'])}")
    if row["latency_s"] is not None:
        facts.append(f"{row['latency_s']:.2f} s")
    if row["tokens_in"] is not None:
        facts.append(f"{row['tokens_in']} tokens in, {row['tokens_out'] or 0} out")
    if row["cost_usd"] is not None:
        facts.append(f"${row['cost_usd']:.6f}")
    return f"{text}; {', '.join(facts)}"
