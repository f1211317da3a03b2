"""What a study says when its files are wrong: what, where, and what to do; nothing is dropped without a count."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import polars as pl
import pytest

from affectlake.scales import CATEGORIES, DIMENSIONS
from dagster_project.planning import Selection
from dagster_project.runner import Outcome

from .conftest import Finished

STUDY = """
name: tiny
stimuli: {manifest: videos.csv, media_root: media}
captions: {file: captions.csv}
ratings: {file: ratings.csv}
triplets: {train: 300, test: 50}
models:
  - {name: human-category, agent: ratings, scale: category}
embedding: {dimensions: 10, keep: 5, seeds: 2}
"""


def write_rows(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def tiny(written: Path, tmp_path: Path) -> Finished:
    """Sixteen clips with captions and ratings, not computed yet."""
    (tmp_path / "media").mkdir()
    clips = sorted((written / "stimuli" / "media").glob("*.mp4"))[:16]
    for clip in clips:
        shutil.copy(clip, tmp_path / "media" / clip.name)
    ids = [clip.stem for clip in clips]
    write_rows(tmp_path / "videos.csv", [["video_id", "file"], *([i, f"{i}.mp4"] for i in ids)])
    write_rows(tmp_path / "captions.csv", [["video_id", "description"], *([i, f"clip {i}"] for i in ids)])
    head = ["video_id", *CATEGORIES, *DIMENSIONS]
    rows = [
        [
            i,
            *(str((7 * n + c) % 11 / 11) for c in range(len(CATEGORIES))),
            *(str(1 + (n + d) % 9) for d in range(len(DIMENSIONS))),
        ]
        for n, i in enumerate(ids)
    ]
    write_rows(tmp_path / "ratings.csv", [head, *rows])
    (tmp_path / "study.yaml").write_text(STUDY)
    return Finished(tmp_path, Outcome())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def only_failure(outcome: Outcome) -> str:
    assert len(outcome.failed) == 1, outcome.failed
    return next(iter(outcome.failed.values()))


def test_the_untouched_study_works(tiny: Finished) -> None:
    assert tiny.run().failed == {}


def test_a_missing_and_an_undecodable_clip_are_statuses_with_a_reason(tiny: Finished) -> None:
    first, second, *_ = sorted((tiny.folder / "media").iterdir())
    first.unlink()
    second.write_bytes(b"this is no video")
    assert tiny.run(Selection(frozenset({"frames"}))).failed == {}
    videos = tiny.lake.read("videos")
    status = dict(videos.select("video_id", "status").iter_rows())
    assert status[first.stem] == "missing"
    assert status[second.stem] == "unreadable"
    assert list(status.values()).count("present") == 14
    assert videos.filter(pl.col("status") != "present")["detail"].null_count() == 0
    assert tiny.lake.read("frames")["media_sha256"].n_unique() == 14


def test_a_missing_column_of_ratings_is_named_and_nothing_is_written(tiny: Finished) -> None:
    edit(tiny.folder / "ratings.csv", "Amusement,", "")
    lines = (tiny.folder / "ratings.csv").read_text().splitlines()
    (tiny.folder / "ratings.csv").write_text(
        "\n".join([lines[0], *(line.rpartition(",")[0] for line in lines[1:])]) + "\n"
    )
    message = only_failure(tiny.run())
    assert "ratings.csv" in message
    assert "Amusement" in message
    assert tiny.lake.version("ratings") is None
    assert tiny.lake.read("captions").height == 16, "the other inputs are read all the same"


def test_a_rating_out_of_range_names_its_row_and_column(tiny: Finished) -> None:
    lines = (tiny.folder / "ratings.csv").read_text().splitlines()
    cells = lines[3].split(",")
    cells[1] = "7.5"
    lines[3] = ",".join(cells)
    (tiny.folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    message = only_failure(tiny.run())
    assert "row 4" in message
    assert CATEGORIES[0] in message


def test_duplicate_ids_name_their_rows(tiny: Finished) -> None:
    lines = (tiny.folder / "videos.csv").read_text().splitlines()
    (tiny.folder / "videos.csv").write_text("\n".join([*lines, lines[2]]) + "\n")
    message = only_failure(tiny.run())
    assert "videos.csv" in message
    assert "3" in message
    assert "18" in message


def test_a_clip_in_one_file_and_not_in_another_is_counted(tiny: Finished) -> None:
    lines = (tiny.folder / "captions.csv").read_text().splitlines()
    (tiny.folder / "captions.csv").write_text("\n".join([*lines[:-1], "stranger,unknown clip"]) + "\n")
    ratings = (tiny.folder / "ratings.csv").read_text().splitlines()
    (tiny.folder / "ratings.csv").write_text("\n".join(ratings[:-1]) + "\n")
    assert tiny.run().failed == {}
    left_out = tiny.lake.read("exclusions").select("stage", "reason", "what").rows()
    assert ("captions", "unknown_id", "stranger") in left_out
    last = lines[-1].split(",")[0]
    assert ("ratings", "not_rated", last) in left_out
    quality = tiny.lake.read("embedding_quality").row(0, named=True)
    assert quality["coverage"] == pytest.approx(15 / 16)


def test_ids_spelt_otherwise_are_an_error_that_names_the_setting(tiny: Finished) -> None:
    text = (tiny.folder / "ratings.csv").read_text()
    (tiny.folder / "ratings.csv").write_text(text.replace("\nclip", "\nfilm_clip"))
    message = only_failure(tiny.run())
    assert "ratings.id" in message
    assert "strip_prefix" in message


def test_a_path_out_of_the_media_folder_is_refused(tiny: Finished) -> None:
    edit(tiny.folder / "videos.csv", "clip001.mp4", "../../secret.mp4")
    message = only_failure(tiny.run())
    assert "secret.mp4" in message
    assert tiny.lake.version("videos") is None
