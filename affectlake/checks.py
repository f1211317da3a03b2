"""What is checked of a table beyond its contract: numbers, thresholds, and whether a failure keeps the rows out.

Thresholds are data. What belongs here: frames in, verdicts out. What does not: when it is checked (``assets``), and
the contract itself (``tables``), which every frame has passed before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

Number = int | float | None
Numbers = Mapping[str, Number]


@dataclass(frozen=True)
class Check:
    """One question put to one table's partition.

    Attributes
    ----------
    table, name : str
    question : str
        What is true where it passes.
    measure : callable
        Lazy frame of the partition's rows and the thresholds to the numbers and whether these pass.
    thresholds : mapping of str to float
    blocking : bool
        True where wrong rows would poison what follows: they are not written then, and nothing follows.
    """

    table: str
    name: str
    question: str
    measure: Callable[[pl.LazyFrame, Numbers], tuple[dict[str, Number], bool]]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    blocking: bool = False


@dataclass(frozen=True)
class Verdict:
    """What came of a check."""

    check: Check
    passed: bool
    numbers: Numbers
    thresholds: Numbers


def verdicts(table: str, rows: pl.LazyFrame, limits: Numbers | None = None) -> list[Verdict]:
    """Put every check of ``table`` to ``rows``.

    Parameters
    ----------
    table : str
    rows : polars.LazyFrame
        One partition.
    limits : mapping, optional
        Thresholds that the study sets, by name; they come before a check's own.
    """
    found = []
    for check in of_table(table):
        thresholds = {**check.thresholds, **(limits or {})}
        numbers, passed = check.measure(rows, thresholds)
        found.append(Verdict(check, passed, numbers, thresholds))
    return found


def of_table(table: str) -> list[Check]:
    """The checks of one table."""
    return [check for check in CHECKS if check.table == table]


def _bijection(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    facts = rows.select(
        clips=pl.len(),
        ids=pl.col("video_id").n_unique(),
        items=pl.col("item").n_unique(),
        largest=pl.col("item").max(),
        strangers=(~pl.col("duplicate_of").is_in(pl.col("video_id").implode())).fill_null(value=False).sum(),
    )
    found = facts.collect().row(0, named=True)
    n = found["clips"]
    dense = n == 0 or found["largest"] == n - 1
    return found, found["ids"] == found["items"] == n and dense and found["strangers"] == 0


def _balance(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    """Share of answers for the first, second and third shown; three standard errors are chance."""
    letter = pl.coalesce(pl.when(pl.col("odd") == pl.col(x)).then(pl.lit(x)) for x in "abc")
    place = rows.select(place=pl.col("presented").str.find(letter, literal=True))
    counted = place.select(*((pl.col("place") == k).sum().alias(f"place_{k + 1}") for k in range(3)), n=pl.len())
    found = counted.collect().row(0, named=True)
    n = max(found["n"], 1)
    shares: dict[str, Number] = {f"share_{k}": found[f"place_{k}"] / n for k in (1, 2, 3)}
    most = max(abs((shares[f"share_{k}"] or 0) - 1 / 3) for k in (1, 2, 3))
    chance = 3 * (2 / 9 / n) ** 0.5
    passed = found["n"] == 0 or most <= (limits["most_off"] or 0) + chance
    return {"answers": found["n"], **shares, "off_by": most, "chance": chance}, passed


def _below_ceiling(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    names = ("accuracy", "accuracy_low", "ceiling", "ceiling_high")
    found = rows.select(names).collect()
    if found.is_empty():
        return {}, True
    numbers = found.row(0, named=True)
    low, high = numbers["accuracy_low"], numbers["ceiling_high"]
    return numbers, low is None or high is None or low <= high


def _nothing_leaked(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    found = rows.select(pl.col("n_leaked").sum(), pl.col("n_train").sum()).collect().row(0, named=True)
    return found, found["n_leaked"] == 0


def _above_chance(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    found = rows.select("accuracy", "chance_high").collect()
    if found.is_empty():
        return {}, True
    numbers = found.row(0, named=True)
    return numbers, None in numbers.values() or numbers["accuracy"] > numbers["chance_high"]


def _reproducible(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    r = rows.select("reproducibility").collect()["reproducibility"].drop_nulls()
    if r.is_empty():
        return {"dimensions": 0}, True
    share = int((r >= (limits["least_r"] or 0)).sum()) / len(r)
    return {"dimensions": len(r), "share": share, "least": float(r.min())}, share >= (limits["least_share"] or 0)  # type: ignore[arg-type]


def _scored(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    found = rows.select(voxels=pl.col("n_voxels").sum(), dropped=pl.col("n_dropped").sum()).collect().row(0, named=True)
    share = found["dropped"] / found["voxels"] if found["voxels"] else 0.0
    return {**found, "share_dropped": share}, share <= (limits["most_dropped"] or 0)


def _possible(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    facts = rows.select(voxels=pl.len(), nan=pl.col("r").is_nan().sum(), beyond=(pl.col("r").abs() > 1).sum())
    found = facts.collect().row(0, named=True)
    return found, found["nan"] == 0 and found["beyond"] == 0


def _within_cap(rows: pl.LazyFrame, limits: Numbers) -> tuple[dict[str, Number], bool]:
    spent = float(rows.select(pl.col("cost_usd").sum()).collect().item() or 0.0)
    cap = limits.get("max_usd")
    return {"spent_usd": spent}, cap is None or spent <= cap


CHECKS = (
    Check(
        "videos", "bijection", "Every clip has an item of its own, items are dense, and every canonical clip is there.",
        _bijection, blocking=True,
    ),
    Check(
        "judgments", "position_balance", "The odd one is found as often wherever it is shown, chance apart.",
        _balance, {"most_off": 0.05},
    ),
    Check("judgments", "cost_within_cap", "Accepted answers cost no more than the model's max_usd.", _within_cap),
    Check(
        "embedding_quality", "below_ceiling", "Held-out accuracy is not above the noise ceiling: more would be a leak.",
        _below_ceiling,
    ),
    Check(
        "embedding_quality", "held_out", "No held-out judgment is about three clips that were trained on together.",
        _nothing_leaked, blocking=True,
    ),
    Check("embedding_quality", "above_chance", "Held-out accuracy is above that of permuted answers.", _above_chance),
    Check(
        "dimensions", "reproducible", "Most dimensions come back in other runs.",
        _reproducible, {"least_r": 0.5, "least_share": 0.5},
    ),
    Check(
        "encoding_scores", "voxels_scored", "Few voxels of the regions were constant or NaN.",
        _scored, {"most_dropped": 0.2},
    ),
    Check("voxel_scores", "possible", "No correlation is NaN or beyond 1.", _possible, blocking=True),
)  # fmt: skip
"""All checks; severity is an error where blocking, else a warning."""
