"""What a judge's answers say of the judge: does the place matter, does it agree with itself, how sure is it.

What belongs here: measures of one judge from rows of ``judgments``. What does not: clips that it does not answer for
(``judge_clips``), change over time (``drift``), the space behind its answers (``quality``).

Three measures are told apart, since each can be high while another is low (Shi et al. 2024, arXiv 2406.07791):
repeatability is how often the same question in the same order gets the same answer, which a judge that samples nothing
has for nothing; consistency is how often it survives another order of the clips; the noise ceiling is the share of the
most frequent answer over many repeats in random orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.tables import ORDERS

if TYPE_CHECKING:
    from affectlake.quality import Estimate

Doubles = npt.NDArray[np.float64]

NEAR_TIE = 0.05
"""Difference of the two largest probabilities below which an answer is nearly a tie."""

QUANTILES = (0.5, 0.9, 0.99)

_PLACE = np.array([[order.index(letter) for letter in "abc"] for order in ORDERS])
"""For each presented order, the place (0, 1, 2) at which a, b and c are shown."""

_FREE = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
"""From two free parameters to three that sum to zero."""

_FAR = 8.0
"""Log odds beyond which a preference is not estimated but absolute: less than one answer in 3,000 tells against it."""


@dataclass(frozen=True)
class Places:
    """How often the clip at each place was called odd, where the order was drawn at random.

    Attributes
    ----------
    counts : tuple of int
        For the first, second and third place.
    chi2, p : float
        Pearson's test of equal shares, 2 degrees of freedom. Whatever the clips are, random orders make the places
        equally likely for a judge that looks at the clips alone.
    """

    counts: tuple[int, int, int]
    chi2: float
    p: float

    @property
    def shares(self) -> list[Estimate]:
        """Share of each place with Wilson's interval."""
        return [share(k, sum(self.counts)) for k in self.counts]


@dataclass(frozen=True)
class Bias:
    """Preference for the three places shown, in log odds that sum to zero, with what it was estimated from."""

    logits: tuple[Estimate, Estimate, Estimate]
    n_pairs: int


@dataclass(frozen=True)
class SelfAgreement:
    """How a judge agrees with itself on the questions of the panel; each with its interval over questions.

    Attributes
    ----------
    n : int
        Questions.
    repeatability : Estimate or None
        Share of pairs of answers to the same order that agree; None where no order was asked twice.
    consistency : Estimate or None
        Share of pairs of answers to different orders that agree; None where only one was asked.
    unanimous : Estimate
        Share of questions to which all answers were the same.
    """

    n: int
    repeatability: Estimate | None
    consistency: Estimate | None
    unanimous: Estimate


def share(k: int, n: int) -> Estimate:
    """``k`` of ``n`` as a share with Wilson's 95 % interval."""
    from scipy.stats import binomtest

    from affectlake.quality import Estimate

    found = binomtest(k, n).proportion_ci(method="wilson")
    return Estimate(k / n, float(found.low), float(found.high))


def current(judgments: pl.LazyFrame) -> pl.LazyFrame:
    """The answers in the newest wording: the ``prompt_version`` of the newest answer whose order is known.

    Judgments made elsewhere have no known order and say nothing of places.
    """
    known = judgments.filter(pl.col("presented").is_in(ORDERS))
    versions = known.group_by("prompt_version").agg(pl.col("judged_at").max())
    newest = versions.sort("judged_at", "prompt_version").tail(1).select("prompt_version")
    return known.join(newest, on="prompt_version", how="semi")


def places(answers: pl.LazyFrame) -> Places | None:
    """Count the places that were called odd and test whether they are equally frequent.

    Parameters
    ----------
    answers : polars.LazyFrame
        Rows of ``judgments`` whose order was drawn at random; orders that were all asked say less than they seem to.

    Returns
    -------
    Places or None
        None without an answer.
    """
    from scipy.stats import chisquare

    each = answers.group_by("presented", letter=_letter()).len().collect()
    if each.is_empty():
        return None
    counts = np.zeros(3, np.int64)
    np.add.at(counts, _PLACE[_order(each), each["letter"].to_numpy()], each["len"].to_numpy())
    found = chisquare(counts)
    a, b, c = (int(n) for n in counts)
    return Places((a, b, c), float(found.statistic), float(found.pvalue))


def _letter() -> pl.Expr:
    """0, 1 or 2 where the odd item is a, b or c."""
    odd = pl.col("odd")
    return pl.when(odd == pl.col("a")).then(0).when(odd == pl.col("b")).then(1).otherwise(2).cast(pl.Int64)


def _order(rows: pl.DataFrame, column: str = "presented") -> npt.NDArray[np.int64]:
    numbers = dict(zip(ORDERS, range(len(ORDERS)), strict=True))
    return rows[column].replace_strict(numbers, return_dtype=pl.Int64).to_numpy()


def self_agreement(panel: pl.DataFrame) -> SelfAgreement | None:
    """How a judge agrees with itself, by order and across orders.

    Parameters
    ----------
    panel : polars.DataFrame
        Answers to questions that were asked in several orders, several times: ``triplet_id``, ``presented``, ``odd``.

    Returns
    -------
    SelfAgreement or None
        Means over questions, 1.96 sd / sqrt(questions) on both sides; None without an answer.
    """
    if panel.is_empty():
        return None
    within = _pairs(panel, "triplet_id", "presented").group_by("triplet_id").agg(pl.col("pairs", "agreeing").sum())
    both = _pairs(panel, "triplet_id").join(within, on="triplet_id", suffix="_within").sort("triplet_id")
    pairs, agreeing = both["pairs"] - both["pairs_within"], both["agreeing"] - both["agreeing_within"]
    unanimous = int((both["agreeing"] == both["pairs"]).sum())
    return SelfAgreement(
        both.height,
        _mean_share(both["agreeing_within"], both["pairs_within"]),
        _mean_share(agreeing, pairs),
        share(unanimous, both.height),
    )


def _pairs(panel: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Pairs of answers of each group, and how many of them agree."""
    counts = panel.group_by(*by, "odd").len()
    n = pl.col("len").cast(pl.Int64)
    grouped = counts.group_by(by).agg(agreeing=(n * (n - 1) // 2).sum(), n=n.sum())
    return grouped.with_columns(pairs=pl.col("n") * (pl.col("n") - 1) // 2).drop("n")


def _mean_share(agreeing: pl.Series, pairs: pl.Series) -> Estimate | None:
    from affectlake.quality import Estimate, half_width

    asked = pairs > 0
    if not asked.any():
        return None
    shares = (agreeing.filter(asked) / pairs.filter(asked)).to_numpy()
    half = half_width(shares)
    return Estimate(float(shares.mean()), max(0.0, float(shares.mean()) - half), min(1.0, float(shares.mean()) + half))


def ceiling(repeated: pl.DataFrame) -> Estimate | None:
    """The noise ceiling from the questions asked for it; None where none was answered twice."""
    from affectlake.quality import noise_ceiling

    twice = repeated.filter(pl.len().over("triplet_id") > 1)
    return None if twice.is_empty() else noise_ceiling(twice["triplet_id"].to_numpy(), twice["odd"].to_numpy())


def position_bias(panel: pl.DataFrame) -> Bias | None:
    """Estimate a judge's preference for places, whatever it thinks of the clips.

    Parameters
    ----------
    panel : polars.DataFrame
        Answers to questions that were asked in several orders: ``triplet_id``, ``a``, ``b``, ``c``, ``presented``,
        ``odd``.

    Returns
    -------
    Bias or None
        None where no answer changed with the order, or where it always followed the place.

    Notes
    -----
    Where a clip is called odd with odds exp(u + bias of its place), then of two answers x and y to two orders of one
    question, the clips' u and all normalizers cancel from the odds that x came first and y second rather than the other
    way round: a logistic regression without nuisance parameters, whose errors are clustered by question.
    """
    from scipy.special import expit

    from affectlake.quality import Estimate

    x, question = _swaps(panel)
    theta, hessian = np.zeros(2), np.eye(2)
    for _ in range(50):
        p = expit(-x @ theta)
        hessian = (x * (p * (1 - p))[:, None]).T @ x
        if np.linalg.cond(hessian) > 1e10:
            return None
        step = np.linalg.solve(hessian, x.T @ p)
        theta = theta + step
        if np.abs(_FREE @ theta).max() > _FAR:
            return None
        if np.abs(step).max() < 1e-9:
            break
    score = x * expit(-x @ theta)[:, None]
    clustered = np.zeros((int(question.max()) + 1, 2))
    np.add.at(clustered, question, score)
    inverse = np.linalg.inv(hessian)
    covariance = _FREE @ inverse @ (clustered.T @ clustered) @ inverse @ _FREE.T
    half = 1.96 * np.sqrt(np.diag(covariance))
    first, second, third = (
        Estimate(float(b), float(b - h), float(b + h)) for b, h in zip(_FREE @ theta, half, strict=True)
    )
    return Bias((first, second, third), len(x))


def _swaps(panel: pl.DataFrame) -> tuple[Doubles, npt.NDArray[np.int64]]:
    """What two different answers to two orders of a question say of places, float64[pairs, 2], and which question."""
    rows = panel.select(
        pl.col("triplet_id").rank("dense").cast(pl.Int64) - 1, "presented", letter=_letter()
    ).with_row_index("row")
    both = rows.join(rows, on="triplet_id", suffix="_2").filter(
        (pl.col("row") < pl.col("row_2")) & (pl.col("letter") != pl.col("letter_2"))
    )
    first, second = _order(both), _order(both, "presented_2")
    x, y = both["letter"].to_numpy(), both["letter_2"].to_numpy()
    place = np.eye(3)
    found = place[_PLACE[first, x]] + place[_PLACE[second, y]] - place[_PLACE[first, y]] - place[_PLACE[second, x]]
    telling = found.any(axis=1)
    return found[telling] @ _FREE, both["triplet_id"].to_numpy()[telling]


def near_ties(answers: pl.LazyFrame) -> tuple[int, int]:
    """How many answers are nearly ties, and how many came with probabilities."""
    p = [pl.col(f"p_{x}") for x in "abc"]
    top, low = pl.max_horizontal(*p), pl.min_horizontal(*p)
    margin = 2 * top + low - pl.sum_horizontal(*p)
    soft = answers.filter(pl.all_horizontal(x.is_not_null() for x in p))
    n, near = soft.select(pl.len(), (margin < NEAR_TIE).sum()).collect().row(0)
    return int(near), int(n)


def quantiles(answers: pl.LazyFrame, columns: Sequence[str]) -> dict[str, tuple[float | None, ...]]:
    """Median, 90th and 99th percentile of each column, linear between answers; None where it is empty."""
    wanted = [pl.col(c).quantile(q, "linear").alias(f"{c} {q}") for c in columns for q in QUANTILES]
    row = answers.select(wanted).collect().row(0)
    n = len(QUANTILES)
    return {c: row[n * k : n * (k + 1)] for k, c in enumerate(columns)}
