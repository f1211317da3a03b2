"""Brains drawn by nilearn: glass brains of regions and voxels, and a view that can be turned through."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any

import numpy as np
import polars as pl

from affectlake.errors import InputError
from affectlake.report.blocks import Fold, Frame, Picture, Pictures, Section, Text
from affectlake.report.html import offline
from affectlake.report.numbers import coefficient
from affectlake.report.results import Results

_PLACE = ["i", "j", "k"]
_POSITION = ["x_mm", "y_mm", "z_mm"]


def regions(results: Results) -> Section | None:
    """The scores of regions, painted where the regions lie."""
    scores = results.table("encoding_scores").drop_nulls("mean_r")
    if scores.is_empty():
        return None
    voxels = _placed(results, results.facts.subjects[0])
    if voxels.is_empty():
        return Section("maps", "Where in the brain?", [Text(_NOWHERE)])
    means = scores.group_by("model", "roi").agg(pl.col("mean_r").mean())
    bound = _bound(means["mean_r"])
    models = [m for m in results.ranked if m in set(means["model"])]
    painted = {m: _painted(voxels, means.filter(pl.col("model") == m)) for m in models}
    title = "mean r over {} subjects".format(scores["subject"].n_unique())
    pictures = [
        Picture.png(m, f"Glass brain of {m}: {title}, painted on regions; {_strongest(means, m)}", png)
        for m, png in _glass(painted, bound).items()
    ]
    caption = (
        f"Each region has the colour of its score ({title}; all pictures share one scale). Regions lie where "
        f"{results.facts.subjects[0]}'s voxels are; the outline is MNI152's, seen from the left, from behind, "
        "from the right and from above."
    )
    blocks: list[Any] = [Pictures(pictures, caption)]
    if results.best in painted:
        blocks.append(_view(str(results.best), painted[str(results.best)], bound, "regions"))
    return Section("maps", "Where in the brain?", blocks)


def voxels_of(results: Results, subject: str, scores: pl.DataFrame) -> Section | None:
    """One subject's scores, voxel by voxel, and the best model's in slices."""
    if scores.is_empty():
        return None
    maps = _maps(results, subject, scores.rename({"r": "value"}))
    if not maps:
        return Section("maps", "Where in the brain?", [Text(_NOWHERE)])
    caption = (
        "Cross-validated r of every scored voxel; the strongest along each line of sight is seen. All pictures share "
        "one scale. Positions are those of the images; the outline is MNI152's."
    )
    bound = _bound(scores["r"])
    blocks: list[Any] = [_glass_brains(subject, maps, bound, "r", caption)]
    if results.best in maps:
        blocks.append(_view(str(results.best), maps[str(results.best)], bound, "voxels"))
    return Section("maps", "Where in the brain?", blocks)


def searchlight_of(results: Results, subject: str) -> Section | None:
    """One subject's similarities around each voxel."""
    rows = results.lazy("searchlight_scores").filter(pl.col("subject") == subject).collect()
    maps = _maps(results, subject, rows.rename({"rho": "value"}))
    if not maps:
        return None
    n = int(rows["n_stimuli"].max())  # type: ignore[arg-type]
    caption = (
        "Pearson r of the space's similarities and those of the response patterns around each voxel (searchlight), "
        f"over {n:,} clips that all models cover. All pictures share one scale; the outline is "
        "MNI152's."
    )
    pictures = _glass_brains(subject, maps, _bound(rows["rho"]), "searchlight r", caption)
    return Section("searchlight", "Similarity around each voxel", [pictures])


def _maps(results: Results, subject: str, scores: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Each model's ``value`` at the voxels that have a place; none where no voxel has one."""
    placed = _placed(results, subject)
    found = set(scores["model"]) if placed.height else set()
    of = {m: scores.filter(pl.col("model") == m).select("voxel", "value") for m in results.ranked if m in found}
    return {m: placed.join(mine, on="voxel") for m, mine in of.items()}


def _glass_brains(subject: str, maps: dict[str, pl.DataFrame], bound: float, what: str, caption: str) -> Pictures:
    pictures = [
        Picture.png(m, f"Glass brain of {subject} and {m}: {what} of every voxel, {_voxelwise(maps[m])}", png)
        for m, png in _glass(maps, bound).items()
    ]
    return Pictures(pictures, caption)


_NOWHERE = (
    "The regions of this study carry no coordinates (they were given as time series or as responses), so that no brain "
    "can be drawn."
)


def _placed(results: Results, subject: str) -> pl.DataFrame:
    frame = results.lazy("voxels").filter(pl.col("subject") == subject).collect()
    return frame.drop_nulls([*_PLACE, *_POSITION])


def _painted(voxels: pl.DataFrame, means: pl.DataFrame) -> pl.DataFrame:
    """Voxels with the score of their region, or the mean of their regions."""
    painted = means.select(rois="roi", value="mean_r")
    of = voxels.explode("rois").join(painted, on="rois", maintain_order="left")
    return voxels.join(of.group_by("voxel").agg(pl.col("value").mean()), on="voxel")


def _bound(values: pl.Series) -> float:
    """The largest score on a page, upwards to a tenth, so that scales end in round numbers."""
    return float(np.ceil(10 * max(float(values.abs().max() or 0), 0.05)) / 10)  # type: ignore[arg-type]


def _strongest(means: pl.DataFrame, model: str) -> str:
    top = means.filter(pl.col("model") == model).sort("mean_r", descending=True).head(3)
    return "highest in " + ", ".join(f"{roi} ({coefficient(r)})" for roi, r in top.select("roi", "mean_r").iter_rows())


def _voxelwise(frame: pl.DataFrame) -> str:
    middle, top = frame["value"].median(), frame["value"].max()
    return f"median {coefficient(middle)}, highest {coefficient(top)}"  # type: ignore[arg-type]


def _image(frame: pl.DataFrame) -> Any:
    from affectlake.maps import volume

    ordered = frame.sort("voxel")
    return volume(ordered.select(_PLACE).to_numpy(), ordered.select(_POSITION).to_numpy(), ordered["value"].to_numpy())


def _glass(frames: dict[str, pl.DataFrame], bound: float) -> dict[str, bytes]:
    """A picture a model. The outline of the brain, which takes most of the time, is drawn once for all of them."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from nilearn import plotting

    figure, pictures = Figure(figsize=(6.6, 1.9)), {}
    scale: dict[str, Any] = {"cmap": "PRGn", "vmin": -bound, "vmax": bound, "threshold": 1e-6}
    with warnings.catch_warnings(), mpl.rc_context({"font.size": 9, "font.family": "sans-serif"}):
        warnings.simplefilter("ignore")  # of masked medians inside nilearn, which decide nothing here
        brain = plotting.plot_glass_brain(None, display_mode="lyrz", figure=figure, plot_abs=False, annotate=True)
        for number, (model, frame) in enumerate(frames.items()):
            brain.add_overlay(_image(frame), colorbar=number == 0, **scale)
            buffer = BytesIO()
            figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
            pictures[model] = _small(buffer.getvalue())
            for axes in figure.axes:  # as they stand beside the first one's colour bar, which holds for all
                place = axes.get_position()
                axes.set_axes_locator(None)  # type: ignore[arg-type]  # its stub forgets None
                axes.set_position(place)
            for view in brain.axes.values():
                for drawn in list(view.ax.images):
                    drawn.remove()
    return pictures


def _small(png: bytes) -> bytes:
    """The same picture in 128 colours, a third of the size."""
    from PIL import Image

    buffer = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _view(model: str, frame: pl.DataFrame, bound: float, what: str) -> Fold:
    from nilearn import plotting

    try:
        image = _image(frame)
    except InputError:
        return Fold(f"{model}: interactive view", [Text(_NOWHERE)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        view = plotting.view_img(image, threshold=1e-6, vmax=bound, cmap="PRGn", symmetric_cmap=True, title=None)
    note = Text(
        "Click into a slice to move the others; the arrow keys do not reach into this view, the tables hold "
        "its numbers."
    )
    return Fold(
        f"{model}: {what} in slices (interactive)",
        [note, Frame(f"Slices through the brain, {model}", offline(view.html))],
    )
