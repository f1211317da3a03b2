"""What the overview says first, from tables alone."""

from __future__ import annotations

import polars as pl

from affectlake.report import Facts, Results, pages
from affectlake.tables import TABLES


def scores(mean_r: dict[tuple[str, str], float | None]) -> pl.LazyFrame:
    """Rows of ``encoding_scores`` in one region, by subject and model."""
    table = TABLES["encoding_scores"]
    frame = pl.DataFrame(
        [
            {"subject": s, "model": m, "roi": "insula", "mean_r": r, "n_stimuli": 9, "coverage": 1.0}
            for (s, m), r in mean_r.items()
        ]
    )
    absent = [pl.lit(None).alias(name) for name in table.schema if name not in frame.columns]
    return frame.with_columns(*absent).select(pl.col(n).cast(t) for n, t in table.schema.items()).lazy()


def test_a_control_that_predicts_better_is_told_at_once_and_only_scored_subjects_count() -> None:
    table = scores(
        {
            ("a", "mine"): 0.1,
            ("a", "rate"): 0.3,
            ("b", "mine"): 0.1,
            ("b", "rate"): 0.3,
            ("zeros", "mine"): None,
            ("zeros", "rate"): None,
        }
    )
    facts = Facts("study", False, ("mine", "rate"), ("rate",), ("a", "b", "zeros"), "ids", ())
    _, _, html = next(iter(pages(Results(facts, {"encoding_scores": table}))))
    assert "Over 2 subjects and 1 region, mine predicts the brain best of the models that are no controls" in html
    assert "But a control predicts it better: rate (r 0.30)." in html
