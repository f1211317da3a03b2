"""The command line: exit codes, what goes to which stream, and messages that a newcomer can act on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUDY = "name: mine\nstimuli: {manifest: videos.csv}\nratings: {file: ratings.csv}\n"


def affectlake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("AFFECTLAKE_LAKE", "DAGSTER_HOME")}
    environment["AFFECTLAKE_STUDY"] = str(folder / "study.yaml")
    command = [sys.executable, "-m", "dagster_project", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "videos.csv").write_text("video_id\na\nb\nc\n")
    return tmp_path


def test_check_names_what_is_missing_on_disk(folder: Path) -> None:
    done = affectlake(folder, "study", "check")
    assert done.returncode == 1
    assert "ratings.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_key_of_the_study_file_is_one_line(folder: Path) -> None:
    (folder / "study.yaml").write_text(STUDY + "modles: []\n")
    done = affectlake(folder, "study", "check")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "did you mean `models`?" in done.stderr


def test_a_study_is_not_written_over(folder: Path) -> None:
    done = affectlake(folder, "study", "new", str(folder))
    assert done.returncode == 1
    assert "is there already" in done.stderr


def test_a_new_study_is_valid(tmp_path: Path) -> None:
    assert affectlake(tmp_path, "study", "new", str(tmp_path / "x")).returncode == 0
    assert "my-study" in affectlake(tmp_path / "x", "study", "check").stdout


def test_a_query_prints_data_alone(folder: Path) -> None:
    done = affectlake(folder, "query", "SELECT 1 AS one, 'a,b' AS text", "--format", "csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, 'one,text\n1,"a,b"\n', "")
    done = affectlake(folder, "query", "SELECT 1 AS one", "--format", "json")
    assert json.loads(done.stdout) == [{"one": 1}]


def test_a_refused_query_is_one_line_without_a_traceback(folder: Path) -> None:
    done = affectlake(folder, "query", "SELECT * FROM read_text('/etc/passwd')")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


def test_named_queries_are_listed_with_their_questions_and_need_no_study(tmp_path: Path) -> None:
    done = affectlake(tmp_path, "query", "--list", "--format", "json")
    listed = {row["name"]: row for row in json.loads(done.stdout)}
    assert listed["leaderboard"]["question"].endswith("?")
    assert listed["roi_profile"]["parameters"] == "model"


def test_parameters_are_bound_and_a_missing_or_unknown_name_is_one_line(folder: Path) -> None:
    done = affectlake(
        folder, "query", "SELECT $x AS x, $y AS y", "--param", "x=a' OR 1", "--param", "y=b=c", "--format", "csv"
    )
    assert (done.returncode, done.stdout) == (0, "x,y\na' OR 1,b=c\n")
    for words, said in (
        (("--name", "roi_profile"), "--param model=..."),
        (("--name", "roi_profil"), "Did you mean 'roi_profile'?"),
        (("SELECT text FROM captions", "--as-of", "2026-01-01"), "captions: has never been written"),
        (("SELECT text FROM captions", "--as-of", "last week"), "does not know what 'last week' is"),
    ):
        done = affectlake(folder, "query", *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert said in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("query",),
        ("query", "SELECT 1", "--name", "leaderboard"),
        ("nonsense",),
        ("run", "--x"),
        ("query", "SELECT 1", "--param", "x"),
        ("explain", "videos", "x"),
    ],
)
def test_wrong_use_is_exit_code_two(folder: Path, words: tuple[str, ...]) -> None:
    assert affectlake(folder, *words).returncode == 2


def test_an_unknown_table_or_model_names_those_that_there_are(folder: Path) -> None:
    done = affectlake(folder, "run", "--select", "embedings")
    assert done.returncode == 1
    assert "videos" in done.stderr
    done = affectlake(folder, "run", "--model", "nobody")
    assert done.returncode == 1
    assert "nobody" in done.stderr


def test_a_failure_is_told_with_exit_code_one_and_the_rest_is_computed(folder: Path) -> None:
    done = affectlake(folder, "run")
    assert done.returncode == 1
    assert "ratings.csv" in done.stderr
    assert "Traceback" not in done.stderr
    rows = affectlake(folder, "query", "SELECT count(*) AS n FROM videos", "--format", "csv")
    assert rows.stdout == "n\n3\n"


def test_a_study_of_horikawas_scans_comes_with_its_clips_and_regions(tmp_path: Path) -> None:
    done = affectlake(tmp_path, "study", "new", str(tmp_path), "--kind", "horikawa2020")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "videos.csv").read_text().splitlines()) == 2197
    assert (tmp_path / "hcp_mmp_groups.yaml").is_file()


@pytest.mark.parametrize("words", [["--kind", "alice"], ["--kind", "blank", "--data", "."]])
def test_data_is_for_the_study_that_is_made_of_it(tmp_path: Path, words: list[str]) -> None:
    assert affectlake(tmp_path, "study", "new", str(tmp_path / "new"), *words).returncode == 2
    assert not (tmp_path / "new").exists()
