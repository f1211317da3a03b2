"""Answers of judges whose habits are known, as rows of ``judgments``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from affectlake import triplets
from affectlake.counterhash import counter_hash, uniform
from affectlake.tables import JUDGMENTS, ORDERS, TRIPLETS

DAY = datetime(2026, 1, 1, tzinfo=UTC)
SHOWN_AT = np.array([[order.index(letter) for letter in "abc"] for order in ORDERS])


def design(n_items=40, **counts):
    """A study's questions, as rows of ``triplets``."""
    return triplets.plan(np.arange(n_items), TRIPLETS.empty(), **counts)


def asked(planned, *purposes, seed=0):
    """The questions of some purposes."""
    return triplets.questions(planned.filter(pl.col("purpose").is_in(purposes)), seed=seed)


def judge(questions, *, taste=2.0, bias=(0.0, 0.0, 0.0), seed=0, day=0, soft=False, **columns):
    """A judge that draws the odd one from ``taste`` times a fixed liking of each clip plus ``bias`` by place."""
    items = questions.select("a", "b", "c").to_numpy()
    order = np.array([ORDERS.index(p) for p in questions["presented"]])
    liking = np.random.default_rng(99).normal(size=int(items.max()) + 1)
    logits = taste * liking[items] + np.asarray(bias)[SHOWN_AT[order]]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    drawn = uniform(counter_hash(seed, questions["triplet_id"].to_numpy(), order, questions["repeat"].to_numpy()))
    odd = items[np.arange(len(items)), (drawn[:, None] >= p.cumsum(axis=1)[:, :2]).sum(axis=1)]
    given = {
        "model": "judge",
        "prompt_version": "v1",
        "stimulus_version": "s",
        "judged_at": DAY + timedelta(days=day),
        **{f"p_{x}": p[:, k].astype(np.float32) if soft else None for k, x in enumerate("abc")},
        **columns,
    }
    rows = questions.with_columns(
        pl.Series("odd", odd, dtype=pl.Int32),
        **{name: value if isinstance(value, np.ndarray) else pl.lit(value) for name, value in given.items()},
    )
    absent = [pl.lit(None).alias(c) for c in JUDGMENTS.schema if c not in rows.columns]
    return rows.with_columns(absent).select(pl.col(c).cast(t) for c, t in JUDGMENTS.schema.items())
