"""The planted truth of the demo: the affective space, the visual features and the ratings that follow from them.

What belongs here: numbers that other parts of the demo render, describe or respond to. What does not: writing files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectlake.scales import CATEGORIES, DIMENSIONS

RATERS = 12
"""Synthetic raters of each clip."""

NAMES = ("joy", "awe", "calm", "love", "sadness", "fear", "disgust", "anger")
"""The planted dimensions, in the order of the columns of ``planted``."""

VISUAL_NAMES = ("luminance", "contrast", "frequency", "orientation")
"""Visual features of the clips that are drawn independently of affect."""

_TO_CATEGORIES: dict[str, dict[str, float]] = {
    "joy": {"Joy": 1.0, "Amusement": 0.9, "Excitement": 0.6, "Satisfaction": 0.5, "Triumph": 0.4, "Pride": 0.3},
    "awe": {
        "Awe": 1.0,
        "Aesthetic_appreciation": 0.9,
        "Admiration": 0.6,
        "Interest": 0.5,
        "Entrancement": 0.5,
        "Surprise": 0.3,
    },
    "calm": {"Calmness": 1.0, "Relief": 0.5, "Nostalgia": 0.4, "Boredom": 0.4, "Satisfaction": 0.3},
    "love": {"Romance": 0.9, "Adoration": 0.9, "Sexual_desire": 0.5, "Craving": 0.4, "Sympathy": 0.2},
    "sadness": {
        "Sadness": 1.0,
        "Empathic_pain": 0.7,
        "Sympathy": 0.7,
        "Disappointment": 0.5,
        "Nostalgia": 0.3,
        "Guilt": 0.3,
    },
    "fear": {"Fear": 1.0, "Horror": 0.8, "Anxiety": 0.8, "Surprise": 0.3},
    "disgust": {"Disgust": 1.0, "Horror": 0.3, "Contempt": 0.3, "Awkwardness": 0.3},
    "anger": {
        "Anger": 1.0,
        "Contempt": 0.6,
        "Disappointment": 0.4,
        "Confusion": 0.4,
        "Awkwardness": 0.4,
        "Envy": 0.3,
    },
}

# One row a planted dimension, one column a name of DIMENSIONS, as deviation from the middle of the scale.
_TO_DIMENSIONS: dict[str, tuple[float, ...]] = {
    "joy": (0.6, 0.5, 0.3, 0.3, 0.2, 0.4, 0.4, 0.1, 0.4, 0.3, -0.4, 0.5, 0.7, 1.0),
    "awe": (0.5, 0.3, 0.8, 0.0, 0.2, -0.2, -0.2, 0.1, 0.2, 0.1, -0.2, 0.2, 0.4, 0.8),
    "calm": (0.3, -1.0, -0.2, 0.4, -0.1, 0.5, 0.2, -0.6, 0.3, 0.1, -0.5, 0.8, 0.0, 0.6),
    "love": (0.9, 0.4, 0.4, 0.2, 0.8, 0.1, 0.1, 0.1, 0.3, 0.7, -0.3, 0.5, 0.3, 0.8),
    "sadness": (-0.4, -0.2, 0.2, 0.1, 0.3, -0.7, -0.7, 0.2, -0.5, 0.5, 0.5, -0.4, -0.8, -0.9),
    "fear": (-0.9, 0.9, 0.7, -0.6, 0.0, -0.9, -0.8, 0.5, -0.3, 0.1, 0.6, -1.0, -0.5, -0.9),
    "disgust": (-1.0, 0.4, 0.1, 0.2, -0.3, -0.3, -0.1, 0.1, -0.2, -0.2, 0.4, -0.5, -0.3, -1.0),
    "anger": (-0.6, 0.7, 0.4, 0.1, 0.1, -0.2, 0.3, 0.5, -1.0, 0.3, 0.9, -0.6, -0.4, -0.8),
}


@dataclass(frozen=True)
class Truth:
    """What is planted in the demo; rows go with ``ids``.

    Attributes
    ----------
    ids : tuple of str
        The clips.
    duplicate_of : dict of str to str
        Clip to the canonical clip that it repeats.
    planted : ndarray of float32, shape (n_clips, 8)
        Non-negative, sparse; columns are ``NAMES``.
    visual : ndarray of float32, shape (n_clips, 4)
        0..1, independent of ``planted``; columns are ``VISUAL_NAMES``.
    categories : ndarray of float64, shape (n_clips, 34)
        Share of raters, 0..1.
    dimensions : ndarray of float64, shape (n_clips, 14)
        Mean rating, 1..9.
    """

    ids: tuple[str, ...]
    duplicate_of: dict[str, str]
    planted: NDArray[np.float32]
    visual: NDArray[np.float32]
    categories: NDArray[np.float64]
    dimensions: NDArray[np.float64]

    @property
    def arousal(self) -> NDArray[np.float64]:
        """Planted arousal of each clip, about -1..2."""
        return _expected(self.planted)[:, DIMENSIONS.index("arousal")]

    @property
    def valence(self) -> NDArray[np.float64]:
        """Planted valence of each clip, about -2..2."""
        return _expected(self.planted)[:, DIMENSIONS.index("valence")]


def plant(n_videos: int, rng: np.random.Generator) -> Truth:
    """Draw the truth for ``n_videos`` clips, of which the last two repeat earlier ones."""
    ids = tuple(f"clip{number:03d}" for number in range(1, n_videos + 1))
    source = np.arange(n_videos)
    source[-2:] = (n_videos // 20, n_videos // 2)
    planted = _sparse(n_videos, rng)[source]
    visual = rng.random((n_videos, len(VISUAL_NAMES))).astype(np.float32)[source]
    return Truth(
        ids=ids,
        duplicate_of={ids[row]: ids[source[row]] for row in range(n_videos) if source[row] != row},
        planted=planted,
        visual=visual,
        categories=_rate_categories(planted, rng),
        dimensions=_rate_dimensions(planted, rng),
    )


def _sparse(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """One strong dimension a clip (each equally often), often a weaker second and seldom a third."""
    weights = np.zeros((n, len(NAMES)), dtype=np.float32)
    first = rng.permutation(np.arange(n) % len(NAMES))
    for row in range(n):
        others = rng.permutation(np.delete(np.arange(len(NAMES)), first[row]))
        weights[row, first[row]] = rng.uniform(0.8, 1.6)
        if rng.random() < 0.6:
            weights[row, others[0]] = rng.uniform(0.2, 0.9)
        if rng.random() < 0.2:
            weights[row, others[1]] = rng.uniform(0.1, 0.4)
    return weights


def _rate_categories(planted: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    loadings = np.array([[_TO_CATEGORIES[name].get(c, 0.0) for c in CATEGORIES] for name in NAMES])
    strength = planted @ loadings
    counts = rng.binomial(RATERS, 0.01 + 0.9 * (1 - np.exp(-0.6 * strength)))
    # In the real table no clip is without any category: every rater ticks at least one.
    unrated = counts.sum(axis=1) == 0
    counts[unrated, strength[unrated].argmax(axis=1)] = 1
    share: NDArray[np.float64] = np.round(counts / RATERS, 4)
    return share


def _rate_dimensions(planted: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    mean = 5 + 2.0 * _expected(planted)
    raters = mean[..., None] + rng.normal(0, 1.2, (*mean.shape, RATERS))
    rating: NDArray[np.float64] = np.round(np.clip(np.rint(raters), 1, 9).mean(axis=-1), 4)
    return rating


def _expected(planted: NDArray[np.float32]) -> NDArray[np.float64]:
    """Deviation of each clip from the middle of each dimension's scale, without noise."""
    deviation: NDArray[np.float64] = planted @ np.array([_TO_DIMENSIONS[name] for name in NAMES])
    return deviation
