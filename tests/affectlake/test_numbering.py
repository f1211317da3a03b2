"""A stimulus column that is another numbering than the study's; the real events of ds005191 with stub images."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from affectlake.errors import InputError
from affectlake.formats.bids import Run, check_numbering, event_tables, read_presentations
from affectlake.formats.ids import IdRule
from affectlake.formats.videos import read_names

DATA = Path(__file__).parents[3] / "shared" / "data"
REAL = pytest.mark.skipif(not (DATA / "ds005191-events").is_dir(), reason=f"the events of ds005191 are not in {DATA}")


def run(path: Path, number: int = 1) -> Run:
    """The events of a run whose image nobody looks at."""
    return Run("sub-01", "", number, path.with_suffix(".nii.gz"), path, None, 1.0, 10**6)


def write(folder: Path, text: str, name: str = "events.tsv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def shown(folder: Path, head: str, rows: list[str]) -> list[tuple[Path, pl.DataFrame]]:
    body = "\n".join(f"{n}\t1\t{row}" for n, row in enumerate(rows))
    return event_tables([run(write(folder, f"onset\tduration\t{head}\n{body}\n"))])


def names(folder: Path, text: str, **kwargs: str) -> pl.DataFrame:
    return read_names(write(folder, text, "videos.csv"), **kwargs)


@pytest.fixture(scope="module")
def perceived() -> list[Run]:
    files = sorted((DATA / "ds005191-events" / "sub-01").glob("*/func/*trainPerception*_events.tsv"))
    return [run(path, number) for number, path in enumerate(files, start=1)]


def real(column: str) -> pl.DataFrame:
    return read_names(DATA / "cowen-keltner" / "stimuli.csv", id_rule=IdRule(pad=4), id_column=column)


def padded(text: str) -> str:
    return text.zfill(4)


@REAL
def test_the_real_numbering_is_accepted_and_agrees_for_every_presentation(perceived: list[Run]) -> None:
    manifest = real("stimID")
    assert "stimLabel" in manifest.columns
    check_numbering(event_tables(perceived), manifest, stimulus_column="stimID", to_id=padded)
    known = set(manifest["video_id"])
    found, _ = read_presentations(perceived, stimulus_column="stimID", known=known, to_id=padded)
    assert found["video_id"].n_unique() == found.height == 2180


@REAL
def test_rows_that_name_a_clip_and_show_none_are_found(perceived: list[Run]) -> None:
    with pytest.raises(InputError, match=r"stimLabel 1478 .* whose stimID is 1481 in the manifest and 0 in the events"):
        check_numbering(
            event_tables(perceived), real("stimLabel"), stimulus_column="stimLabel", to_id=padded, no_clip=["0"]
        )


@REAL
@pytest.mark.parametrize(("ids", "column"), [("stimID", "stimLabel"), ("stimLabel", "stimID")])
def test_the_other_real_numbering_is_refused_although_nearly_all_its_numbers_are_known(
    perceived: list[Run], ids: str, column: str
) -> None:
    manifest = real(ids)
    found, _ = read_presentations(perceived, stimulus_column=column, known=set(manifest["video_id"]), to_id=padded)
    assert found.height > 2170, "by known ids alone the wrong numbering would be joined"
    with pytest.raises(InputError, match=rf"{column} \d+ is read as the clip .*another numbering"):
        check_numbering(event_tables(perceived), manifest, stimulus_column=column, to_id=padded, no_clip=["0"])


@REAL
@pytest.mark.parametrize(("ids", "column"), [("stimID", "stimLabel"), ("stimLabel", "stimID")])
def test_without_a_second_column_the_numbers_are_no_bijection(perceived: list[Run], ids: str, column: str) -> None:
    manifest = real(ids).select("video_id", "duplicate_of")
    with pytest.raises(InputError, match=r"[45] numbers are no clip .*, [45] clips are not shown"):
        check_numbering(event_tables(perceived), manifest, stimulus_column=column, to_id=padded, no_clip=["0"])
    check_numbering(event_tables(perceived), manifest, stimulus_column=ids, to_id=padded, no_clip=["0"])


@REAL
def test_the_real_test_runs_number_their_clips_a_third_way(perceived: list[Run]) -> None:
    files = sorted((DATA / "ds005191-events" / "sub-01").glob("*/func/*testPerception*_events.tsv"))
    with pytest.raises(InputError, match=r"stimLabel .* is read as the clip"):
        check_numbering(
            event_tables([run(p) for p in files]), real("stimLabel"), stimulus_column="stimLabel", to_id=padded
        )
    without = real("stimID").drop("stimLabel")
    check_numbering(event_tables([run(p) for p in files]), without, stimulus_column="stimID", to_id=padded)


def test_a_contradiction_names_row_and_both_columns(tmp_path: Path) -> None:
    manifest = names(tmp_path, "video_id,label\na,1\nb,2\n")
    with pytest.raises(InputError, match=r"row 3: label.*1 of the file's 2|row 3: stim b is read as the clip b"):
        check_numbering(shown(tmp_path, "stim\tlabel", ["a\t1", "b\t1"]), manifest, stimulus_column="stim")
    check_numbering(shown(tmp_path, "stim\tlabel", ["b\t2", "a\t1", "c\t7"]), manifest, stimulus_column="stim")


def test_columns_that_tell_no_clips_apart_are_not_compared(tmp_path: Path) -> None:
    manifest = names(tmp_path, "video_id,kind\na,film\nb,film\n")
    check_numbering(shown(tmp_path, "stim\tkind", ["a\tx", "b\ty"]), manifest, stimulus_column="stim")


def test_numbers_that_nothing_confirms_must_be_all_clips_and_no_others(tmp_path: Path) -> None:
    manifest = names(tmp_path, "video_id,duplicate_of\n1,\n2,\n3,1\n")
    check_numbering(shown(tmp_path, "stim", ["3", "2", "0"]), manifest, stimulus_column="stim", no_clip=["0"])
    with pytest.raises(InputError, match=r"1 numbers are no clip .such as 0., 0 clips are not shown.*brain\.no_clip"):
        check_numbering(shown(tmp_path, "stim", ["1", "2", "0"]), manifest, stimulus_column="stim")
    with pytest.raises(InputError, match=r"0 numbers are no clip, 1 clips are not shown .such as 2."):
        check_numbering(shown(tmp_path, "stim", ["1"]), manifest, stimulus_column="stim")
    confirmed = names(tmp_path, "video_id,stim\n1,1\n2,2\n3,3\n")
    check_numbering(shown(tmp_path, "stim", ["1"]), confirmed, stimulus_column="stim")


def test_names_that_are_no_numbers_may_be_shown_in_part(tmp_path: Path) -> None:
    manifest = names(tmp_path, "video_id\nclip1\nclip2\n")
    check_numbering(shown(tmp_path, "stim", ["clip1", "other"]), manifest, stimulus_column="stim")
