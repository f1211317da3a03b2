"""A record of everything that an input held and that was not used. Nothing is left out without a row here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from affectlake.tables import EXCLUSIONS

WHOLE = "-"
"""Name of the only partition of a table that has none (Delta reads an empty partition value as null)."""


class Exclusions:
    """Counts of what was left out, by source, reason and what."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, source: str | Path, reason: str, what: str, n: int = 1) -> None:
        """Count ``n`` rows of ``source`` that were left out for ``reason`` (a word such as ``unknown_id``)."""
        self._counts[str(source), reason, what] += n

    def update(self, other: Exclusions) -> None:
        """Add the counts of ``other``."""
        self._counts.update(other._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def total(self, reason: str | None = None) -> int:
        """Rows left out, for one reason or for all."""
        return sum(n for (_, why, _), n in self._counts.items() if reason in (None, why))

    def frame(self, stage: str, partition: str = WHOLE) -> pl.DataFrame:
        """The counts as rows of the table ``exclusions``, sorted by key."""
        rows = [(stage, partition, *key, n) for key, n in sorted(self._counts.items())]
        return pl.DataFrame(rows, schema=EXCLUSIONS.schema, orient="row")
