"""From one number back to what it came from, and computed again from exactly that."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from affectlake.errors import LakeError
from affectlake.tables import MATERIALIZATIONS
from dagster_project.explain import Explainer, Node, find_row, recipe_of
from dagster_project.recompute import Recomputed, compare, recompute
from tests.end_to_end.conftest import Finished

ROOT = Path(__file__).parents[2]
NUMBER = ("encoding_scores", "subject=sub-01", "model=planted", "roi=amygdala")


def explain(study: Finished, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AFFECTLAKE_STUDY": str(study.folder / "study.yaml")}
    command = [sys.executable, "-m", "dagster_project", "explain", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def again(study: Finished, table: str, **key: str) -> Recomputed:
    return recompute(Explainer(study.study, study.lake), recipe_of(table), key)


def flat(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(n for source in node.get("computed_from", ()) for n in flat(source))]


def test_a_number_is_walked_back_to_the_files_and_computed_again_to_the_same(finished: Finished) -> None:
    done = explain(finished, *NUMBER, "--recompute", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    stored = finished.lake.read("encoding_scores", {"subject": "sub-01", "model": "planted"})
    assert told["row"]["mean_r"] == stored.filter(roi="amygdala")["mean_r"].item()
    nodes = flat(told["origin"])
    first = {n["table"]: n for n in reversed(nodes) if "see" not in n}
    assert {"responses", "voxels", "embeddings", "judgments", "triplets", "videos"} <= set(first)
    used = json.loads(stored["source_versions"][0])
    assert {n["table"]: n["version"] for n in told["origin"]["computed_from"]} == {t: used[t] for t in used}
    assert first["encoding_scores"]["settings"][0]["null"] == finished.study.encoding.null
    assert first["judgments"]["partition"] == "planted"
    counted = sum(found["judgments"] for found in first["judgments"]["judgments"])
    assert counted == finished.lake.read("judgments", {"model": "planted"}).height
    for file in first["responses"]["files"]:
        assert file["sha256"] == hashlib.sha256(Path(file["file"]).read_bytes()).hexdigest()
    assert told["recomputed"]["verdict"] == "equal"
    assert {t["table"]: t["rows"] for t in told["recomputed"]["tables"]}["encoding_scores"] == stored.height
    assert told["recomputed"]["notes"] == []


def test_the_tree_reads_well_and_says_what_is_as_now(finished: Finished) -> None:
    done = explain(finished, *NUMBER)
    assert done.returncode == 0, done.stderr
    for words in ("mean_r = 0.", "embeddings [planted] version", "judgments of prompt version", "(as now)", "sha256"):
        assert words in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("encoding_scores", "subject=sub-01", "model=planted"), "Add roi=... ("),
        (("encoding_scores", "model=plante"), "has no row with model=plante. There are human-category, planted"),
        (("encoding_score", "model=planted"), "Did you mean 'encoding_scores'?"),
        (("encoding_scores", "colour=red"), "Its key is subject, model, roi"),
        (("materializations", "table=videos"), "is written beside results"),
    ],
)
def test_a_wrong_question_is_one_line_that_helps(finished: Finished, words: tuple[str, ...], said: str) -> None:
    table, where = words[0], dict(word.split("=") for word in words[1:])

    def look() -> None:
        recipe_of(table)
        find_row(finished.lake, table, where)

    with pytest.raises(LakeError) as caught:
        look()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("videos", {}),
        ("triplets", {}),
        ("judgments", {"model": "planted"}),
        pytest.param("embeddings", {"model": "human-category"}, marks=pytest.mark.long),
        ("rsa_scores", {"subject": "sub-02", "model": "planted"}),
        ("comparisons", {}),
    ],
)
def test_every_kind_of_result_comes_out_the_same(finished: Finished, table: str, key: dict[str, str]) -> None:
    found = again(finished, table, **key)
    assert found.verdict in ("equal", "rounding"), found
    assert sum(t.rows for t in found.tables) > 0


def test_later_versions_of_a_source_do_not_reach_what_is_computed_from_the_recorded_ones(copy: Finished) -> None:
    key = {"model": "planted"}
    others = copy.lake.read("embeddings", key).with_columns(vector=pl.col("vector").list.reverse())
    copy.lake.overwrite("embeddings", others, key)
    found = again(copy, "rsa_scores", subject="sub-01", model="planted")
    assert found.verdict in ("equal", "rounding")


def test_a_number_that_was_tampered_with_differs_by_how_much(copy: Finished) -> None:
    key = {"subject": "sub-01", "model": "planted"}
    stored = copy.lake.read("rsa_scores", key)
    copy.lake.overwrite("rsa_scores", stored.with_columns(rho=pl.col("rho") + 0.125), key)
    row = Explainer(copy.study, copy.lake).computation("rsa_scores", key)
    forged = {**row, "delta_version": copy.lake.version("rsa_scores"), "run_id": "forged"}
    forged["finished_at"] = row["finished_at"].replace(year=2100)
    copy.lake.append("materializations", pl.DataFrame([forged], schema=MATERIALIZATIONS.schema))
    done = explain(
        copy, "rsa_scores", "subject=sub-01", "model=planted", "roi=amygdala", "method=pearson", "--recompute"
    )
    assert done.returncode == 1, done.stderr
    assert "different" in done.stdout
    assert "rho by 0.125" in done.stdout


def test_a_version_that_was_vacuumed_and_code_that_changed_are_named_and_it_still_compares(copy: Finished) -> None:
    key = {"model": "planted"}
    copy.lake.overwrite("embeddings", copy.lake.read("embeddings", key), key)
    DeltaTable(copy.lake.uri("embeddings")).vacuum(0, dry_run=False, enforce_retention_duration=False)
    row = Explainer(copy.study, copy.lake).computation("rsa_scores", {"subject": "sub-01", **key})
    older = {**row, "code_version": "0123456789abcdef", "finished_at": row["finished_at"].replace(year=2100)}
    copy.lake.append("materializations", pl.DataFrame([older], schema=MATERIALIZATIONS.schema))
    found = again(copy, "rsa_scores", subject="sub-01", model="planted")
    assert any("embeddings cannot be read any more (vacuumed)" in note for note in found.notes)
    assert any("the code has changed: 0123456789abcdef then" in note for note in found.notes)
    assert found.verdict in ("equal", "rounding")


def test_settings_that_changed_since_are_said(copy: Finished) -> None:
    copy.edit("null: 99", "null: 49")
    found = again(copy, "rsa_scores", subject="sub-01", model="planted")
    assert found.notes == ["the study's settings, or the size or time of change of its files, are not those of then"]
    assert found.verdict == "different"


def test_nothing_of_the_lake_changes_by_computing_again(finished: Finished) -> None:
    before = {table: finished.lake.version(table) for table in finished.lake.tables()}
    again(finished, "dimension_graph")
    assert {table: finished.lake.version(table) for table in finished.lake.tables()} == before


def test_rounding_is_told_from_difference_and_rows_that_come_and_go_are_counted() -> None:
    from affectlake.tables import RUN_SCORES

    rows = [("s", "m", "roi", run, 5, 0.5, 0.2) for run in range(3)]
    before = pl.DataFrame(rows, schema=RUN_SCORES.schema, orient="row")
    assert compare("run_scores", before, before).verdict == "equal"
    nudged = compare("run_scores", before, before.with_columns(pl.col("mean_r") + 1e-9))
    assert nudged.verdict == "rounding"
    moved = compare("run_scores", before, before.with_columns(mean_r=pl.col("mean_r") + 0.25))
    assert (moved.verdict, moved.differences) == ("different", {"mean_r": 0.25})
    fewer = compare("run_scores", before, before.tail(2).with_columns(run=pl.col("run") + 1))
    assert (fewer.verdict, fewer.missing, fewer.extra) == ("different", 2, 1)


def test_a_node_that_stands_above_is_not_told_twice() -> None:
    assert Node("videos", "-", 3, seen=True).plain() == {
        "table": "videos",
        "partition": "-",
        "version": 3,
        "see": "above",
    }
