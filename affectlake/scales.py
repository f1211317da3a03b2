"""Names of the rating scales of the field, in the order of its files. What does not belong here: reading ratings."""

from __future__ import annotations

CATEGORIES = (
    "Admiration",
    "Adoration",
    "Aesthetic_appreciation",
    "Amusement",
    "Anger",
    "Anxiety",
    "Awe",
    "Awkwardness",
    "Boredom",
    "Calmness",
    "Confusion",
    "Contempt",
    "Craving",
    "Disappointment",
    "Disgust",
    "Empathic_pain",
    "Entrancement",
    "Envy",
    "Excitement",
    "Fear",
    "Guilt",
    "Horror",
    "Interest",
    "Joy",
    "Nostalgia",
    "Pride",
    "Relief",
    "Romance",
    "Sadness",
    "Satisfaction",
    "Sexual_desire",
    "Surprise",
    "Sympathy",
    "Triumph",
)
"""The 34 emotion categories of Cowen and Keltner (2017), rated as the share of raters (0..1), in file order."""

DIMENSIONS = (
    "approach",
    "arousal",
    "attention",
    "certainty",
    "commitment",
    "control",
    "dominance",
    "effort",
    "fairness",
    "identity",
    "obstruction",
    "safety",
    "upswing",
    "valence",
)
"""The 14 affective dimensions of Cowen and Keltner (2017), rated 1..9, in file order."""

_NOT_IN_27 = frozenset({"Contempt", "Disappointment", "Envy", "Guilt", "Pride", "Sympathy", "Triumph"})

CATEGORIES_27 = tuple(name for name in CATEGORIES if name not in _NOT_IN_27)
"""The 27 categories that Cowen and Keltner found distinct, in the same order."""
