"""What a dimension means, said with the ratings that it goes with.

What belongs here: correlations of dimensions with ratings, and the rules that turn them into words. What does not:
asking an agent for a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake.errors import InputError

Doubles = NDArray[np.float64]
Kind = Literal["category", "dimension", "hybrid", "none"]


@dataclass(frozen=True)
class Rule:
    """When a rating takes part in a dimension's name and kind. The paper's own rule is not known; this one is stated.

    Attributes
    ----------
    q : float
        A rating takes part only if its correlation has a BH-FDR q below this.
    least_r : float
        ... and |r| of at least this: with two thousand items nearly anything is significant.
    share_of_best : float
        ... and at least this share of the strongest |r| of the dimension.
    words : int
        Most ratings in a label.
    one_sided : tuple of str
        Scales of which only positive correlations take part: a category that is absent names nothing.
    """

    q: float = 0.05
    least_r: float = 0.2
    share_of_best: float = 0.5
    words: int = 3
    one_sided: tuple[str, ...] = ("category",)


RULE = Rule()
"""A dimension is of kind category or dimension if only such ratings take part, hybrid if both do, else none."""


@dataclass(frozen=True)
class Correlation:
    """Pearson r of a dimension with one rating, and its q over all dimensions and ratings."""

    scale: str
    name: str
    r: float
    q: float


@dataclass(frozen=True)
class Meaning:
    """Label, kind and all correlations of one dimension."""

    label: str
    kind: Kind
    correlations: tuple[Correlation, ...]


def name_dimensions(
    weights: ArrayLike, ratings: ArrayLike, names: Sequence[tuple[str, str]], *, rule: Rule = RULE
) -> list[Meaning]:
    """Name each dimension by the ratings that it correlates with.

    Parameters
    ----------
    weights : float[n_items, d]
    ratings : float[n_items, m]
        NaN where an item was not rated.
    names : sequence of (scale, name), length m
        Such as ("category", "Fear") and ("dimension", "arousal").
    rule : Rule

    Returns
    -------
    list of Meaning, length d
        Labels join the strongest ratings by " / "; poles of dimensions are written arousal-high and arousal-low; a
        dimension that no rating goes with is called "unnamed".

    Raises
    ------
    InputError
        Shapes that do not belong together.
    """
    r, q = correlate(weights, ratings)
    if len(names) != r.shape[1]:
        raise InputError(f"{len(names)} names for {r.shape[1]} ratings", remedy="Give a (scale, name) for each column")
    meanings = []
    for row_r, row_q in zip(r, q, strict=True):
        found = tuple(
            Correlation(scale, name, float(a), float(b))
            for (scale, name), a, b in zip(names, row_r, row_q, strict=True)
        )
        part = _taking_part(found, rule)
        label = " / ".join(_word(c, rule) for c in part[: rule.words]) or "unnamed"
        meanings.append(Meaning(label, _kind(part), found))
    return meanings


def correlate(weights: ArrayLike, ratings: ArrayLike) -> tuple[Doubles, Doubles]:
    """Pearson r of each dimension with each rating, and BH-FDR q over all of them.

    Parameters
    ----------
    weights : float[n_items, d]
    ratings : float[n_items, m]
        NaN where an item was not rated; each rating uses the items that have it.

    Returns
    -------
    r, q : float64[d, m]
        r = 0 and q = 1 where fewer than 4 items are rated or a column is constant.
    """
    w, y = np.asarray(weights, np.float64), np.asarray(ratings, np.float64)
    if w.ndim != 2 or y.ndim != 2 or len(w) != len(y):
        raise InputError(
            f"weights of shape {w.shape} and ratings of shape {y.shape} do not belong together",
            remedy="Give both one row an item, in the same order",
        )
    if not w.shape[1] or not y.shape[1]:
        return np.zeros((w.shape[1], y.shape[1])), np.ones((w.shape[1], y.shape[1]))
    from scipy.stats import false_discovery_control

    r, p = np.zeros((w.shape[1], y.shape[1])), np.ones((w.shape[1], y.shape[1]))
    for column in range(y.shape[1]):
        rated = np.isfinite(y[:, column])
        if rated.sum() >= 4:
            r[:, column], p[:, column] = _pearson(w[rated], y[rated, column])
    return r, np.asarray(false_discovery_control(p.ravel())).reshape(p.shape)


def _pearson(w: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """Correlate every column of ``w`` with ``y``: r and its two-sided p (t distribution, n - 2 degrees of freedom)."""
    from scipy.stats import t

    x, z = w - w.mean(axis=0), y - y.mean()
    norm = np.linalg.norm(x, axis=0) * np.linalg.norm(z)
    varies = norm > 1e-12 * max(1.0, float(np.abs(w).max()) * float(np.abs(y).max()))
    r = np.divide(x.T @ z, norm, out=np.zeros(w.shape[1]), where=varies)
    r = np.clip(r, -1, 1)
    freedom = len(y) - 2
    with np.errstate(divide="ignore"):
        p = 2 * t.sf(np.abs(r) * np.sqrt(freedom / np.maximum(1 - r * r, 0)), freedom)
    return r, np.where(varies, p, 1.0)


def _taking_part(found: tuple[Correlation, ...], rule: Rule) -> list[Correlation]:
    """Correlations that the rule lets into name and kind, strongest first; equal ones by name."""
    strong = [
        c for c in found if c.q < rule.q and abs(c.r) >= rule.least_r and (c.r > 0 or c.scale not in rule.one_sided)
    ]
    best = max((abs(c.r) for c in strong), default=0.0)
    chosen = [c for c in strong if abs(c.r) >= rule.share_of_best * best]
    return sorted(chosen, key=lambda c: (-abs(c.r), c.scale, c.name))


def _word(correlation: Correlation, rule: Rule) -> str:
    """A rating as a word: categories as they are, dimensions with their pole."""
    if correlation.scale in rule.one_sided:
        return correlation.name
    return f"{correlation.name}-{'high' if correlation.r > 0 else 'low'}"


def _kind(part: list[Correlation]) -> Kind:
    categories = any(c.scale == "category" for c in part)
    others = any(c.scale != "category" for c in part)
    if categories and others:
        return "hybrid"
    if categories:
        return "category"
    return "dimension" if others else "none"
