"""Subjects are matched by clip and by place, whatever the order of their rows."""

import numpy as np
import polars as pl
import pytest

from affectlake.brainframes import region_voxels, responses_frame, voxels_frame
from affectlake.commonspace import CommonSpace

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def voxels(subject, ijk, affine=AFFINE, bad=()):
    status = pl.Series(["constant" if k in bad else "used" for k in range(len(ijk))])
    labels = np.ones(len(ijk), np.int32)
    return voxels_frame(subject, np.array(ijk, np.int32), affine, labels, {"V1": (1,)}, status)


def responses(subject, clips, n_voxels, offset):
    shown = pl.DataFrame({"trial": range(len(clips)), "session": "", "run": 1, "video_id": clips}).cast(
        {"trial": pl.Int32, "run": pl.Int32}
    )
    values = offset + 10.0 * np.arange(len(clips))[:, None] + np.arange(n_voxels)
    return responses_frame(subject, shown, values.astype(np.float32))


def test_responses_meet_at_the_same_clips_and_places():
    places = pl.concat([voxels("a", [(0, 0, 0), (0, 0, 1), (0, 1, 0)]), voxels("b", [(0, 0, 1), (0, 1, 0)], bad=())])
    rows = {"a": responses("a", ["x", "y", "z"], 3, 0), "b": responses("b", ["z", "w", "x", "z"], 2, 100)}
    common = CommonSpace.of(places, pl.concat(rows.values()))
    assert common.subjects == ("a", "b")
    assert common.stimuli["video_id"].to_list() == ["x", "z"]
    np.testing.assert_array_equal(common.responses("a", rows["a"].sample(fraction=1, shuffle=True)), [[1, 2], [21, 22]])
    # the first of two presentations of z counts
    np.testing.assert_array_equal(common.responses("b", rows["b"]), [[120, 121], [100, 101]])


@pytest.mark.parametrize(
    "other",
    [voxels("b", [(0, 0, 0)], np.diag([3.0, 3, 3, 1]) + np.eye(4, k=3)), voxels("b", [(0, 0, 0)], bad=(0,))],
    ids=["another space", "an unusable voxel"],
)
def test_what_only_looks_alike_is_not_matched(other):
    rows = pl.concat([responses("a", ["x"], 1, 0), responses("b", ["x"], 1, 0)])
    assert CommonSpace.of(pl.concat([voxels("a", [(0, 0, 0)]), other]), rows).voxels.filter(subject="b").is_empty()


def test_regions_without_voxels_are_matched_by_name_and_a_dead_subject_does_not_count():
    status = pl.Series(["used", "used"])
    places = pl.concat(
        [
            region_voxels("a", ["LATL", "RATL"], status),
            region_voxels("b", ["RATL", "LATL"], status),
            region_voxels("dead", ["LATL", "RATL"], pl.Series(["constant", "constant"])),
        ]
    )
    rows = pl.concat([responses(s, ["x"], 2, k) for k, s in enumerate(["a", "b", "dead"])])
    common = CommonSpace.of(places, rows)
    assert common.subjects == ("a", "b")
    np.testing.assert_array_equal(common.responses("b", rows.filter(subject="b")), [[2, 1]])
