"""How accuracy grows with the number of judgments, and which dimensions a few judgments less would have found.

What belongs here: fits on parts of the training judgments. What does not: the fit itself (``spose``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from affectlake import quality, spose
from affectlake._spose_data import HARD, Floats, Ints, judgments

SHARES = (0.1, 0.25, 0.5, 0.9)
"""Parts of the judgments that are fitted; the largest shows how stable the dimensions are without a tenth of them."""


@dataclass(frozen=True)
class Part:
    """A single fit on a part of the training judgments, with all its dimensions.

    Attributes
    ----------
    n : int
        Judgments learnt from.
    score : HeldOut or None
        Accuracy on the test judgments; None without any.
    weights : float32[n_items, d]
    """

    n: int
    score: quality.HeldOut | None
    weights: Floats

    @classmethod
    def of(cls, weights: Floats, n: int, test: Ints) -> Part:
        """Score ``weights`` that were learnt from ``n`` judgments."""
        return cls(n, quality.held_out(weights, test) if len(test) else None, weights)


def learning_curve(
    triplets: ArrayLike,
    n_items: int,
    test: ArrayLike,
    *,
    l1: float,
    dimensions: int = 100,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    probabilities: ArrayLike | None = None,
    device: spose.Device = "auto",
    progress: spose.Progress | None = None,
) -> list[Part]:
    """Fit nested parts of the training judgments; the result does not depend on the order of the rows.

    Parameters
    ----------
    triplets, n_items, dimensions, probabilities, device, progress
        As in ``spose.fit``.
    test : int[m, 3]
        Held-out judgments, the odd one last.
    l1 : float
        Penalty of the fit on all judgments. A part gets it divided by the square root of its share, as the noise in a
        weight's gradient grows.
    shares : sequence of float
        Parts to fit, 0 .. 1.
    seed : int
        Decides which judgments belong to which part.

    Returns
    -------
    list of Part
        In the order of ``shares``; parts without a judgment are left out.
    """
    data = judgments(triplets, n_items, probabilities=probabilities)
    order = np.random.default_rng(seed).permutation(len(data))
    held = np.asarray(test)
    say = progress or (lambda done, text: None)
    parts = []
    for k, share in enumerate(shares):
        chosen = data.take(order[: round(share * len(data))])
        if not len(chosen):
            continue
        fit = spose.fit(
            chosen.triplets, n_items, dimensions=dimensions, l1=l1 / float(np.sqrt(share)), seed=seed, device=device,
            probabilities=None if chosen.targets is HARD else chosen.targets,
        )  # fmt: skip
        parts.append(Part.of(fit.weights, len(chosen), held))
        say((k + 1) / len(shares), f"learning curve: {len(chosen):,} judgments")
    return parts
