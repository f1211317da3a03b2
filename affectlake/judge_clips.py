"""Which clips a judge refuses or cannot answer for: refusals hit whole regions of a space, not clips at random.

What belongs here: counts and rates by clip, and which of them stand out. What does not: why (``attempts``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

REFUSED = ("refused", "filtered")
"""Reasons of ``attempts`` by which the judge or its service declined."""

UNREADABLE = ("invalid", "length")
"""Reasons by which an answer came that names no clip."""

TIMES_MEDIAN = 5.0
"""A clip stands out whose rate is more than so many times the median clip's."""

CHANCE = 0.01
"""... and that chance alone would explain with less than this probability, over all clips (Bonferroni)."""


def clip_rates(answers: pl.LazyFrame, attempts: pl.LazyFrame) -> pl.DataFrame:
    """Share of answers about each clip that were refused, and that could not be read.

    A question is about three clips and counts for each of them. Failures of the transport are no answers.

    Parameters
    ----------
    answers, attempts : polars.LazyFrame
        Rows of ``judgments`` and ``attempts`` of one judge.

    Returns
    -------
    polars.DataFrame
        One row a clip that was asked about, sorted by ``item`` (Int32): ``n`` answers of any kind, ``n_refused``,
        ``n_invalid`` (Int64), ``refused``, ``invalid`` (their shares, Float64), ``refused_stands_out`` and
        ``invalid_stands_out`` (Boolean).
    """
    counts = [_by_item(answers, "n_accepted")]
    for name, reasons in (("n_refused", REFUSED), ("n_invalid", UNREADABLE)):
        counts.append(_by_item(_with_items(attempts.filter(pl.col("reason").is_in(reasons))), name))
    found = counts[0]
    for more in counts[1:]:
        found = found.join(more, on="item", how="full", coalesce=True)
    found = found.fill_null(0).sort("item").with_columns(n=pl.sum_horizontal("n_accepted", "n_refused", "n_invalid"))
    n = found["n"].to_numpy()
    return found.select(
        "item",
        "n",
        "n_refused",
        "n_invalid",
        refused=pl.col("n_refused") / pl.col("n"),
        invalid=pl.col("n_invalid") / pl.col("n"),
        refused_stands_out=pl.Series(stands_out(found["n_refused"].to_numpy(), n)),
        invalid_stands_out=pl.Series(stands_out(found["n_invalid"].to_numpy(), n)),
    )


def stands_out(k: npt.NDArray[np.int64], n: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which clips' rates ``k / n`` are more than five times the median and more than chance at the overall rate."""
    from scipy.stats import binom

    if not k.any():
        return np.zeros(len(k), dtype=bool)
    rate = k / n
    unlikely = binom.sf(k - 1, n, k.sum() / n.sum()) < CHANCE / len(k)
    return np.asarray((rate > TIMES_MEDIAN * np.median(rate)) & unlikely)


def _by_item(rows: pl.LazyFrame, name: str) -> pl.DataFrame:
    counts = [rows.group_by(pl.col(c).alias("item")).len() for c in "abc"]
    return pl.concat(counts).group_by("item").agg(pl.col("len").sum().cast(pl.Int64).alias(name)).collect()


def _with_items(attempts: pl.LazyFrame) -> pl.LazyFrame:
    """Attempts name their set by its rank alone."""
    from affectlake.triplets import unrank

    ids = attempts.select("triplet_id").collect()["triplet_id"].to_numpy()
    a, b, c = unrank(ids).T
    return pl.LazyFrame({"a": a.copy(), "b": b.copy(), "c": c.copy()})
