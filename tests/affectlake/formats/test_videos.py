"""The list of clips, the numbering of items, and what media files are."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from affectlake.errors import InputError
from affectlake.formats import videos
from affectlake.formats.ids import IdRule
from affectlake.tables import VIDEOS


def manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "videos.csv"
    path.write_text(text)
    return path


def test_a_manifest_keeps_ids_as_text(tmp_path: Path) -> None:
    frame = videos.read_manifest(manifest(tmp_path, "video_id,file,duplicate_of\n0017,a.mp4,\n18,,0017\n"))
    assert frame.rows() == [("0017", "a.mp4", None), ("18", None, "0017")]


def test_a_manifest_may_be_zipped_marked_and_bare(tmp_path: Path) -> None:
    path = tmp_path / "stimuli.csv.gz"
    path.write_bytes(gzip.compress("\ufeffstimID,censored\r\n1,\r\n2,less_bad\r\n".encode()))
    frame = videos.read_manifest(path, id_rule=IdRule(pad=4), id_column="stimID")
    assert frame.rows() == [("0001", None, None), ("0002", None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id\n", "lists no video"),
        ("", "cannot be read"),
        ("id,file\na,b\n", "no column 'video_id'"),
        ("video_id;file\na;b\n", "separated by something else"),
        ("video_id\na\nb\na\n", "'a' in rows 2, 4"),
        ("video_id\na\n../b\n", r"row 3: \.\./b"),
        ("video_id,file\na,x\n,y\n", "row 3: \\(empty\\)"),
        ("video_id,duplicate_of\na,\nb,c\n", "row 3: 'b' is a duplicate of 'c', which is no video"),
        ("video_id,duplicate_of\na,a\n", "a duplicate itself"),
        ("video_id,duplicate_of\na,b\nb,c\nc,\n", "row 2: 'a' is a duplicate of 'b', which is a duplicate itself"),
        ("video_id,file\na,b,c\n", "cannot be read"),
    ],
)
def test_a_wrong_manifest_names_file_and_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        videos.read_manifest(manifest(tmp_path, text))
    assert "videos.csv" in str(caught.value)


def test_a_missing_manifest_and_one_that_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        videos.read_manifest(tmp_path / "none.csv")
    path = tmp_path / "videos.csv"
    path.write_bytes(b"video_id\n\xff\xfe\xfa\n")
    with pytest.raises(InputError, match="UTF-8"):
        videos.read_manifest(path)


def listed(*ids: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"video_id": ids, "file": None, "duplicate_of": None},
        schema={"video_id": pl.String, "file": pl.String, "duplicate_of": pl.String},
    )


def items(frame: pl.DataFrame) -> dict[str, tuple[int, str]]:
    return {v: (i, s) for v, i, s in frame.select("video_id", "item", "status").iter_rows()}


def test_items_are_kept_for_ever_and_never_used_again() -> None:
    first = VIDEOS.validate(videos.assign_items(listed("b", "a", "c")))
    assert items(first) == {"a": (0, "no_media"), "b": (1, "no_media"), "c": (2, "no_media")}
    second = VIDEOS.validate(videos.assign_items(listed("a", "b", "aa"), first))
    assert items(second) == {"a": (0, "no_media"), "b": (1, "no_media"), "c": (2, "left"), "aa": (3, "no_media")}
    third = VIDEOS.validate(videos.assign_items(listed("c", "d"), second))
    assert items(third) == {
        "a": (0, "left"),
        "b": (1, "left"),
        "c": (2, "no_media"),
        "aa": (3, "left"),
        "d": (4, "no_media"),
    }
    assert videos.assign_items(listed("c", "d"), third).equals(third)


def test_every_clip_gets_a_status(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(clip.read_bytes()[:200])
    path = manifest(tmp_path, "video_id,file\nok,clip.mp4\ngone,gone.mp4\nbroken,broken.mp4\nnone,\nfolder,.\n")
    told: list[int] = []
    numbered = videos.assign_items(videos.read_manifest(path))
    frame = VIDEOS.validate(videos.describe_media(numbered, tmp_path, told.append))
    found = {r["video_id"]: r for r in frame.iter_rows(named=True)}
    assert {k: v["status"] for k, v in found.items()} == {
        "ok": "present",
        "gone": "missing",
        "broken": "unreadable",
        "none": "no_media",
        "folder": "missing",
    }
    assert sum(told) == 5
    assert (found["ok"]["width"], found["ok"]["height"], found["ok"]["frame_rate"]) == (64, 48, 10.0)
    assert found["ok"]["duration_s"] == pytest.approx(2.0)
    assert len(found["ok"]["sha256"]) == 64
    assert found["gone"]["detail"] == "there is no such file"
    assert "cannot be opened" in found["broken"]["detail"]
    # what left keeps what was known of it
    left = videos.describe_media(videos.assign_items(listed("none"), frame), tmp_path)
    assert left.filter(video_id="ok").select("status", "sha256").row(0) == ("left", found["ok"]["sha256"])


def test_without_a_media_root_nothing_is_opened(tmp_path: Path) -> None:
    path = manifest(tmp_path, "video_id,file\na,../../etc/passwd\nb,\n")
    frame = videos.describe_media(videos.assign_items(videos.read_manifest(path)), None)
    assert frame.select("status", "detail").rows() == [
        ("no_media", "the study names no media_root"),
        ("no_media", None),
    ]


@pytest.mark.parametrize("file", ["../secret.mp4", "/etc/passwd", "a/../../secret.mp4", "link.mp4", "deep/link/x.mp4"])
def test_no_path_leads_out_of_the_media_root(tmp_path: Path, file: str) -> None:
    root = tmp_path / "media"
    (root / "deep").mkdir(parents=True)
    (tmp_path / "secret.mp4").write_bytes(b"")
    (root / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "deep" / "link").symlink_to(tmp_path)
    numbered = videos.assign_items(videos.read_manifest(manifest(tmp_path, f"video_id,file\na,{file}\n")))
    with pytest.raises(InputError, match="outside the media root"):
        videos.describe_media(numbered, root)


def test_links_within_the_media_root_are_followed(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "alias.mp4").symlink_to(clip)
    numbered = videos.assign_items(videos.read_manifest(manifest(tmp_path, "video_id,file\na,alias.mp4\n")))
    assert videos.describe_media(numbered, tmp_path)["status"].to_list() == ["present"]
