"""A study that changes its mind: what was computed before never stands in for what is asked now."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest

from affectlake.triplets import sample
from dagster_project.explain import Explainer, recipe_of
from dagster_project.planning import Batch, Selection, State, survey
from dagster_project.recompute import recompute
from dagster_project.runner import Launcher, Outcome

from .conftest import Finished

N = 20
STUDY = """
name: tiny
stimuli: {manifest: videos.csv}
triplets: {train: 600, test: 150, seed: 0}
models:
  - {name: judge, agent: simulated, file: space.npy, ids: ids.txt, temperature: 0.1}
embedding: {dimensions: 6, keep: 4, seeds: 2}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Finished:
    """Twenty clips without captions, ratings or scans, and a judge with a planted space."""
    ids = [f"v{i:02}" for i in range(N)]
    rng = np.random.default_rng(0)
    np.save(tmp_path / "space.npy", (rng.random((N, 4)) * (rng.random((N, 4)) < 0.5)).astype(np.float32))
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    (tmp_path / "videos.csv").write_text("\n".join(["video_id", *ids]) + "\n")
    (tmp_path / "study.yaml").write_text(STUDY)
    return Finished(tmp_path, Outcome())


def accuracy(study: Finished, model: str = "judge") -> float:
    return float(study.lake.read("embedding_quality", {"model": model})["accuracy"].item())


def test_a_study_of_videos_and_one_judge_is_enough(tiny: Finished) -> None:
    assert tiny.run().failed == {}
    assert tiny.lake.read("dimensions")["label"].unique().to_list() == ["unnamed"]
    assert {s for _, _, s in survey(tiny.study, tiny.lake)} == {State.CURRENT}


def test_settings_that_are_changed_and_changed_back_give_the_first_result_again(tiny: Finished) -> None:
    assert tiny.run().failed == {}
    first = accuracy(tiny)
    tiny.edit("temperature: 0.1", "temperature: 50")
    assert tiny.run().failed == {}
    assert accuracy(tiny) < first - 0.2
    tiny.edit("temperature: 50", "temperature: 0.1")
    assert tiny.run().failed == {}
    assert accuracy(tiny) == first


def test_few_new_judgments_leave_a_space_as_it_is_and_more_have_it_learnt_on_from_there(tiny: Finished) -> None:
    tiny.edit("seeds: 2}", "seeds: 2, refit_share: 0.1}")
    assert tiny.run().failed == {}
    first = tiny.lake.read("embeddings")
    tiny.edit("train: 600", "train: 640")
    few = tiny.run()
    assert few.failed == {}
    assert tiny.lake.read("judgments").height == 790, "they are asked all the same"
    assert tiny.lake.read("embeddings").equals(first)
    assert {s for _, _, s in survey(tiny.study, tiny.lake)} == {State.CURRENT}
    tiny.edit("train: 640", "train: 700")
    assert tiny.run().failed == {}
    assert tiny.lake.read("embedding_quality")["n_train"].item() == 700
    runs = tiny.lake.read("embedding_runs")
    assert runs["n_random"].unique().to_list() == [600], "each run began with what it had ended with"
    explainer = Explainer(tiny.study, tiny.lake)
    found = recompute(explainer, recipe_of("embeddings"), {"model": "judge"})
    assert found.verdict == "equal", found
    tiny.edit("train: 700", "train: 960")
    assert tiny.run().failed == {}
    runs = tiny.lake.read("embedding_runs")
    assert runs["n_random"].unique().to_list() == [960], "with so many more it begins with random weights"
    before = tiny.lake.version("embeddings")
    tiny.edit("keep: 4", "keep: 3")
    assert tiny.run().failed == {}
    assert tiny.lake.version("embeddings") != before, "a setting that changed does not wait"


def test_another_seed_asks_again_and_learns_from_all_that_was_asked(tiny: Finished) -> None:
    assert tiny.run().failed == {}
    tiny.edit("seed: 0", "seed: 1")
    assert tiny.run().failed == {}
    assert tiny.lake.read("embedding_quality")["n_train"].item() == 600


def test_a_corrected_file_of_judgments_replaces_the_wrong_reading(tiny: Finished) -> None:
    answers = sample(N, 500, seed=1)
    np.savetxt(tiny.folder / "answers.txt", answers, fmt="%d")
    tiny.edit("models:\n", "models:\n  - {name: people, agent: recorded, file: answers.txt, odd: first}\n")
    only = Selection(models=frozenset({"people"}))
    assert tiny.run(only).failed == {}
    tiny.edit("odd: first", "odd: last")
    np.savetxt(tiny.folder / "answers.txt", answers[:400], fmt="%d")
    assert tiny.run(only).failed == {}
    row = tiny.lake.read("embedding_quality", {"model": "people"}).row(0, named=True)
    assert row["n_train"] + row["n_test"] == 400


def test_an_edited_list_of_items_is_scored_anew(tiny: Finished) -> None:
    (tiny.folder / "chosen.txt").write_text("v00\nv01\nv02\nv03\n")
    tiny.edit("embedding:", "items: chosen.txt\nembedding:")
    assert tiny.run().failed == {}
    assert tiny.lake.read("embedding_quality")["n_items"].item() == 4
    (tiny.folder / "chosen.txt").write_text("v00\nv01\n")
    assert tiny.run().failed == {}
    assert tiny.lake.read("embedding_quality")["n_items"].item() == 2


def test_a_retry_keeps_what_is_finished_and_a_person_gets_what_was_asked_for(tiny: Finished) -> None:
    assert tiny.run().failed == {}
    recipe, key = recipe_of("embeddings"), {"model": "judge"}

    def versions() -> list[int | None]:
        return [tiny.lake.version(table) for table in recipe.outputs]

    with dg.DagsterInstance.ephemeral() as instance:
        launcher = Launcher(tiny.study, instance)
        batch, first = Batch((recipe,), key), versions()
        launcher.tags |= {"dagster/retry_number": "1"}
        assert launcher.run(batch) == {}
        assert versions() == first
        told = instance.get_latest_materialization_event(dg.AssetKey("embeddings"))
        assert told is not None
        assert told.asset_materialization is not None
        assert told.asset_materialization.metadata["kept"].value is True
        tiny.edit("keep: 4", "keep: 3")
        launcher = Launcher(tiny.study, instance)
        launcher.tags |= {"dagster/retry_number": "1"}
        assert launcher.run(batch) == {}
        second = versions()
        assert all(a != b for a, b in zip(first, second, strict=True)), "what is stale is computed by a retry as well"
        assert Launcher(tiny.study, instance).run(batch) == {}
        assert all(a != b for a, b in zip(second, versions(), strict=True))


def test_both_failures_of_one_run_are_told_at_once(tiny: Finished) -> None:
    tiny.edit("triplets:", "captions: {file: nowhere.csv}\nratings: {file: neither.csv}\ntriplets:")
    failed = tiny.run().failed
    assert set(failed) == {"captions", "ratings"}
    assert "nowhere.csv" in failed["captions"]
    assert "neither.csv" in failed["ratings"]


def test_results_made_of_something_stale_do_not_count_as_current(tiny: Finished) -> None:
    assert tiny.run().failed == {}
    (tiny.folder / "videos.csv").write_text("video_id\nv00\nv00\n")
    outcome = tiny.run()
    assert list(outcome.failed) == ["videos"]
    assert outcome.current == 0


def test_a_clip_that_left_keeps_its_item_and_a_new_one_gets_the_next(tiny: Finished) -> None:
    assert tiny.run(Selection(frozenset({"videos"}))).failed == {}
    before = dict(tiny.lake.read("videos").select("video_id", "item").iter_rows())
    manifest = tiny.folder / "videos.csv"
    manifest.write_text(manifest.read_text().replace("v05\n", "") + "a-new-one\n")
    assert tiny.run(Selection(frozenset({"videos"}))).failed == {}
    after = tiny.lake.read("videos")
    assert dict(after.select("video_id", "item").iter_rows()) == {**before, "a-new-one": N}
    assert after.filter(pl.col("video_id") == "v05")["status"].item() == "left"


def test_control_c_stops_the_run_and_keeps_what_was_finished(tiny: Finished) -> None:
    more = "".join(
        f"  - {{name: m{i}, agent: simulated, file: space.npy, ids: ids.txt, seed: {i}}}\n" for i in range(30)
    )
    tiny.edit("embedding:", more + "embedding:")
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_project", "run"],
        env={**os.environ, "AFFECTLAKE_STUDY": str(tiny.folder / "study.yaml")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for _ in range(1200):
        if tiny.lake.read("embedding_quality").height:  # the table itself is made, empty, before its first rows
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1, printed
    assert "stopped" in printed
    assert "Traceback" not in printed
    assert 0 < tiny.lake.read("embedding_quality").height < 31
