"""One model's space as the rows of the tables: vectors, named dimensions, quality.

What belongs here: arrays and frames in, rows of ``embeddings``, ``dimensions`` and ``embedding_quality`` out, without
the columns that say where they were computed. What does not: the scores' definitions (``quality``,
``similarity_fit``, ``categorisation``, ``naming``), curves (``curves``), reading and writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake import judged
from affectlake.tables import DIMENSIONS, EMBEDDING_QUALITY, unstamped

if TYPE_CHECKING:
    from affectlake.labelling import Proposal
    from affectlake.learning_curve import Part
    from affectlake.quality import Estimate
    from affectlake.reproducibility import Reproducibility
    from affectlake.spose import Spose

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Row = dict[str, Any]


@dataclass(frozen=True)
class Space:
    """One model's vectors by item, however they came to be.

    Attributes
    ----------
    items : int32[n]
        Items with a vector; those without a judgment or a feature are left out.
    vectors : float32[n, d]
    labels : tuple of str
        Names that the dimensions brought along; empty where they are to be named.
    n_judgments : int32[n] or None
        Training judgments that contain each item; None for features.
    prompt_version : str or None
    fit : Spose or None
        How the space was learnt; None for features.
    trained_on : polars.DataFrame
        Rows of ``judgments`` that the fit saw.
    judgments, purposes : polars.DataFrame
        Rows of ``judgments`` that count, and what each question was planned for (``triplet_id``, ``purpose``).
    parts : tuple of Part
        Fits on parts of the training judgments, the largest last.
    """

    items: Ints
    vectors: Floats
    labels: tuple[str, ...] = ()
    n_judgments: Ints | None = None
    prompt_version: str | None = None
    fit: Spose | None = None
    trained_on: pl.DataFrame = field(default_factory=pl.DataFrame)
    judgments: pl.DataFrame = field(default_factory=pl.DataFrame)
    purposes: pl.DataFrame = field(default_factory=pl.DataFrame)
    parts: tuple[Part, ...] = ()

    def answers(self, purpose: str) -> pl.DataFrame:
        """Judgments that count and whose question was planned for ``purpose``, sorted by key."""
        if self.judgments.is_empty():
            return self.judgments
        return judged.with_purpose(self.judgments, self.purposes, purpose)


def learnt(
    fit: Spose,
    trained_on: pl.DataFrame,
    judgments: pl.DataFrame,
    purposes: pl.DataFrame,
    prompt_version: str | None,
    parts: tuple[Part, ...] = (),
) -> Space:
    """Return the space of a fit: the items that its training judgments contain, with their vectors.

    Parameters
    ----------
    fit : Spose
    trained_on : polars.DataFrame
        Rows of ``judgments`` that it saw.
    judgments : polars.DataFrame
        Rows of ``judgments`` that count.
    purposes : polars.DataFrame
        Columns ``triplet_id`` and ``purpose``.
    prompt_version : str or None
    parts : tuple of Part
        Fits on parts of the training judgments, the largest last.
    """
    times = judged.times_judged(trained_on)
    items = times["item"].to_numpy()
    n = times["n_judgments"].to_numpy()
    return Space(items, fit.weights[items], (), n, prompt_version, fit, trained_on, judgments, purposes, parts)


def embedding_rows(space: Space, model: str, videos: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of ``embeddings``, one an item with a vector.

    Parameters
    ----------
    space : Space
    model : str
    videos : polars.DataFrame
        Columns ``item`` and ``video_id``.
    """
    n = [None] * len(space.items) if space.n_judgments is None else space.n_judgments
    rows = pl.DataFrame(
        {
            "item": pl.Series(space.items, dtype=pl.Int32),
            "vector": pl.Series(np.ascontiguousarray(space.vectors)).arr.to_list(),
            "n_judgments": pl.Series(n, dtype=pl.Int32),
        }
    ).with_columns(model=pl.lit(model), prompt_version=pl.lit(space.prompt_version, dtype=pl.String))
    return rows.join(videos.select("item", "video_id"), on="item")


def dimension_rows(
    space: Space,
    model: str,
    videos: pl.DataFrame,
    ratings: pl.DataFrame,
    proposals: Sequence[Proposal] = (),
    proposed_by: str | None = None,
) -> pl.DataFrame:
    """Return the rows of ``dimensions``: what each dimension goes with, and how reproducible it is.

    Parameters
    ----------
    space : Space
    model : str
    videos, ratings : polars.DataFrame
        Rows of the tables of these names.
    proposals : sequence of Proposal
        What an agent said of each dimension; empty where none was asked.
    proposed_by : str or None
        That agent.
    """
    from affectlake.naming import name_dimensions

    names = [(s, n) for s, n in ratings.select("scale", "name").unique().sort("scale", "name").iter_rows()]
    matrix = judged.rating_matrix(ratings, _video_ids(space.items, videos), names)
    meanings = name_dimensions(space.vectors, matrix, names)
    weight = np.abs(space.vectors).sum(axis=0, dtype=np.float64)
    share = weight / weight.sum() if weight.sum() > 0 else weight
    returning = _returning(space)
    rows = [
        {
            "model": model,
            "dimension": d,
            "label": space.labels[d] if space.labels else meaning.label,
            "kind": meaning.kind,
            "share": float(share[d]),
            **{column: float(r[d]) if np.isfinite(r[d]) else None for column, r in returning.items()},
            "correlations": [{"scale": c.scale, "name": c.name, "r": c.r, "q": c.q} for c in meaning.correlations],
            **(_proposed(proposals[d], proposed_by) if proposals else {}),
        }
        for d, meaning in enumerate(meanings)
    ]
    return pl.DataFrame(rows, schema=unstamped(DIMENSIONS))


def _proposed(proposal: Proposal, by: str | None) -> Row:
    return {
        "proposed_label": proposal.label,
        "proposed_by": by,
        "proposal_prompt": proposal.prompt or None,
        "proposal_attempts": proposal.n_attempts,
    }


def _video_ids(items: Ints, videos: pl.DataFrame) -> pl.Series:
    wanted = pl.DataFrame({"item": pl.Series(items, dtype=pl.Int32)})
    return wanted.join(videos.select("item", "video_id"), on="item", maintain_order="left")["video_id"]


def _returning(space: Space) -> dict[str, Doubles]:
    """How surely each dimension comes back, by column: over runs, over halves of the items, over judgments."""
    from affectlake.reproducibility import split_half, stability

    fit = space.fit
    if fit is None:
        return {}
    scores: dict[str, Doubles | None] = {
        "reproducibility": fit.reproducibility,
        "reproducibility_low": fit.reproducibility_low,
        "reproducibility_high": fit.reproducibility_high,
    }
    if fit.runs:
        scores |= _with_interval("split_half", split_half(fit.weights, fit.runs))
    if space.parts:
        scores |= _with_interval("stability", stability(fit.weights, space.parts[-1].weights))
    return {column: r for column, r in scores.items() if r is not None}


def _with_interval(name: str, found: Reproducibility) -> dict[str, Doubles]:
    return {name: found.r, f"{name}_low": found.low, f"{name}_high": found.high}


def quality_row(
    space: Space,
    model: str,
    videos: pl.DataFrame,
    ratings: pl.DataFrame,
    scored: Ints,
    *,
    n_refused: int,
    judgments_version: int | None,
) -> pl.DataFrame:
    """Return the one row of ``embedding_quality``; null where there is nothing to score with.

    Parameters
    ----------
    space : Space
    model : str
    videos, ratings : polars.DataFrame
        Rows of the tables of these names.
    scored : int32[m]
        Items that every model of the study is scored on.
    n_refused : int
        Questions given up.
    judgments_version : int or None
        Delta version of the judgments.
    """
    covered = np.intersect1d(space.items, scored)
    row: Row = dict.fromkeys(unstamped(EMBEDDING_QUALITY)) | {
        "model": model,
        "n_dimensions": space.vectors.shape[1],
        "n_items": len(covered),
        "coverage": len(covered) / len(scored) if len(scored) else 0.0,
        "n_refused": n_refused,
    }
    row |= _categorisation(space, covered, videos, ratings)
    if space.fit is not None:
        row |= _against_judgments(space, space.fit.weights)
        row |= {"l1": space.fit.l1, "judgments_version": judgments_version}
    return pl.DataFrame([row], schema=unstamped(EMBEDDING_QUALITY))


def _categorisation(space: Space, covered: Ints, videos: pl.DataFrame, ratings: pl.DataFrame) -> Row:
    """Top-3 accuracy on the category that most raters named, for the published 27 and for all 34, with chance."""
    from affectlake.categorisation import top3, top3_chance
    from affectlake.scales import CATEGORIES, CATEGORIES_27

    found: Row = {}
    order = np.argsort(space.items)
    vectors = space.vectors[order[np.searchsorted(space.items, covered, sorter=order)]]
    video_ids = _video_ids(covered, videos)
    for column, categories in (("top3_27", CATEGORIES_27), ("top3_34", CATEGORIES)):
        matrix = judged.rating_matrix(ratings, video_ids, [("category", c) for c in categories])
        known = np.isfinite(matrix).all(axis=1)
        if known.sum() > len(categories):
            labels = matrix[known].argmax(axis=1)
            found |= _estimate(column, top3(vectors[known], labels))
            found |= _estimate(f"{column}_chance", top3_chance(vectors[known], labels))
    return found


def _against_judgments(space: Space, weights: Floats) -> Row:
    """Scores against each purpose's judgments, where there are any."""
    from affectlake import quality

    found: Row = {"n_train": space.trained_on.height, "n_leaked": _leaked(space)}
    test, repeated, validation = (space.answers(p) for p in ("test", "ceiling", "validation"))
    ceiling = None
    if repeated.height:
        ceiling = quality.noise_ceiling(repeated["triplet_id"].to_numpy(), repeated["odd"].to_numpy())
        found |= _estimate("ceiling", ceiling)
    if test.height:
        found |= _held_out(weights, judged.odd_last(test), ceiling)
    if validation.height:
        from affectlake.similarity import predicted_rsm
        from affectlake.similarity_fit import rsm_fit

        items, measured = judged.measured_similarities(validation)
        found |= _estimate("rsm_r", rsm_fit(predicted_rsm(weights[items]), measured))
    return found


_HELD_OUT = ("test", "validation", "ceiling", "panel")


def _leaked(space: Space) -> int:
    """Held-out judgments on three items that the fit saw together, whatever their questions are called."""
    items = ["a", "b", "c"]
    held_out = pl.concat([space.answers(purpose).select(items) for purpose in _HELD_OUT])
    return held_out.join(space.trained_on.select(items).unique(), on=items, how="semi").height


def _held_out(weights: Floats, answers: Ints, ceiling: Estimate | None) -> Row:
    from affectlake import quality

    held = quality.held_out(weights, answers)
    found: Row = {
        "n_test": held.n,
        "n_ties": held.n_ties,
        "accuracy": held.accuracy,
        "accuracy_low": held.low,
        "accuracy_high": held.high,
    }
    found |= _estimate("chance", quality.chance(weights, answers))
    if ceiling is not None:
        found |= _estimate("share_of_ceiling", quality.share_of_ceiling(held, ceiling))
    if weights.shape[1]:
        for share, needed in quality.dimensions_needed(weights, answers).items():
            found |= _estimate(f"needed_{100 * share:.0f}", needed)
    return found


def _estimate(name: str, estimate: Estimate) -> Row:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
