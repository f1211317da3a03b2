"""One model's dimensions with their clips, and its clips with their dimensions and neighbours, on a map."""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake import judged
from affectlake.report.blocks import Figure, Section, sections
from affectlake.report.charts import BLUE, COLOURS, svg
from affectlake.report.dimensions import heatmap
from affectlake.report.numbers import coefficient, count, percent
from affectlake.report.results import Results

TOP, BOTTOM, NEAREST = 8, 4, 5
_NAMING = 6
"""Correlations shown of a dimension: the strongest."""


@dataclass(frozen=True)
class Ranked:
    """A clip in a list: its weight or similarity, how it is shown."""

    video_id: str
    value: str
    text: str
    thumbnail: str = ""


@dataclass(frozen=True)
class Dimension:
    """One dimension as it is shown."""

    number: int
    label: str
    kind: str
    meta: str
    correlations: list[str]
    histogram: Figure
    top: list[Ranked]
    bottom: list[Ranked]
    n_zero: str


@dataclass(frozen=True)
class Clip:
    """One clip as it is shown."""

    video_id: str
    text: str
    strongest: list[tuple[int, str, str]]
    nearest: list[Ranked]


@dataclass(frozen=True)
class Browser:
    """All that one model's page shows."""

    sections: list[Section]
    figures: list[tuple[str, str]]
    dimensions: list[Dimension]
    clips: list[Clip]
    data: dict[str, Any]
    n_rated: int


class _Space:
    """One model's vectors, with the names of its clips and dimensions."""

    def __init__(self, results: Results, model: str) -> None:
        rows = results.lazy("embeddings").filter(pl.col("model") == model).collect().sort("video_id")
        self.model = model
        self.ids: list[str] = rows["video_id"].to_list()
        self.vectors: npt.NDArray[np.float32] = judged.vectors(rows)
        self.rows = results.table("dimensions").filter(pl.col("model") == model).sort("dimension")
        self.labels: list[str] = self.rows["label"].to_list()
        self.texts = results.captions if results.facts.show != "ids" else {}

    def text(self, row: int) -> str:
        return self.texts.get(self.ids[row], "")


def of(results: Results, model: str) -> Browser:
    """Everything that is shown of one model's space."""
    space = _Space(results, model)
    chart = heatmap(results, model)
    found = sections(
        (
            Section("map", "Map of the clips", [_map(results, space)])
            if len(space.ids) > _FEWEST and len(space.labels) > 1
            else None,
            Section("ratings", "Dimensions by ratings", [chart]) if chart else None,
        )
    )
    thumbnails = _thumbnails(results)
    largest = np.abs(space.vectors).max(axis=0)
    kinds = Counter(space.rows["kind"])
    figures = [("dimensions", count(len(space.labels))), ("clips", count(len(space.ids)))]
    figures += [(f"kind: {kind}", count(n)) for kind, n in sorted(kinds.items())]
    return Browser(
        found,
        figures,
        [_dimension(space, d, row, thumbnails) for d, row in enumerate(space.rows.iter_rows(named=True))],
        _clips(space),
        {
            "labels": space.labels,
            "largest": [float(f"{v:.4g}") for v in largest],
            "weights": [[float(f"{v:.3g}") for v in row] for row in space.vectors.tolist()],
        },
        _rated(results, space),
    )


def _rated(results: Results, space: _Space) -> int:
    """Clips of the space that have ratings: the n of its correlations."""
    return len(set(space.ids) & set(results.table("ratings")["video_id"].unique()))


def _dimension(space: _Space, d: int, row: dict[str, Any], thumbnails: dict[str, str]) -> Dimension:
    weights = space.vectors[:, d]
    order = np.lexsort((np.arange(len(weights)), -weights))
    ratings = sorted(row["correlations"] or [], key=lambda c: -abs(c["r"]))[:_NAMING]
    parts = [f"{percent(row['share'])} of the space's weight"]
    if row["reproducibility"] is not None:
        low, high = row["reproducibility_low"], row["reproducibility_high"]
        around = f" [{coefficient(low)}, {coefficient(high)}]" if low is not None else ""
        parts.append(f"reproducibility {coefficient(row['reproducibility'])}{around}")
    if row["split_half"] is not None:
        parts.append(f"split-half {coefficient(row['split_half'])}")
    if row["stability"] is not None:
        parts.append(f"stability {coefficient(row['stability'])}")

    def ranked(i: int) -> Ranked:
        return Ranked(space.ids[i], coefficient(float(weights[i])), space.text(i), thumbnails.get(space.ids[i], ""))

    return Dimension(
        d + 1,
        row["label"],
        row["kind"],
        " \u00b7 ".join(parts),
        [f"{c['name']} ({c['scale']}) r {coefficient(c['r'])}" + (" *" if c["q"] < 0.05 else "") for c in ratings],
        _histogram(space, d),
        [ranked(int(i)) for i in order[:TOP]],
        [ranked(int(i)) for i in order[::-1][:BOTTOM]],
        count(int((weights <= 0.05 * max(float(weights.max()), 1e-9)).sum())),
    )


def _histogram(space: _Space, d: int) -> Figure:
    import altair as alt

    weights = space.vectors[:, d].astype(np.float64)
    counts, edges = np.histogram(weights, bins=24)
    frame = pl.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "n": counts,
            "said": [
                f"{n} clips with weights from {coefficient(a)} to {coefficient(b)}"
                for n, a, b in zip(counts, edges[:-1], edges[1:], strict=True)
            ],
        }
    ).filter(pl.col("n") > 0)
    chart = (
        alt.Chart(frame)
        .mark_bar(color=BLUE, stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("low:Q", title="weight", axis=alt.Axis(tickCount=5, grid=False)),
            x2="high:Q",
            y=alt.Y("n:Q", title="clips", axis=alt.Axis(tickCount=3)),
            y2=alt.datum(0),
            description="said:N",
        )
        .properties(width=330, height=90)
    )
    name = f"weights-{d + 1}"
    return Figure(name, f"Weights of the clips on dimension {d + 1}", svg(chart, name), "")


def _clips(space: _Space) -> list[Clip]:
    length = np.linalg.norm(space.vectors, axis=1, keepdims=True)
    unit = space.vectors / np.where(length > 0, length, 1)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    clips = []
    for i, video_id in enumerate(space.ids):
        strongest = np.argsort(-space.vectors[i], kind="stable")[:3]
        nearest = np.argsort(-likeness[i], kind="stable")[: min(NEAREST, len(space.ids) - 1)]
        clips.append(
            Clip(
                video_id,
                space.text(i),
                [
                    (int(d) + 1, space.labels[d], coefficient(float(space.vectors[i, d])))
                    for d in strongest
                    if space.vectors[i, d] > 0
                ],
                [Ranked(space.ids[j], coefficient(float(likeness[i, j])), "") for j in nearest],
            )
        )
    return clips


_FEWEST = 10
"""Fewer clips need no map."""


def _map(results: Results, space: _Space) -> Figure:
    """Clips placed by t-SNE: it comes with scikit-learn, which the study needs anyway, and is the same every time."""
    import altair as alt
    from sklearn.manifold import TSNE

    place = TSNE(perplexity=min(30.0, (len(space.ids) - 1) / 3), init="pca", random_state=0, n_jobs=1).fit_transform(
        space.vectors
    )
    groups, what = _groups(results, space)
    said = [
        f"{video_id}: {group}" + (f" \u2013 {text[:120]}" if (text := space.text(i)) else "")
        for i, (video_id, group) in enumerate(zip(space.ids, groups, strict=True))
    ]
    common = [g for g, _ in sorted(Counter(groups).items(), key=lambda item: (-item[1], item[0]))][: len(COLOURS) - 1]
    shown = [g if g in common else "other" for g in groups]
    frame = pl.DataFrame({"x": place[:, 0], "y": place[:, 1], "group": shown, "said": said})
    domain = [*common, *(["other"] if "other" in shown else [])]
    from affectlake.report.charts import SHAPES

    colour = alt.Color(
        "group:N", title=what, scale=alt.Scale(domain=domain, range=[*COLOURS[: len(common)], "#a8b0b9"])
    )
    shape = alt.Shape("group:N", title=what, scale=alt.Scale(domain=domain, range=[*SHAPES[: len(common)], "circle"]))
    hidden: dict[str, Any] = {"axis": None, "scale": alt.Scale(zero=False, padding=8)}
    chart = (
        alt.Chart(frame)
        .mark_point(filled=True, size=44 if len(space.ids) < 1000 else 22, opacity=0.85)
        .encode(x=alt.X("x:Q", **hidden), y=alt.Y("y:Q", **hidden), color=colour, shape=shape, description="said:N")
        .properties(width=640, height=480)
    )
    return Figure(
        "clip-map",
        f"Map of the clips in the space of {space.model}",
        svg(chart, "clip-map"),
        f"Every clip by t-SNE of its vector (perplexity {min(30, (len(space.ids) - 1) // 3)}, from the first two "
        f"principal components, seed 0), coloured by {what}; the {len(common)} most frequent have colours. Clips that "
        "stand close are alike; the distances between groups mean little. With JavaScript, a click on a clip leads to "
        "it.",
    )


def _groups(results: Results, space: _Space) -> tuple[list[str], str]:
    """What each clip is coloured by: the category that people named most, else its strongest dimension."""
    rated = results.table("ratings").filter(pl.col("scale") == "category")
    top = rated.sort("value", "name", descending=[True, False]).group_by("video_id", maintain_order=True).first()
    by = dict(zip(top["video_id"], top["name"], strict=True))
    if by:
        return [by.get(v, "not rated") for v in space.ids], "top category"
    return [space.labels[int(d)] for d in space.vectors.argmax(axis=1)], "strongest dimension"


def _thumbnails(results: Results) -> dict[str, str]:
    """The middle frame of each clip as a small JPEG, where the study allows that."""
    if results.facts.show != "thumbnails":
        return {}
    frames = results.table("frames").sort("media_sha256", "sampled", "side_px", "frame")
    middle = frames.group_by("media_sha256", maintain_order=True).agg(pl.col("jpeg").get(pl.len() // 2))
    clips = results.table("videos").select("video_id", media_sha256="sha256").join(middle, on="media_sha256")
    return {video_id: _small(jpeg) for video_id, jpeg in clips.select("video_id", "jpeg").iter_rows()}


def _small(jpeg: bytes, width: int = 160) -> str:
    from io import BytesIO

    from PIL import Image

    buffer, image = BytesIO(), Image.open(BytesIO(jpeg)).convert("RGB")
    image.thumbnail((width, width))
    image.save(buffer, "JPEG", quality=70, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
