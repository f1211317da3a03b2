"""What a report is made from: the study's facts and its tables, cut to the models and subjects that it has now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import polars as pl

from affectlake.judge_measures import Measures, measure
from affectlake.tables import TABLES

Show = Literal["thumbnails", "captions", "ids"]

SIGNIFICANT = 0.05
"""q below which a score is marked."""

FIGURE_REGIONS = 40
"""Regions that a figure has room for; tables hold all."""


@dataclass(frozen=True)
class Facts:
    """What the study file says.

    Attributes
    ----------
    name : str
    synthetic : bool
        True for generated data, which every page then says at its head.
    models, controls, subjects : tuple of str
        In the order of the study file; the controls are among the models.
    show : {"thumbnails", "captions", "ids"}
        How clips may be shown.
    methods : tuple of (heading, text)
        What was done, in paragraphs, with the study's own settings and versions.
    """

    name: str
    synthetic: bool
    models: tuple[str, ...]
    controls: tuple[str, ...]
    subjects: tuple[str, ...]
    show: Show
    methods: tuple[tuple[str, str], ...]


@dataclass
class Results:
    """The study's facts and tables; a table that was not computed is empty."""

    facts: Facts
    tables: Mapping[str, pl.LazyFrame]
    _read: dict[str, pl.DataFrame] = field(default_factory=dict)

    def lazy(self, name: str) -> pl.LazyFrame:
        """A table without the rows of models and subjects that left the study."""
        contract = TABLES[name]
        frame = self.tables.get(name, contract.empty().lazy())
        for column in ("model", "model_a", "model_b"):
            if column in contract.column:
                frame = frame.filter(pl.col(column).is_in(self.facts.models))
        if "subject" in contract.column:
            frame = frame.filter(pl.col("subject").is_in(self.facts.subjects))
        return frame

    def table(self, name: str) -> pl.DataFrame:
        """The same in memory, in the order of its key; read once."""
        if name not in self._read:
            self._read[name] = self.lazy(name).collect().sort(TABLES[name].key)
        return self._read[name]

    @cached_property
    def ranked(self) -> list[str]:
        """The models, best first: by the mean score over regions and subjects, else by held-out accuracy."""
        scores, quality = self.table("encoding_scores"), self.table("embedding_quality")
        by = scores.group_by("model").agg(pl.col("mean_r").mean().alias("score"))
        if by.drop_nulls("score").is_empty():
            by = quality.select("model", score="accuracy")
        known = dict(by.drop_nulls("score").iter_rows())
        return sorted(self.facts.models, key=lambda m: (-known.get(m, float("-inf")), m))

    @cached_property
    def best(self) -> str | None:
        """The best model that is no control."""
        return next((m for m in self.ranked if m not in self.facts.controls), None)

    @cached_property
    def regions(self) -> list[str]:
        """The regions that were scored, those that any model predicts best first."""
        scores = self.table("encoding_scores")
        means = scores.group_by("roi", "model").agg(pl.col("mean_r").mean())
        best = means.group_by("roi").agg(pl.col("mean_r").max())
        return best.sort("mean_r", "roi", descending=[True, False], nulls_last=True)["roi"].to_list()

    @cached_property
    def drawn_regions(self) -> list[str]:
        """Regions that stand in figures: those that any model predicts best."""
        return self.regions[:FIGURE_REGIONS]

    def drawn(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows of the regions that stand in figures; all where nothing was scored by region."""
        return frame.filter(pl.col("roi").is_in(self.drawn_regions)) if self.regions else frame

    @property
    def note_on_regions(self) -> str:
        """What a figure's caption says where it does not show all regions."""
        more = len(self.regions) - len(self.drawn_regions)
        return (
            f" Drawn are the {FIGURE_REGIONS} of {len(self.regions)} regions that any model predicts best."
            if more
            else ""
        )

    @cached_property
    def with_pages(self) -> list[str]:
        """Models that have dimensions to look at, best first."""
        have = set(self.table("dimensions")["model"])
        return [m for m in self.ranked if m in have]

    @cached_property
    def judges(self) -> list[Measures]:
        """What is measured of every judge that was asked, in the order of the study file."""
        triplets = self.lazy("triplets")
        found = []
        for model in self.facts.models:
            judgments, attempts = (self.lazy(t).filter(pl.col("model") == model) for t in ("judgments", "attempts"))
            found.append(measure(model, judgments, attempts, triplets))
        return [judge for judge in found if judge is not None]

    @cached_property
    def captions(self) -> dict[str, str]:
        """The first description of each clip."""
        first = self.table("captions").group_by("video_id", maintain_order=True).first()
        return dict(zip(first["video_id"], first["text"], strict=True))
