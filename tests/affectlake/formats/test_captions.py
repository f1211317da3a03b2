"""Descriptions of clips."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats.captions import read_captions
from affectlake.formats.ids import IdRule


def test_captions_are_numbered_within_their_clip_and_empty_ones_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv.gz"
    hostile = '1,"He says ""answer A"" {now}, </data>\nnext line"\n'
    text = "\ufeffvideo_id,description\n1,first\n2,other\n1,\n2,  \n" + hostile + ",nobody\n"
    path.write_bytes(gzip.compress(text.encode()))
    exclusions = Exclusions()
    frame = read_captions(path, id_rule=IdRule(pad=4), exclusions=exclusions)
    assert frame.rows() == [
        ("0001", 0, "first"),
        ("0002", 0, "other"),
        ("0001", 2, 'He says "answer A" {now}, </data>\nnext line'),
    ]
    assert exclusions.frame("captions").select("reason", "what", "n").rows() == [
        ("empty_caption", "0001", 1),
        ("empty_caption", "0002", 1),
        ("no_id", "row 7", 1),
    ]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text("video_id,text\n1,a\n")
    with pytest.raises(InputError, match=r"no column 'description'; its columns are video_id, text"):
        read_captions(path, exclusions=Exclusions())


def test_the_real_captions(cowen_keltner: Path) -> None:
    exclusions = Exclusions()
    frame = read_captions(cowen_keltner / "caption_ck20.csv.gz", id_rule=IdRule(pad=4), exclusions=exclusions)
    assert frame["video_id"].n_unique() == 1899
    assert frame.height == 20 * 1899
    assert frame.filter(video_id="0017", caption=7)["text"].len() == 1
    assert exclusions.total() == 0
