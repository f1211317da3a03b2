"""Stage 4: the space behind the judgments, how good it is, and what its dimensions mean."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from affectlake import judged
from affectlake.assessment import Space, dimension_rows, embedding_rows, learnt, quality_row
from affectlake.curves import curve_rows
from affectlake.exclusions import Exclusions
from affectlake.tables import EMBEDDING_RUNS, unstamped
from assets._items import scoring_items
from assets._judging import Counted, counted, spent_usd, stimuli
from assets._plots import drawn
from assets._runs import Runs
from assets._work import Work
from assets.recipes import EMBEDDINGS
from resources.device import DeviceResource
from resources.io_manager import LakeResource
from resources.progress import Advance, ProgressResource
from resources.study import FeaturesModel

if TYPE_CHECKING:
    from affectlake.labelling import Proposal


def embeddings(
    context: dg.AssetExecutionContext,
    lake: LakeResource,
    progress: ProgressResource,
    device: DeviceResource,
    judgments: pl.LazyFrame,
    triplets: pl.LazyFrame,
    videos: pl.LazyFrame,
    captions: pl.LazyFrame,
    ratings: pl.LazyFrame,
    frames: pl.LazyFrame,
) -> Iterator[dg.MaterializeResult[Any]]:
    """Learn one model's space from its training judgments, or take its features as they are."""
    work = Work(context, EMBEDDINGS, lake)
    model = work.study.model(work.model)
    clips, rated, left_out = videos.collect(), ratings.collect(), Exclusions()
    given_up = 0
    runs = pl.DataFrame(schema=unstamped(EMBEDDING_RUNS))
    if isinstance(model, FeaturesModel):
        space = _features(work, model, clips, left_out)
    else:
        answers = counted(work, judgments.collect(), triplets.collect())
        given_up = answers.n_given_up
        with progress.track(context, f"{model.name}: learning the space") as advance:
            space, runs = _learn(work, answers, clips, device.pick(), advance)
    proposals = _proposals(work, space, clips, captions)
    rows = embedding_rows(space, model.name, clips)
    yield work.result("embeddings", work.stamped(rows), device.describe(), left_out)
    yield work.result(
        "dimensions", work.stamped(dimension_rows(space, model.name, clips, rated, *proposals)), _notes(space)
    )
    quality = quality_row(
        space,
        model.name,
        clips,
        rated,
        scoring_items(work.study, clips, captions),
        n_refused=given_up,
        judgments_version=work.lake.version("judgments"),
    )
    yield work.result("embedding_quality", work.stamped(quality))
    yield work.result("embedding_runs", work.stamped(runs))
    curves = curve_rows(space, model.name)
    yield work.result("embedding_curves", work.stamped(curves), drawn(curves))


def _features(work: Work, model: FeaturesModel, clips: pl.DataFrame, left_out: Exclusions) -> Space:
    from resources.agents.features import feature_space

    video_ids, vectors, names = feature_space(model, stimuli(work.lake), work.study, left_out)
    items = pl.DataFrame({"video_id": video_ids}).join(clips, on="video_id", maintain_order="left")["item"]
    return Space(items.to_numpy(), vectors, names)


def _learn(
    work: Work, answers: Counted, clips: pl.DataFrame, device: str, advance: Advance
) -> tuple[Space, pl.DataFrame]:
    """Return the space, and the rows of ``embedding_runs`` without the stamp."""
    from affectlake.learning_curve import learning_curve
    from affectlake.spose import fit_reproducible
    from assets._checkpoints import LakeCheckpoints

    settings = work.study.embedding
    train, test = (judged.with_purpose(answers.judgments, answers.purposes, p) for p in ("train", "test"))
    n_items = int(clips["item"].max() or 0) + 1  # type: ignore[arg-type]
    common: dict[str, Any] = {
        "dimensions": settings.dimensions,
        "seed": settings.seed,
        "probabilities": judged.odd_probabilities(train),
        "device": "cuda" if device == "cuda" else "cpu",
    }
    checkpoints = LakeCheckpoints(work.lake, work.model, EMBEDDINGS.code_version, work.context.run.run_id)
    if checkpoints.n_found:
        work.context.log.info(f"{work.model}: going on with {checkpoints.n_found} runs of an earlier training")
    runs = Runs(work, train.height, n_items)
    if runs.starts is not None:
        work.context.log.info(f"{work.model}: each run begins with what it ended with before")
    fit = fit_reproducible(
        judged.odd_last(train),
        n_items,
        starts=runs.starts,
        dimensions_kept=settings.keep,
        seeds=settings.seeds,
        l1=settings.l1,
        positions=judged.positions(train) if settings.positions else None,
        checkpoints=checkpoints,
        progress=lambda share, text: advance(round(800 * share), 1000),
        **common,
    )
    parts = learning_curve(
        judged.odd_last(train),
        n_items,
        judged.odd_last(test),
        l1=fit.l1,
        progress=lambda share, text: advance(round(800 + 200 * share), 1000),
        **common,
    )
    checkpoints.clear()
    space = learnt(fit, train, answers.judgments, answers.purposes, answers.prompt_version, tuple(parts))
    return space, runs.rows(settings.seed, fit.runs)


def _proposals(
    work: Work, space: Space, clips: pl.DataFrame, captions: pl.LazyFrame
) -> tuple[Sequence["Proposal"], str | None]:
    """Labels that the study's agent proposes; without a key, or an agent, there are none and the space stands."""
    agent = work.study.labeller
    if agent is None or not space.vectors.shape[1]:
        return (), None
    from affectlake.labelling import top_clips
    from resources.agents.service.labels import propose
    from resources.agents.service.loop import Patience

    shown = captions.sort("video_id", "caption").unique("video_id", keep="first", maintain_order=True)
    items = pl.DataFrame({"item": pl.Series(space.items, dtype=pl.Int32)}).join(
        clips.select("item", "video_id"), on="item", how="left", maintain_order="left"
    )
    texts = items.join(shown.collect(), on="video_id", how="left", maintain_order="left")["text"]
    chosen = [[texts[int(i)] for i in rows] for rows in top_clips(space.vectors, texts.is_not_null().to_numpy())]
    proposals, problem = propose(chosen, agent, work.study, Patience(), spent_usd(work.lake, agent.name))
    if problem is not None:
        work.context.log.warning(f"{agent.name} gave no label of some dimensions: {problem}")
    return proposals, agent.name


def _notes(space: Space) -> dict[str, Any]:
    if space.fit is None:
        return {}
    return {"l1": space.fit.l1, **({"lacks": "; ".join(space.fit.lacks)} if space.fit.lacks else {})}
