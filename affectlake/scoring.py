"""One subject's responses beside one model's vectors, and the rows that say how well they go together.

What belongs here: bringing the two together by id, and frames of scores. What does not: fitting (``encoding.py``),
similarities (``rsa.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake import judged
from affectlake.brainframes import response_matrix
from affectlake.ceiling import repeat_ceilings
from affectlake.statistics import fdr
from affectlake.tables import ENCODING_SCORES, RUN_SCORES, VOXEL_SCORES

if TYPE_CHECKING:
    from affectlake.decoding import Decoding
    from affectlake.encoding import Encoding

Regions = dict[str, npt.NDArray[np.int64]]
"""Columns of the responses by region; none for a region without a usable voxel."""

MIN_PRESENTATIONS = 12
"""With fewer presentations of covered clips nothing is scored; the regions stand in the table without a score."""

SIGNIFICANT_Q = 0.05


@dataclass(frozen=True)
class Scene:
    """One subject's responses beside one model's vectors, row by row a presentation of a clip that both have.

    Attributes
    ----------
    presentations : polars.DataFrame
        ``session``, ``run``, ``trial``, ``video_id``; one row a presentation.
    responses : float32[n, v]
        One column a usable voxel, in the order of ``voxels``.
    vectors : float32[n, d]
        The model's vector of the clip shown.
    voxels : polars.DataFrame
        The subject's rows of the table ``voxels``, usable or not, sorted by voxel.
    coverage : float
        Share of the scoring set's presentations that the model covers, 0..1.
    """

    presentations: pl.DataFrame
    responses: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]
    voxels: pl.DataFrame
    coverage: float

    @classmethod
    def of(cls, responses: pl.DataFrame, voxels: pl.DataFrame, embeddings: pl.DataFrame, scored: pl.Series) -> Scene:
        """Join one subject's tables ``responses`` and ``voxels`` with one model's ``embeddings`` by clip.

        Parameters
        ----------
        responses, voxels, embeddings : polars.DataFrame
            Rows of the tables, in any order.
        scored : polars.Series of String
            The scoring set: ``video_id`` of the clips that count.
        """
        voxels = voxels.sort("voxel")
        presentations, matrix = response_matrix(responses)
        in_set = presentations.with_row_index("row").filter(pl.col("video_id").is_in(scored.implode()))
        covered = in_set.join(embeddings.select("video_id", "vector"), on="video_id", maintain_order="left")
        used = np.flatnonzero((voxels["status"] == "used").to_numpy())
        return cls(
            covered.select("session", "run", "trial", "video_id"),
            matrix[np.ix_(covered["row"].to_numpy(), used)],
            judged.vectors(covered),
            voxels,
            covered.height / in_set.height if in_set.height else 0.0,
        )

    @property
    def enough(self) -> bool:
        """True where there is something to score."""
        columns = min(self.responses.shape[1], self.vectors.shape[1])
        return self.presentations.height >= MIN_PRESENTATIONS and columns > 0

    def restricted(self, trials: npt.NDArray[np.int32]) -> Scene:
        """The same with these trials only."""
        kept = np.flatnonzero(np.isin(self.presentations["trial"].to_numpy(), trials))
        return Scene(self.presentations[kept], self.responses[kept], self.vectors[kept], self.voxels, self.coverage)

    def by_clip(self) -> Scene:
        """The same with one row a clip: the mean response to its presentations, under the first of them."""
        clips, first, place = np.unique(
            self.presentations["video_id"].to_numpy(), return_index=True, return_inverse=True
        )
        if clips.size == self.presentations.height:
            return self
        sums = np.zeros((clips.size, self.responses.shape[1]), dtype=np.float64)
        np.add.at(sums, place, self.responses)
        means = (sums / np.bincount(place)[:, None]).astype(np.float32)
        order = np.argsort(first)
        kept = first[order]
        return Scene(self.presentations[kept], means[order], self.vectors[kept], self.voxels, self.coverage)

    def regions(self) -> Regions:
        """The region's columns, for every region that the voxels name."""
        return regions_of(self.voxels)

    def sharing(self, scope: str) -> npt.NDArray[np.str_] | None:
        """Tell which voxels share a penalty.

        Parameters
        ----------
        scope : str
            ``target`` (none do), ``roi`` (those of the same regions) or ``shared`` (all do).

        Returns
        -------
        str[v] or None
            Label of each column of ``responses``; None where nothing is shared.
        """
        if scope == "target":
            return None
        rois = self.voxels.filter(pl.col("status") == "used")["rois"].list.sort().list.join(";")
        return np.array(rois.to_list() if scope == "roi" else [""] * rois.len())


def regions_of(voxels: pl.DataFrame) -> Regions:
    """The places of each region's voxels among the usable ones, for every region that the table names."""
    used = voxels.filter(pl.col("status") == "used").with_row_index("column")
    members = used.select("column", roi="rois").explode("roi").drop_nulls().group_by("roi").agg("column")
    found = {roi: np.sort(np.asarray(columns, dtype=np.int64)) for roi, columns in members.iter_rows()}
    names = voxels["rois"].explode().drop_nulls().unique().sort()
    return {roi: found.get(roi, np.zeros(0, np.int64)) for roi in names}


def region_rows(scene: Scene, regions: Regions, found: Encoding | None, analytic: bool = False) -> pl.DataFrame:
    """Rows of the table ``encoding_scores`` without subject, model and stamps; unscored regions have nulls."""
    sizes = dict(scene.voxels["rois"].explode().drop_nulls().value_counts().iter_rows())
    p = None if found is None else voxel_p(found, analytic)
    voxel_q = None if p is None else fdr(p)
    ceilings = repeat_ceilings(scene.responses, scene.presentations["video_id"].to_numpy(), regions)
    rows = []
    for roi, columns in regions.items():
        row: dict[str, Any] = {
            "roi": roi,
            "n_stimuli": scene.presentations.height,
            "coverage": scene.coverage,
            "n_voxels": sizes[roi],
            "n_scored": columns.size if found is not None else 0,
            "n_dropped": sizes[roi] - columns.size,
            "n_constant_prediction": 0,
        }
        if found is not None and columns.size:
            row |= {
                "n_constant_prediction": int(found.constant_prediction[columns].sum()),
                "mean_r": float(found.r[columns].mean(dtype=np.float64)),
                "median_r": float(np.median(found.r[columns])),
                "mean_r2": float(found.r2[columns].mean(dtype=np.float64)),
                "share_significant": None if voxel_q is None else float((voxel_q[columns] < SIGNIFICANT_Q).mean()),
                "p": found.group_p.get(roi),
            }
            if (ceiling := ceilings[roi].value) is not None:
                row |= {"ceiling": ceiling, "normalised_r": row["mean_r"] / ceiling}
        rows.append(row)
    own = ("subject", "model", "q", "code_version", "source_versions")
    return with_q(pl.DataFrame(rows, schema={k: v for k, v in ENCODING_SCORES.schema.items() if k not in own}))


def decoded_row(scene: Scene, roi: str, columns: npt.NDArray[np.int64], found: Decoding) -> dict[str, Any]:
    """One row of the table ``decoding_scores`` without subject, model, q and stamps."""
    return {
        "roi": roi,
        "n_stimuli": scene.presentations.height,
        "n_voxels": columns.size,
        "n_dimensions": found.r.size,
        "mean_r": found.mean_r,
        "identification": found.accuracy,
        "p_r": found.p_r,
        "p": found.p_accuracy,
        "by_dimension": [{"dimension": d, "r": r} for d, r in enumerate(found.r.tolist())],
    }


def with_q(frame: pl.DataFrame, family: tuple[str, ...] = ()) -> pl.DataFrame:
    """``frame`` with BH-FDR ``q`` of its column ``p``, within each group of ``family``; null where p is null."""
    tested = frame.with_row_index("row").filter(pl.col("p").is_not_null()).select("row", "p", *family)
    groups = tested.partition_by(family) if family else [tested]
    adjusted = [g.select("row", q=pl.Series(fdr(g["p"].to_numpy()), dtype=pl.Float64)) for g in groups if g.height]
    q = pl.concat(adjusted) if adjusted else tested.select("row", q="p")
    return frame.with_row_index("row").join(q, on="row", how="left", maintain_order="left").drop("row")


def run_rows(regions: Regions, found: Encoding | None) -> pl.DataFrame:
    """Rows of the table ``run_scores`` without subject and model."""
    rows: list[tuple[object, ...]] = []
    for roi, columns in regions.items():
        if found is not None and columns.size:
            by_run = found.r_by_run[:, columns].mean(axis=1, dtype=np.float64)
            r2 = found.r2_by_run[:, columns].mean(axis=1, dtype=np.float64)
            labels = (int(run) for run in found.run_labels)
            scores = zip(labels, found.rows_by_run.tolist(), by_run.tolist(), r2.tolist(), strict=True)
            rows += [(roi, *row) for row in scores]
    schema = {k: v for k, v in RUN_SCORES.schema.items() if k not in ("subject", "model")}
    return pl.DataFrame(rows, schema=schema, orient="row")


def voxel_rows(scene: Scene, found: Encoding | None, analytic: bool = False) -> pl.DataFrame:
    """Rows of the table ``voxel_scores`` without subject and model, one a usable voxel; p as `voxel_p` gives it."""
    schema = {k: v for k, v in VOXEL_SCORES.schema.items() if k not in ("subject", "model", "q")}
    if found is None:
        return with_q(pl.DataFrame(schema=schema))
    voxel = scene.voxels.filter(pl.col("status") == "used")["voxel"]
    none = [None] * found.r.size
    p, p_max = (none if x is None else x for x in (voxel_p(found, analytic), found.p_max))
    alpha = np.median(found.alpha, axis=0)
    rows = with_q(pl.DataFrame({"voxel": voxel, "r": found.r, "alpha": alpha, "p": p, "p_max": p_max}, schema))
    return rows.select(name for name in VOXEL_SCORES.schema if name in rows.columns)


def searchlight_by_region(scores: pl.LazyFrame, voxels: pl.LazyFrame) -> pl.LazyFrame:
    """Average searchlights inside regions, as Du et al. 2025 do.

    Parameters
    ----------
    scores, voxels : polars.LazyFrame
        Rows of the tables ``searchlight_scores`` and ``voxels``.

    Returns
    -------
    polars.LazyFrame
        ``subject``, ``model``, ``roi``, ``rho`` (mean over the region's centres) and ``centres`` (how many).
    """
    regions = voxels.select("subject", "voxel", roi="rois").explode("roi").drop_nulls("roi")
    placed = scores.join(regions, on=["subject", "voxel"]).group_by("subject", "model", "roi")
    return placed.agg(pl.col("rho").cast(pl.Float64).mean(), pl.len().alias("centres"))


def voxel_p(found: Encoding, analytic: bool) -> npt.NDArray[np.float64] | None:
    """P of each voxel: of the permutations, where there were any, or of the closed form."""
    return found.p_analytic if analytic else found.p
