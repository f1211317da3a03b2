"""Pictures of a brain's scores: through it as glass, in the subject's own space, and on the cortex, where it is MNI's.

What belongs here: from a table's voxels to a matplotlib figure. What does not: files (``dagster_project``), the user
interface (``assets``), the report's own drawings (``report``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from affectlake.maps import placed, subject_volume, upright

GLASS_VIEWS = (("from the right", 0, "y", "z"), ("from behind", 1, "x", "z"), ("from above", 2, "x", "y"))
"""View, axis that is looked along, and the axes of the picture, which run to the front, the right and up."""

SURFACE_VIEWS = (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))


def glass_brain(voxels: pl.DataFrame, scores: pl.DataFrame, column: str, title: str) -> Any | None:
    """Draw one score as a glass brain: at each point the value farthest from 0 along the line of sight.

    In the subject's own space, with the outline of the subject's own voxels, whatever space that is.

    Parameters
    ----------
    voxels : DataFrame
        The subject's rows of the table ``voxels``.
    scores : DataFrame
        ``voxel`` and ``column``, one row a scored voxel.
    column, title : str

    Returns
    -------
    matplotlib Figure or None
        None where the voxels have no places or none has a score.
    """
    if not placed(voxels) or scores.is_empty():
        return None
    from matplotlib.figure import Figure  # its own canvas: no display, no global state

    data, ends = upright(subject_volume(voxels, scores, column))
    inside, _ = upright(subject_volume(voxels, voxels.select("voxel", there=pl.lit(1.0)), "there"))
    limit = max(float(np.abs(data).max()), 1e-6)
    figure = Figure(figsize=(8.4, 2.8), layout="constrained")
    panels = figure.subplots(1, 3)
    for (view, along, across, up), axes in zip(GLASS_VIEWS, panels, strict=True):
        box = {"extent": (*ends["xyz".index(across)], *ends["xyz".index(up)]), "origin": "lower"}
        farthest = np.take_along_axis(data, np.abs(data).argmax(axis=along, keepdims=True), along).squeeze(along)
        colours = axes.imshow(farthest.T, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", **box)
        axes.contour(inside.max(axis=along).T, levels=[0.5], colors="0.4", linewidths=0.8, **box)
        axes.set(title=view, xlabel=f"{across} (mm)", ylabel=f"{up} (mm)")
    figure.colorbar(colours, ax=list(panels), label=column)
    figure.suptitle(title, fontsize=10)
    return figure


def surface(voxels: pl.DataFrame, scores: pl.DataFrame, column: str, title: str) -> Any | None:
    """Draw one score on the cortex of fsaverage5, which nilearn carries: both halves from outside and from between.

    Parameters
    ----------
    voxels, scores, column, title
        As in `glass_brain`. The voxels' positions must be those of MNI space: on any other brain the cortex of
        fsaverage lies elsewhere.

    Returns
    -------
    matplotlib Figure or None
        None where the voxels have no places, none has a score, or none lies at the cortex.
    """
    if not placed(voxels) or scores.is_empty():
        return None
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure
    from nilearn.datasets import load_fsaverage, load_fsaverage_data
    from nilearn.plotting import plot_surf_stat_map

    values = _on_cortex(voxels, scores, column)
    seen = np.concatenate(list(values.values()))
    if not np.isfinite(seen).any():
        return None
    limit = max(float(np.nanmax(np.abs(seen))), 1e-6)
    mesh, relief = load_fsaverage("fsaverage5")["inflated"], load_fsaverage_data("fsaverage5", data_type="sulcal")
    figure = Figure(figsize=(10, 2.6))
    for place, (half, view) in enumerate(SURFACE_VIEWS):
        axes: Any = figure.add_axes((0.005 + 0.225 * place, 0.02, 0.22, 0.8), projection="3d")
        plot_surf_stat_map(
            mesh.parts[half],
            values[half],
            bg_map=relief.data.parts[half],
            hemi=half,
            view=view,
            vmin=-limit,
            vmax=limit,
            cmap="RdBu_r",
            colorbar=False,
            axes=axes,
            figure=figure,
        )
        axes.set_box_aspect(None, zoom=1.5)
        axes.set_title(f"{half}, {view}", fontsize=9)
    colours = ScalarMappable(Normalize(-limit, limit), "RdBu_r")
    figure.colorbar(colours, cax=figure.add_axes((0.925, 0.15, 0.012, 0.6)), label=column)
    figure.suptitle(title, fontsize=10)
    return figure


def _on_cortex(voxels: pl.DataFrame, scores: pl.DataFrame, column: str) -> dict[str, Any]:
    """The score at each vertex of both halves, between white matter and pia; NaN where no voxel was scored."""
    from nilearn.datasets import load_fsaverage
    from nilearn.surface import vol_to_surf

    image = subject_volume(voxels, scores, column)
    there = subject_volume(voxels, scores.select("voxel", there=pl.lit(1.0)), "there")
    meshes = load_fsaverage("fsaverage5")
    return {
        half: vol_to_surf(
            image,
            meshes["pial"].parts[half],
            inner_mesh=meshes["white_matter"].parts[half],
            interpolation="linear",
            mask_img=there,
        )
        for half in ("left", "right")
    }
