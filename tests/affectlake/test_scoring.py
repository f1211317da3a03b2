"""Responses and vectors are joined by id, and every region and voxel is accounted for in the rows of scores."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control

from affectlake.brainframes import responses_frame
from affectlake.encoding import cross_validate
from affectlake.scoring import Scene, region_rows, run_rows, voxel_rows, with_q
from affectlake.tables import VOXELS

CLIPS = [f"v{i}" for i in range(30)]


def tables(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Thirty presentations in three runs, five voxels (one constant) in two regions, a space of three dimensions."""
    rng = np.random.default_rng(seed)
    shown = pl.DataFrame(
        {"trial": range(30), "session": "", "run": [1 + i // 10 for i in range(30)], "video_id": CLIPS},
        schema={"trial": pl.Int32, "session": pl.String, "run": pl.Int32, "video_id": pl.String},
    )
    responses = responses_frame("s1", shown, rng.standard_normal((30, 5)).astype(np.float32))
    rois = [["amygdala"], ["amygdala"], ["insula", "amygdala"], ["insula"], []]
    place = {c: pl.Series([0] * 5, dtype=VOXELS.schema[c]) for c in ("i", "j", "k", "x_mm", "y_mm", "z_mm")}
    voxels = pl.DataFrame(
        {
            "subject": "s1",
            "voxel": range(5),
            **place,
            "rois": rois,
            "status": ["used", "constant", "used", "used", "used"],
        }
    ).select(pl.col(c).cast(t) for c, t in VOXELS.schema.items())
    vectors = pl.DataFrame({"video_id": CLIPS, "vector": rng.random((30, 3)).astype(np.float32)})
    return responses, voxels, vectors.with_columns(pl.col("vector").arr.to_list())


def scene(scored: list[str] = CLIPS, shuffle: int | None = None, covered: int = 30) -> Scene:
    responses, voxels, vectors = tables()
    vectors = vectors.head(covered)
    if shuffle is not None:
        responses, voxels, vectors = (
            f.sample(fraction=1, shuffle=True, seed=shuffle) for f in (responses, voxels, vectors)
        )
    return Scene.of(responses, voxels, vectors, pl.Series(scored))


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_has_no_meaning(seed: int) -> None:
    one, two = scene(), scene(shuffle=seed)
    assert one.presentations.equals(two.presentations)
    np.testing.assert_array_equal(one.responses, two.responses)
    np.testing.assert_array_equal(one.vectors, two.vectors)


def test_unusable_voxels_have_no_column_and_regions_point_at_the_right_ones() -> None:
    found = scene()
    full = scene().voxels
    assert found.responses.shape == (30, 4)
    assert full.height == 5
    assert {roi: columns.tolist() for roi, columns in found.regions().items()} == {"amygdala": [0, 1], "insula": [1, 2]}


def test_coverage_is_of_the_scoring_set() -> None:
    assert scene(covered=15).coverage == 0.5
    assert scene(scored=CLIPS[:20], covered=15).coverage == 0.75
    assert scene(scored=CLIPS[:20], covered=15).presentations.height == 15


def test_too_few_presentations_or_dimensions_are_not_enough() -> None:
    assert scene().enough
    assert not scene(covered=11).enough
    empty = scene()
    assert not Scene(empty.presentations, empty.responses, empty.vectors[:, :0], empty.voxels, 1.0).enough


def repeated() -> Scene:
    """The scene in which v0..v9 are shown again in the last run."""
    once = scene()
    rows = np.r_[np.arange(30), np.arange(10)]
    shown = once.presentations[rows].with_columns(trial=pl.int_range(40, dtype=pl.Int32))
    responses = once.responses[rows] + 0.2 * np.r_[np.zeros(30), np.ones(10)][:, None].astype(np.float32)
    return Scene(shown, responses, once.vectors[rows], once.voxels, 1.0)


def test_repeats_are_averaged_to_one_row_a_clip() -> None:
    found, once = repeated().by_clip(), scene()
    assert found.presentations["video_id"].to_list() == CLIPS
    np.testing.assert_allclose(found.responses[:10], once.responses[:10] + 0.1, atol=1e-6)
    np.testing.assert_array_equal(found.responses[10:], once.responses[10:])
    np.testing.assert_array_equal(found.vectors, once.vectors)
    assert once.by_clip() is once


def test_repeats_give_scores_a_ceiling() -> None:
    shown = repeated()
    runs, clips = shown.presentations["run"].to_numpy(), shown.presentations["video_id"].to_numpy()
    found = cross_validate(shown.vectors, shown.responses, runs, folds=3, alphas=[1.0], exclusive=clips)
    row = region_rows(shown, shown.regions(), found).filter(roi="insula").row(0, named=True)
    assert 0.8 < row["ceiling"] <= 1, "a repeat is the same response plus a constant"
    assert row["normalised_r"] == pytest.approx(row["mean_r"] / row["ceiling"])


def test_a_restriction_keeps_the_rows_of_its_trials() -> None:
    kept = scene().restricted(np.array([3, 7, 29], dtype=np.int32))
    assert kept.presentations["video_id"].to_list() == ["v3", "v7", "v29"]
    np.testing.assert_array_equal(kept.responses, scene().responses[[3, 7, 29]])


def test_rows_of_scores_count_every_voxel_and_average_what_was_scored() -> None:
    here = scene()
    regions = here.regions()
    found = cross_validate(here.vectors, here.responses, here.presentations["run"], folds=3, null=19, groups=regions)
    rows = {row["roi"]: row for row in region_rows(here, regions, found).iter_rows(named=True)}
    assert (rows["amygdala"]["n_voxels"], rows["amygdala"]["n_scored"], rows["amygdala"]["n_dropped"]) == (3, 2, 1)
    assert rows["insula"]["mean_r"] == pytest.approx(found.r[[1, 2]].mean())
    assert rows["insula"]["p"] == found.group_p["insula"]
    runs = run_rows(regions, found).filter(pl.col("roi") == "insula")
    assert runs.select("run", "n").rows() == [(1, 10), (2, 10), (3, 10)]
    np.testing.assert_allclose(runs["mean_r"], found.r_by_run[:, [1, 2]].mean(axis=1), rtol=1e-6)
    assert voxel_rows(here, found)["voxel"].to_list() == [0, 2, 3, 4]


def test_what_was_not_scored_stands_there_without_a_score() -> None:
    here = scene(covered=5)
    rows = region_rows(here, here.regions(), None)
    assert rows["roi"].to_list() == ["amygdala", "insula"]
    assert rows["n_scored"].to_list() == [0, 0]
    assert rows.select("mean_r", "p", "q").null_count().row(0) == (2, 2, 2)
    assert run_rows(here.regions(), None).is_empty()
    assert voxel_rows(here, None).is_empty()


def test_q_is_adjusted_within_each_family_and_null_where_there_is_no_p() -> None:
    frame = pl.DataFrame({"family": ["a", "b", "a", "b", "a"], "p": [0.01, 0.2, None, 0.03, 0.04]})
    found = with_q(frame, ("family",))
    assert found["q"][2] is None
    np.testing.assert_allclose(found["q"].gather([0, 4]), false_discovery_control([0.01, 0.04]))
    np.testing.assert_allclose(found["q"].gather([1, 3]), false_discovery_control([0.2, 0.03]))
    assert with_q(frame.clear())["q"].dtype == pl.Float64


@pytest.mark.parametrize(
    ("scope", "labels"),
    [("target", None), ("roi", ["amygdala", "amygdala;insula", "insula", ""]), ("shared", ["", "", "", ""])],
)
def test_penalties_are_shared_by_the_usable_voxels_of_the_same_regions(scope: str, labels: list[str] | None) -> None:
    found = scene().sharing(scope)
    assert (None if found is None else found.tolist()) == labels
