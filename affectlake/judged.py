"""Judgments as the arrays that the science works on. Frames in, arrays out; nothing is learnt here."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt
import polars as pl

IntArray = npt.NDArray[np.int32]


def with_purpose(judgments: pl.DataFrame, triplets: pl.DataFrame, *purposes: str) -> pl.DataFrame:
    """Judgments whose question was planned for one of ``purposes``, sorted by key."""
    wanted = triplets.filter(pl.col("purpose").is_in(purposes)).select("triplet_id", "purpose")
    return judgments.join(wanted, on="triplet_id").sort("triplet_id", "presented", "repeat")


def odd_last(judgments: pl.DataFrame) -> IntArray:
    """Items of each judgment with the odd one last, the kept pair ascending, int32[n, 3] in row order."""
    items = judgments.select("a", "b", "c").to_numpy()
    is_odd = items == judgments["odd"].to_numpy()[:, None]
    order = np.argsort(is_odd, axis=1, kind="stable")
    return np.ascontiguousarray(np.take_along_axis(items, order, axis=1), dtype=np.int32)


def odd_probabilities(judgments: pl.DataFrame) -> npt.NDArray[np.float32] | None:
    """Probability of each column of :func:`odd_last` to be odd, float32[n, 3]; None where the judge gives none."""
    soft = judgments.select("p_a", "p_b", "p_c")
    if judgments.is_empty() or soft["p_a"].null_count():
        return None
    items = judgments.select("a", "b", "c").to_numpy()
    order = np.argsort(items == judgments["odd"].to_numpy()[:, None], axis=1, kind="stable")
    return np.ascontiguousarray(np.take_along_axis(soft.to_numpy(), order, axis=1), dtype=np.float32)


def positions(judgments: pl.DataFrame) -> npt.NDArray[np.int8] | None:
    """Place (0, 1, 2) of each column of :func:`odd_last` as shown, int8[n, 3]; None where an order is not known."""
    places = {"".join("abc"[k] for k in order): np.argsort(order) for order in permutations(range(3))}
    shown = judgments["presented"]
    if judgments.is_empty() or not shown.is_in(list(places)).all():
        return None
    which = shown.replace_strict(list(places), range(6), return_dtype=pl.Int8).to_numpy()
    at = np.array(list(places.values()), np.int8)[which]
    items = judgments.select("a", "b", "c").to_numpy()
    order = np.argsort(items == judgments["odd"].to_numpy()[:, None], axis=1, kind="stable")
    return np.ascontiguousarray(np.take_along_axis(at, order, axis=1))


def times_judged(judgments: pl.DataFrame) -> pl.DataFrame:
    """How many judgments contain each item: columns ``item`` (Int32) and ``n_judgments`` (Int32), sorted by item."""
    items = pl.concat([judgments[c].rename("item") for c in ("a", "b", "c")])
    counts = items.value_counts(name="n_judgments").with_columns(pl.col("n_judgments").cast(pl.Int32))
    return counts.sort("item")


def vectors(embeddings: pl.DataFrame) -> npt.NDArray[np.float32]:
    """The vectors of the table ``embeddings`` as a matrix, float32[n, d], in row order."""
    if embeddings.is_empty():
        return np.zeros((0, 0), np.float32)
    width = int(embeddings["vector"].list.len().max() or 0)  # type: ignore[arg-type]
    return (
        embeddings["vector"].list.to_array(width).to_numpy() if width else np.zeros((embeddings.height, 0), np.float32)
    )


def rating_matrix(ratings: pl.DataFrame, video_ids: pl.Series, names: list[tuple[str, str]]) -> npt.NDArray[np.float64]:
    """Ratings as a matrix, float64[videos, names]; NaN where a video was not rated.

    Parameters
    ----------
    ratings : polars.DataFrame
        Rows of the table ``ratings``.
    video_ids : polars.Series
        Rows wanted, by id.
    names : list of (scale, name)
        Columns wanted.
    """
    matrix = np.full((len(video_ids), len(names)), np.nan)
    row = pl.DataFrame({"video_id": video_ids}).with_row_index("row")
    column = pl.DataFrame(names, schema={"scale": pl.String, "name": pl.String}, orient="row").with_row_index("column")
    found = ratings.join(row, on="video_id").join(column, on=["scale", "name"])
    matrix[found["row"].to_numpy(), found["column"].to_numpy()] = found["value"].to_numpy()
    return matrix


def measured_similarities(validation: pl.DataFrame) -> tuple[IntArray, npt.NDArray[np.float32]]:
    """The items of validation judgments, int32[n] ascending, and their similarities as judged, float32[n, n]."""
    from affectlake.similarity import measured_rsm

    answers = odd_last(validation)
    items, renumbered = np.unique(answers, return_inverse=True)
    return items, measured_rsm(renumbered.reshape(answers.shape).astype(np.int32), len(items))
