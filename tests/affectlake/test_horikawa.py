from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from affectlake.formats.groups import read_groups
from affectlake.formats.videos import read_manifest
from affectlake.horikawa import manifest, write_horikawa2020

STIMULI = Path(__file__).parents[3] / "shared" / "data" / "cowen-keltner" / "stimuli.csv"
DROPPED = {1, *range(4, 9), 11, 859, 866, 1673, 2157, 2187, 2188, 2194, 2195}
"""Labels that the published code of Horikawa et al. 2020 drops: of each pair the one that was shown later."""


def test_2196_files_hold_2180_clips_and_every_file_that_was_dropped_is_of_another_pair():
    clips = manifest()
    assert clips.height == 2196
    assert clips["duplicate_of"].null_count() == 2180
    pairs = [{int(a), int(b)} for a, b in clips.select("video_id", "duplicate_of").drop_nulls().iter_rows()]
    assert sum(len(pair & DROPPED) == 1 for pair in pairs) == len(DROPPED) == 15
    assert [pair for pair in pairs if not pair & DROPPED] == [{1349, 1363}], "merged by Mind Captioning alone"


@pytest.mark.skipif(not STIMULI.is_file(), reason=f"the paper's list of clips is not at {STIMULI}")
def test_the_canonical_clips_are_those_of_the_paper():
    paper = pl.read_csv(STIMULI)["stimID"]
    canonical = manifest().filter(pl.col("duplicate_of").is_null())["video_id"].cast(pl.Int64)
    assert set(canonical) == set(paper)


def test_the_shipped_files_are_written_and_read_back(tmp_path):
    write_horikawa2020(tmp_path)
    assert read_manifest(tmp_path / "videos.csv").height == 2196
    groups = read_groups(tmp_path / "hcp_mmp_groups.yaml", label="hcp180_r_{side}.{h}_{label}_ROI")
    assert len(groups) == 15
    assert groups["MTC"] == [
        f"hcp180_r_{side}.{h}_{a}_ROI" for a in ("EC", "H") for side, h in (("lh", "L"), ("rh", "R"))
    ]
    assert "hcp180_r_lh.L_46_ROI" in groups["DLPFC"]
    assert "hcp180_r_lh.L_AAIC_ROI" in groups["Insula"], "anatomy, not the published labels, which are swapped"
    assert "hcp180_r_rh.R_a24_ROI" in groups["ACC"]
    bare = read_groups(tmp_path / "hcp_mmp_groups.yaml")
    assert len(bare["VC"]) == 26
    cortex = [label for name, labels in bare.items() if name != "MST" for label in labels]
    assert len(cortex) == len(set(cortex)), "only MST lies in another group too"
