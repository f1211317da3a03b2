"""What the user interface shows of a table beside its rows: a few values that it plots over time, and a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from assets import _drawings as draw

SIGNIFICANT = 0.05
MOST_CLIPS = 120
"""Clips of a picture of similarities; of more, evenly spaced ones are taken."""
MOST_SERIES = 6

Shown = dict[str, Any]


def headline(table: str, rows: pl.DataFrame | pl.LazyFrame) -> Shown:
    """Values and pictures of one partition's rows; nothing for tables whose rows say enough.

    Tables that are appended to are counted without being read as a whole.
    """
    count, make = _COUNTERS.get(table), _MAKERS.get(table)
    found: Shown = {}
    if count is not None:
        found = count(rows.lazy())
    elif make is not None:
        frame = rows.lazy().collect()
        found = make(frame) if frame.height else {}
    return {name: value for name, value in found.items() if value is not None}


def _counts(frame: pl.DataFrame, column: str) -> Shown:
    return {f"{column}_{value}": n for value, n in frame[column].value_counts().sort(column).iter_rows()}


def _videos(frame: pl.DataFrame) -> Shown:
    seconds = frame["duration_s"].drop_nulls().to_list()
    picture = draw.histogram(seconds, "duration (s)", "clips", "durations of the clips") if seconds else None
    return {**_counts(frame, "status"), "durations": picture}


def _captions(frame: pl.DataFrame) -> Shown:
    words = frame["text"].str.split(" ").list.len()
    return {
        "clips": frame["video_id"].n_unique(),
        "median_words": words.median(),
        "words": draw.histogram(words.to_list(), "words", "captions", "words of the captions"),
    }


def _ratings(frame: pl.DataFrame) -> Shown:
    means = frame.filter(pl.col("scale") == "category").group_by("name").agg(pl.col("value").mean())
    means = means.sort("value", "name")
    if means.is_empty():
        return {}
    label = "mean share of raters"
    return {"categories": draw.bars(means["name"].to_list(), means["value"].to_list(), label, "mean of each category")}


def _triplets(rows: pl.LazyFrame) -> Shown:
    counts = rows.group_by("purpose").agg(n=pl.len()).sort("purpose").collect()
    return {f"purpose_{purpose}": n for purpose, n in counts.iter_rows()}


def _judgments(rows: pl.LazyFrame) -> Shown:
    """How often the odd one was shown first, second and third; a judge without bias chooses each as often."""
    chosen = pl.coalesce(pl.when(pl.col("odd") == pl.col(place)).then(pl.lit(place)) for place in "abc")
    place = pl.col("presented").str.find(chosen, literal=True)
    counts = dict(rows.group_by(place=place).agg(n=pl.len()).collect(engine="streaming").drop_nulls().iter_rows())
    if not counts:
        return {}
    shares = [counts.get(i, 0) / sum(counts.values()) for i in range(3)]
    names = ["shown third", "shown second", "shown first"]
    return {
        **{f"share_shown_{name}": share for name, share in zip(("first", "second", "third"), shares, strict=True)},
        "positions": draw.bars(names, shares[::-1], "share of answers (no bias: .333)", "place of the odd one"),
    }


def _attempts(rows: pl.LazyFrame) -> Shown:
    reasons = rows.group_by("reason").agg(n=pl.len()).sort("n", "reason").collect()
    if reasons.is_empty():
        return {}
    names, counts = reasons["reason"].to_list(), reasons["n"].to_list()
    by_reason = {f"reason_{name}": n for name, n in sorted(reasons.iter_rows())}
    return {**by_reason, "reasons": draw.bars(names, counts, "answers", "why answers were not accepted")}


def _embeddings(frame: pl.DataFrame) -> Shown:
    """Similarities of the clips, those together whose strongest dimension is the same."""
    import numpy as np

    from affectlake.rsa import brain_rsm
    from affectlake.similarity import predicted_rsm

    vectors = np.array(frame["vector"].to_list(), dtype=np.float32)
    values: Shown = {"clips": vectors.shape[0], "dimensions": vectors.shape[1]}
    if vectors.shape[0] < 3 or vectors.shape[1] < 2:
        return values
    kept = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MOST_CLIPS)).astype(int))
    chosen = vectors[kept]
    chosen = chosen[np.lexsort((-chosen.max(axis=1), chosen.argmax(axis=1)))]
    learnt = frame["prompt_version"].null_count() < frame.height
    similar = np.array(predicted_rsm(chosen) if learnt else brain_rsm(chosen), dtype=np.float32)
    np.fill_diagonal(similar, np.nan)
    label = "predicted similarity" if learnt else "correlation"
    return {**values, "similarities": draw.heat(similar, label, "similarities of the clips by strongest dimension")}


def _quality(frame: pl.DataFrame) -> Shown:
    row = frame.row(0, named=True)
    values = {name: row[name] for name in ("accuracy", "ceiling", "rsm_r", "coverage", "n_dimensions", "n_refused")}
    known = [(name, row[name]) for name in ("chance", "accuracy", "ceiling") if row[name] is not None]
    if len(known) < 2:
        return values
    names, heights = zip(*known, strict=True)
    return {**values, "against_ceiling": draw.bars(names, heights, "share of held-out questions", "held-out accuracy")}


def _dimensions(frame: pl.DataFrame) -> Shown:
    known = frame.drop_nulls("reproducibility").sort("dimension", descending=True)
    names = [f"{d + 1} {label}" for d, label in known.select("dimension", "label").iter_rows()]
    values = known["reproducibility"].to_list()
    return {
        "mean_reproducibility": frame["reproducibility"].mean(),
        **_counts(frame, "kind"),
        "reproducibility": draw.bars(names, values, "r with its match in other fits", "reproducibility")
        if names
        else None,
    }


def _graph(frame: pl.DataFrame) -> Shown:
    known = frame.drop_nulls("pagerank").sort("pagerank", "model", "dimension").tail(20)
    names = [f"{model} {d + 1}" for model, d in known.select("model", "dimension").iter_rows()]
    return {
        "communities": frame["community"].drop_nulls().n_unique(),
        "isolated": frame["community"].null_count(),
        "central": draw.bars(names, known["pagerank"].to_list(), "PageRank", "most central dimensions")
        if names
        else None,
    }


def _links(frame: pl.DataFrame) -> Shown:
    picture = draw.histogram(frame["r"].to_list(), "r over clips", "pairs of dimensions", "correlations of dimensions")
    return {"edges": frame["edge"].sum(), "matched": frame["matched"].sum(), "correlations": picture}


def _responses(frame: pl.DataFrame) -> Shown:
    shown = frame.select("session", "run", "trial", "video_id").unique()
    by_run = shown.group_by("session", "run").len().sort("session", "run", descending=True)
    names = [f"{session} run {run}".strip() for session, run in by_run.select("session", "run").iter_rows()]
    return {
        "presentations": shown.height,
        "clips": shown["video_id"].n_unique(),
        "runs": by_run.height,
        "by_run": draw.bars(names, by_run["len"].to_list(), "presentations", "presentations of each run"),
    }


def _voxels(frame: pl.DataFrame) -> Shown:
    by_roi = frame.filter(pl.col("status") == "used").explode("rois").drop_nulls("rois").group_by("rois").len()
    by_roi = by_roi.sort("len", "rois")
    names, counts = by_roi["rois"].to_list(), by_roi["len"].to_list()
    picture = draw.bars(names, counts, "voxels used", "voxels of each region") if names else None
    return {**_counts(frame, "status"), "by_region": picture}


def _series(frame: pl.DataFrame) -> Shown:
    first = frame.join(frame.select("session", "run").sort("session", "run").head(1), on=["session", "run"])
    regions = sorted(set(first["roi"]))[:MOST_SERIES]
    curves = {}
    for roi in regions:
        rows = first.filter(pl.col("roi") == roi).sort("volume")
        curves[roi] = (rows["volume"].to_list(), (rows["value"] - rows["value"].mean()).to_list())
    picture = draw.lines("volume", "BOLD, mean taken out", curves, "regions over the first run")
    return {"regions": frame["roi"].n_unique(), "first_run": picture}


def _ceilings(frame: pl.DataFrame) -> Shown:
    known = frame.drop_nulls("ceiling")
    means = known.group_by("source", "roi").agg(pl.col("ceiling").mean()).sort("ceiling", "roi")
    names = [f"{roi} ({source})" for source, roi in means.select("source", "roi").iter_rows()]
    picture = draw.bars(names, means["ceiling"].to_list(), "ceiling of mean r", "ceilings by region") if names else None
    return {"without_ceiling": frame.height - known.height, "by_region": picture}


def _scores(column: str, label: str) -> Callable[[pl.DataFrame], Shown]:
    def make(frame: pl.DataFrame) -> Shown:
        scored = frame.drop_nulls(column)
        return {
            f"mean_{column.removeprefix('mean_')}": scored[column].mean(),
            "regions_scored": scored.height,
            "regions_significant": scored.filter(pl.col("q") < SIGNIFICANT).height,
            "by_region": _by_region(scored.sort(column), column, label) if scored.height else None,
        }

    return make


def _by_region(scored: pl.DataFrame, column: str, label: str) -> Any:
    """Regions down, the best on top; those with q < .05 are dark."""
    dark = [q is not None and q < SIGNIFICANT for q in scored["q"]]
    names, values = scored["roi"].to_list(), scored[column].to_list()
    return draw.bars(names, values, f"{label} (dark: q < .05)", f"{label} by region", dark=dark)


def _runs(frame: pl.DataFrame) -> Shown:
    best = frame.group_by("roi").agg(pl.col("mean_r").mean()).sort("mean_r", "roi", descending=True)["roi"]
    curves = {}
    for roi in best.head(MOST_SERIES).to_list():
        rows = frame.filter(pl.col("roi") == roi).sort("run")
        curves[roi] = (rows["run"].to_list(), rows["mean_r"].to_list())
    return {"by_run": draw.lines("held-out run", "mean r", curves, "mean r by held-out run")}


def _voxel_scores(frame: pl.DataFrame) -> Shown:
    tested = frame.drop_nulls("q")
    significant = float((tested["q"] < SIGNIFICANT).mean()) if tested.height else None  # type: ignore[arg-type]
    picture = draw.histogram(frame["r"].to_list(), "cross-validated r", "voxels", "scores of the voxels")
    return {
        "mean_r": frame["r"].mean(),
        "share_significant": significant,
        "smallest_p": tested["p"].min(),
        "distribution": picture,
    }


def _variance(frame: pl.DataFrame) -> Shown:
    means = frame.group_by("set", "part").agg(pl.col("r2").mean()).sort("r2", "set", "part")
    names = [part if part != group else f"{part} (shared)" for group, part in means.select("set", "part").iter_rows()]
    return {"parts": draw.bars(names, means["r2"].to_list(), "mean R2 over regions", "explained variance by part")}


def _comparisons(frame: pl.DataFrame) -> Shown:
    return {
        "pairs_of_models": frame.select("model_a", "model_b").unique().height,
        "significant": frame.filter(pl.col("q") < SIGNIFICANT).height,
        "subjects": frame["n_subjects"].max(),
        "differences": _differences(frame.filter(pl.col("metric") == "encoding")),
    }


def _differences(frame: pl.DataFrame) -> Any:
    """Regions by pairs of models; the pairs that differ most."""
    if frame.is_empty():
        return None
    named = frame.with_columns(pair=pl.format("{} \u2212 {}", "model_a", "model_b"))
    pairs = named.group_by("pair").agg(pl.col("mean_difference").abs().mean()).sort("mean_difference", "pair")
    kept = sorted(pairs.tail(20)["pair"])
    wide = named.filter(pl.col("pair").is_in(kept)).pivot("pair", index="roi", values="mean_difference").sort("roi")
    wide = wide.head(draw.MOST_ROWS)
    matrix = wide.select(kept).cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return draw.heat(matrix, "difference of mean r", "differences by region", (wide["roi"].to_list(), kept))


def _searchlight(frame: pl.DataFrame) -> Shown:
    best = frame.group_by("model").agg(pl.col("rho").mean()).sort("model")
    return {f"mean_rho_{model}": rho for model, rho in best.iter_rows()}


def _decoding(frame: pl.DataFrame) -> Shown:
    return {
        "mean_identification": frame["identification"].mean(),
        "best_identification": frame["identification"].max(),
        "regions_significant": frame.filter(pl.col("q") < SIGNIFICANT).height,
    }


_COUNTERS: dict[str, Callable[[pl.LazyFrame], Shown]] = {
    "triplets": _triplets,
    "judgments": _judgments,
    "attempts": _attempts,
}

_MAKERS: dict[str, Callable[[pl.DataFrame], Shown]] = {
    "videos": _videos,
    "captions": _captions,
    "ratings": _ratings,
    "embeddings": _embeddings,
    "embedding_quality": _quality,
    "dimensions": _dimensions,
    "dimension_graph": _graph,
    "dimension_links": _links,
    "responses": _responses,
    "voxels": _voxels,
    "roi_timeseries": _series,
    "noise_ceilings": _ceilings,
    "encoding_scores": _scores("mean_r", "cross-validated r"),
    "run_scores": _runs,
    "voxel_scores": _voxel_scores,
    "rsa_scores": _scores("rho", "correlation of similarities"),
    "searchlight_scores": _searchlight,
    "decoding_scores": _decoding,
    "variance_partition": _variance,
    "comparisons": _comparisons,
}
