"""From videos to scores on the small synthetic study, and what happens when something changes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from affectlake.tables import TABLES
from dagster_project.planning import Batch, Selection, State, survey
from resources.provenance import Ledger, partition_name

from .conftest import Finished


def computed(outcome_batches: list[Batch]) -> Counter[str]:
    return Counter(f"{recipe.name} {partition_name(b.key)}" for b in outcome_batches for recipe in b.recipes)


def truth(finished: Finished) -> set[str]:
    return set(json.loads((finished.folder / "truth.json").read_text())["planted_rois"])


def test_everything_is_computed_and_nothing_fails(finished: Finished) -> None:
    assert finished.outcome.failed == {}
    assert finished.outcome.blocked == []
    assert {s for _, _, s in survey(finished.study, finished.lake)} == {State.CURRENT}
    # no service is asked by this study, so no batch is pending
    for name in TABLES.keys() - {"attempts", "checkpoints", "batches", "batch_requests"}:
        assert finished.lake.read(name).height, f"table {name} is empty"


def test_planted_regions_are_significant_for_the_planted_model_and_not_for_the_scrambled_one(
    finished: Finished,
) -> None:
    scores = finished.lake.read("encoding_scores")
    planted = truth(finished)
    found = scores.filter((pl.col("q") < 0.05) & (pl.col("mean_r") > 0.1))
    for subject in finished.study.subjects:
        of = found.filter(pl.col("subject") == subject)
        assert planted <= set(of.filter(pl.col("model") == "planted")["roi"])
        assert not planted & set(of.filter(pl.col("model") == "scrambled")["roi"])
    motor = scores.filter((pl.col("roi") == "motor") & (pl.col("model") == "planted"))
    assert motor["mean_r"].abs().max() < 0.1  # type: ignore[operator]


def test_similarity_analysis_agrees(finished: Finished) -> None:
    scores = finished.lake.read("rsa_scores").filter(pl.col("roi").is_in(truth(finished)))
    mean = dict(scores.group_by("model").agg(pl.col("rho").mean()).iter_rows())
    assert mean["planted"] > 0.05
    assert abs(mean["scrambled"]) < 0.03


def test_searchlights_find_the_planted_regions_and_are_compared_model_against_model(finished: Finished) -> None:
    light = finished.lake.read("searchlight_scores")
    assert set(light["model"]) == {"planted", "scrambled"}
    assert light["factor_error"].max() < 1e-3  # type: ignore[operator]
    regions = finished.lake.read("voxels").select("subject", "voxel", roi="rois").explode("roi").drop_nulls("roi")
    of_subject = (
        light.join(regions, on=["subject", "voxel"]).group_by("model", "roi", "subject").agg(pl.col("rho").mean())
    )
    means = of_subject.group_by("model", "roi").agg(pl.col("rho").mean())
    found = dict(means.filter(model="planted").select("roi", "rho").iter_rows())
    assert min(found[roi] for roi in truth(finished)) > found["motor"] + 0.02
    compared = finished.lake.read("comparisons")
    assert set(compared["metric"]) == {"encoding", "rsa", "rsa_spearman", "searchlight"}
    first = compared.filter(metric="searchlight", roi="insula").row(0, named=True)
    assert first["mean_difference"] == pytest.approx(
        found["insula"] - means.filter(model="scrambled", roi="insula")["rho"].item(), abs=1e-6
    )
    own = compared.filter(metric="encoding")["by_subject"].explode().struct.unnest()
    assert set(own["n_runs"]) == {6}
    assert (own["ci_low"] <= own["ci_high"]).all()


def test_the_planted_space_is_read_from_the_planted_regions(finished: Finished) -> None:
    found = finished.lake.read("decoding_scores")
    inside = found.filter(pl.col("roi").is_in(truth(finished)))
    assert inside["identification"].min() > 0.55  # type: ignore[operator]
    assert inside["q"].max() < 0.1  # type: ignore[operator]
    assert found.filter(pl.col("roi") == "motor")["identification"].max() < 0.6  # type: ignore[operator]
    assert found["by_dimension"].list.len().to_list() == found["n_dimensions"].to_list()


def test_the_parts_of_the_variance_are_those_of_the_models_and_the_shared_one(finished: Finished) -> None:
    parts = finished.lake.read("variance_partition").filter(pl.col("roi") == "amygdala")
    assert set(parts["set"]) == {"human-category+planted"}
    assert sorted(parts["part"].unique()) == ["human-category", "human-category+planted", "planted"]
    shared = parts.filter(pl.col("part") == "human-category+planted")["r2"]
    alone = parts.filter(pl.col("part") == "human-category")["r2"]
    assert shared.min() > alone.max(), "ratings are made from the planted space: they explain little of their own"  # type: ignore[operator]


def test_the_planted_space_is_found_again(finished: Finished) -> None:
    quality = {r["model"]: r for r in finished.lake.read("embedding_quality").iter_rows(named=True)}
    assert quality["planted"]["accuracy"] > quality["planted"]["chance"] + 0.1
    assert quality["planted"]["accuracy"] <= quality["planted"]["ceiling_high"]
    assert quality["planted"]["coverage"] == 1


def test_every_voxel_is_accounted_for(finished: Finished) -> None:
    scores = finished.lake.read("encoding_scores")
    assert (scores["n_voxels"] == scores["n_scored"] + scores["n_dropped"]).all()
    voxels = finished.lake.read("voxels")
    dropped = voxels.filter(pl.col("status") != "used")
    assert dropped["status"].value_counts().height == 2, "the demo has constant and NaN voxels on purpose"
    scored = finished.lake.read("voxel_scores").select("subject", "voxel")
    assert scored.join(dropped, on=["subject", "voxel"]).is_empty()


def test_later_presentations_of_a_repeated_clip_are_dropped_and_counted(finished: Finished) -> None:
    left_out = finished.lake.read("exclusions").filter(pl.col("stage") == "responses")
    repeated = left_out.filter(pl.col("reason") == "duplicate_presentation")
    responses = finished.lake.read("responses")
    for subject in finished.study.subjects:
        assert repeated.filter(pl.col("partition") == subject)["n"].sum() == 2
        shown = responses.filter((pl.col("subject") == subject) & (pl.col("voxel_block") == 0))["video_id"]
        assert shown.n_unique() == shown.len() == 96


def test_results_say_what_they_were_computed_from(finished: Finished) -> None:
    row = finished.lake.read("encoding_scores").row(0, named=True)
    sources = json.loads(row["source_versions"])
    assert {"responses", "voxels", "embeddings"} <= set(sources)
    assert finished.lake.scan("embeddings", version=sources["embeddings"]).collect().height
    assert len(row["code_version"]) == 16


def test_a_second_run_computes_nothing(copy: Finished) -> None:
    outcome = copy.run()
    assert outcome.computed == []
    assert outcome.current == finished_partitions(copy)


def finished_partitions(study: Finished) -> int:
    return len(survey(study.study, study.lake))


def test_adding_a_model_computes_its_partitions_and_no_other(copy: Finished) -> None:
    before = materializations(copy)
    copy.edit("embedding:", "  - {name: human-dimension, agent: ratings, scale: dimension}\nembedding:")
    outcome = copy.run()
    new = "human-dimension"
    wanted = {
        f"judgments {new}": 1,
        f"embeddings {new}": 1,
        **{
            f"{name} {new}|{subject}": 1
            for name in ("encoding_scores", "rsa_scores")
            for subject in copy.study.subjects
        },
        "comparisons -": 1,
        "report -": 1,
        "dimension_graph -": 1,
    }
    assert computed(outcome.computed) == wanted
    happened = materializations(copy) - before
    assert {partition for table, partition in happened if table in ("judgments", "encoding_scores")} == {
        new,
        *(f"{new}|{s}" for s in copy.study.subjects),
    }
    assert set(happened.values()) == {1}


def materializations(study: Finished) -> Counter[tuple[str, str]]:
    """What Dagster's event log says was materialized, by table and partition."""
    with dg.DagsterInstance.from_config(str(study.folder / ".dagster")) as instance:
        found: Counter[tuple[str, str]] = Counter()
        for table in TABLES:
            records = instance.fetch_materializations(dg.AssetKey(table), limit=1000).records
            found.update((table, r.asset_materialization.partition or "-") for r in records if r.asset_materialization)
        return found


def test_a_touched_file_is_read_again_and_nothing_follows(copy: Finished) -> None:
    (copy.folder / "stimuli" / "ratings.csv").touch()
    assert computed(copy.run().computed) == {"ratings -": 1}


def test_a_changed_setting_of_the_scores_computes_the_scores_asked_for_and_nothing_upstream(copy: Finished) -> None:
    copy.edit("null: 99", "null: 19")
    outcome = copy.run(Selection(subjects=frozenset({"sub-01"})))
    assert computed(outcome.computed) == {
        f"{table} {model}|sub-01": 1 for table in ("encoding_scores", "rsa_scores") for model in copy.study.model_names
    } | {"variance_partition sub-01": 1, "decoding_scores sub-01": 1}


def test_new_questions_lead_to_the_missing_answers_only(copy: Finished) -> None:
    def answers() -> tuple[pl.DataFrame, int]:
        return copy.lake.read("judgments"), copy.lake.read("attempts").height

    before, ties_before = answers()
    copy.edit("test: 2000", "test: 2500")
    assert copy.run(Selection(frozenset({"judgments"}))).failed == {}
    after, ties = answers()
    assert (after.height - before.height) + (ties - ties_before) == 500 * len(copy.study.models)
    kept = after.join(before, on=TABLES["judgments"].key, how="semi")
    assert kept["judged_at"].sort().equals(before["judged_at"].sort()), "an answer was asked for again"


def test_a_failed_partition_does_not_stop_the_others_and_is_tried_again(copy: Finished) -> None:
    events = next((copy.folder / "derivatives" / "sub-01").rglob("*run-*1_events.tsv"))
    text = events.read_text()
    events.write_text(text.replace("stim_id", "stimulus"))
    copy.edit("null: 99", "null: 19")
    outcome = copy.run()
    assert list(outcome.failed) == ["responses [sub-01]"]
    assert events.name in outcome.failed["responses [sub-01]"]
    assert "stim_id" in outcome.failed["responses [sub-01]"]
    scored = {key for key in computed(outcome.computed) if key.startswith("encoding_scores")}
    assert {key.rpartition("|")[2] for key in scored} >= {"sub-02"}
    events.write_text(text)
    again = copy.run()
    assert again.failed == {}
    assert "responses sub-01" in computed(again.computed)
    assert not any(key.endswith("sub-02") for key in computed(again.computed))


def test_shuffled_files_give_the_same_content(written: Path, finished: Finished, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(written, tmp_path / "study")
    for name in ("videos.csv", "captions.csv", "ratings.csv"):
        path = tmp_path / "study" / "stimuli" / name
        head, *rows = path.read_text().splitlines()
        order = rows[::-1] if name != "captions.csv" else captions_reversed_by_clip(rows)
        path.write_text("\n".join([head, *order]) + "\n")
    shuffled = Finished(tmp_path / "study", finished.outcome)
    assert shuffled.run(Selection(frozenset({"embeddings", "captions"}), frozenset({"human-category"}))).failed == {}
    one, two = Ledger(finished.lake), Ledger(shuffled.lake)
    for table in ("videos", "captions", "ratings", "triplets"):
        assert one.data_version(table, {}) == two.data_version(table, {}), table
    for table in ("judgments", "embeddings", "dimensions", "embedding_quality"):
        key = {"model": "human-category"}
        assert one.data_version(table, key) == two.data_version(table, key), table


def captions_reversed_by_clip(rows: list[str]) -> list[str]:
    """Clips in another order; the captions of one clip are numbered in file order and keep it."""
    clips: dict[str, list[str]] = {}
    for row in rows:
        clips.setdefault(row.partition(",")[0], []).append(row)
    return [row for clip in reversed(list(clips)) for row in clips[clip]]


def test_a_run_that_was_killed_is_finished_by_the_next_one(written: Path, finished: Finished, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(written, tmp_path / "study")
    killed = Finished(tmp_path / "study", finished.outcome)
    environment = {**os.environ, "AFFECTLAKE_STUDY": str(tmp_path / "study" / "study.yaml")}
    command = [sys.executable, "-m", "dagster_project", "run", "--select", "judgments"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if killed.lake.version("judgments") is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert killed.run(Selection(frozenset({"judgments"}))).failed == {}
    key = TABLES["judgments"].key
    assert killed.lake.read("judgments").select(key).equals(finished.lake.read("judgments").select(key))
    with dg.DagsterInstance.from_config(str(tmp_path / "study" / ".dagster")) as instance:
        statuses = {run.status for run in instance.get_runs()}
    assert statuses <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}, "a dead run still counts as running"


@pytest.mark.parametrize("table", ["encoding_scores", "embeddings", "videos"])
def test_the_asset_pages_show_rows_columns_version_and_a_preview(finished: Finished, table: str) -> None:
    with dg.DagsterInstance.from_config(str(finished.folder / ".dagster")) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(table))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = event.asset_materialization.metadata
    assert metadata["delta_version"].value is not None
    schema = metadata["dagster/column_schema"].value
    assert {c.name: c.description for c in schema.columns} == {c.name: c.doc for c in TABLES[table].columns}
    assert len(metadata["preview"].value) > 0
    count = metadata.get("dagster/partition_row_count") or metadata["dagster/row_count"]
    assert count.value > 0
