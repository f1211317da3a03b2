"""Curves that describe one model's space, as rows of ``embedding_curves``.

What belongs here: scores along an axis, each with its interval where it has one. What does not: scores that are one
number a model (``assessment``), drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from affectlake import judged
from affectlake.tables import EMBEDDING_CURVES, unstamped

if TYPE_CHECKING:
    from affectlake.assessment import Space
    from affectlake.learning_curve import Part
    from affectlake.quality import Estimate, HeldOut
    from affectlake.spose import Spose

Point = tuple[str, float, float, float | None, float | None]
"""Curve, x, y, and the 95 % confidence interval of y."""


def of_fit(fit: Spose) -> Iterator[Point]:
    """Yield the walk over l1 (held-out cross-entropy, accuracy, dimensions) and the training loss along the fit."""
    for visited in fit.history.get("path", []):
        for name in ("cross_entropy", "accuracy", "dimensions"):
            yield f"l1_{name}", visited["l1"], visited[name], None, None
    losses = fit.history.get("loss", [])
    for k, loss in enumerate(losses):
        yield "loss", (k + 1) / len(losses), loss, None, None


def of_positions(fit: Spose) -> Iterator[Point]:
    """Yield the judge's preference for each place shown, where it was fitted along."""
    if fit.position_intercepts.any():
        for place, preference in enumerate(fit.position_intercepts):
            yield "position_intercept", float(place + 1), float(preference), None, None


def of_judgments(parts: Sequence[Part]) -> Iterator[Point]:
    """Yield held-out accuracy by training judgments, where there are test judgments."""
    for part in parts:
        if part.score is not None:
            yield "accuracy_by_judgments", float(part.n), part.score.accuracy, part.score.low, part.score.high


def of_items(score: HeldOut) -> Iterator[Point]:
    """Yield held-out accuracy by item, with Wilson's interval of a share; items without a judgment are left out."""
    z2 = 1.96**2
    for item in np.flatnonzero(score.shown):
        p, n = float(score.by_item[item]), float(score.shown[item])
        centre, half = (p + z2 / (2 * n)) / (1 + z2 / n), np.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n)))
        yield "accuracy_by_item", float(item), p, centre - half / (1 + z2 / n), centre + half / (1 + z2 / n)


def of_dimensions(fits: Sequence[Estimate]) -> Iterator[Point]:
    """Yield the fit of predicted to measured similarities by the number of dimensions kept."""
    for k, estimate in enumerate(fits):
        yield "rsm_r_by_dimensions", float(k + 1), estimate.value, estimate.low, estimate.high


def curve_rows(space: Space, model: str) -> pl.DataFrame:
    """Return the rows of ``embedding_curves``; none for features, which were not learnt.

    Parameters
    ----------
    space : Space
    model : str
    """
    return pl.DataFrame([(model, *p) for p in _points(space)], schema=unstamped(EMBEDDING_CURVES), orient="row")


def _points(space: Space) -> Iterator[Point]:
    from affectlake import quality
    from affectlake.learning_curve import Part
    from affectlake.similarity_fit import rsm_fit_by_dimensions

    if space.fit is None:
        return
    yield from of_fit(space.fit)
    yield from of_positions(space.fit)
    yield from of_judgments(space.parts)
    test, validation = space.answers("test"), space.answers("validation")
    if test.height:
        answers = judged.odd_last(test)
        yield from of_judgments([Part.of(run, space.answers("train").height, answers) for run in space.fit.runs[:1]])
        yield from of_items(quality.held_out(space.fit.weights, answers))
    if validation.height:
        items, measured = judged.measured_similarities(validation)
        yield from of_dimensions(rsm_fit_by_dimensions(space.fit.weights[items], measured))
