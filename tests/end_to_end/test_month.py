"""A month in the life of a study: each change computes exactly what it touches, by automation and by command alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from rich.console import Console

from affectlake.exclusions import WHOLE
from assets.recipes import RECIPES
from dagster_project.definitions import build_definitions
from dagster_project.planning import Selection, State, survey
from dagster_project.runner import bring_up_to_date
from resources import provenance
from resources.lake import Lake
from resources.study import Study, load_study

STUDY = """
name: month
synthetic: true
stimuli: {manifest: videos.csv}
captions: {file: captions.csv}
triplets: {train: 240, test: 60, seed: 0}
models:
  - {name: judge, agent: simulated, file: space.npy, ids: ids.txt, temperature: 0.1}
  - {name: pixels, agent: features, file: pixels.npy, ids: ids.txt}
embedding: {dimensions: 4, keep: 3, seeds: 2, l1: 0.02}
brain:
  format: responses
  matrix: "{subject}.npy"
  stimuli: "{subject}_rows.csv"
  voxels: voxels.csv
  stimulus_column: video_id
  subjects: [sub-01]
encoding: {folds: 3, alphas: [1.0, 100.0], null: 0}
"""
N, NEW = 18, 6
SUBJECTS = ("sub-01", "sub-02")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Month:
    """The study's folder and what is done to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clips = [f"v{i:02}" for i in range(N)]
        rng = np.random.default_rng(0)
        space = rng.random((N + NEW, 3)) * (rng.random((N + NEW, 3)) < 0.6)
        np.save(folder / "space.npy", space.astype(np.float32))
        np.save(folder / "pixels.npy", rng.random((N + NEW, 3)).astype(np.float32))
        (folder / "ids.txt").write_text("".join(f"v{i:02}\n" for i in range(N + NEW)))
        for subject in SUBJECTS:
            np.save(folder / f"{subject}.npy", space[:N] @ rng.normal(size=(3, 8)) + rng.normal(size=(N, 8)))
            rows = [f"{i // 6 + 1},{clip}" for i, clip in enumerate(self.clips)]
            (folder / f"{subject}_rows.csv").write_text("\n".join(["run,video_id", *rows]) + "\n")
        (folder / "voxels.csv").write_text("\n".join(["rois", *["a"] * 4, *["b"] * 4]) + "\n")
        (folder / "study.yaml").write_text(STUDY)
        self.write_clips()

    @property
    def study(self) -> Study:
        return load_study(self.folder / "study.yaml")

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"), "month")

    def write_clips(self) -> None:
        (self.folder / "videos.csv").write_text("\n".join(["video_id", *self.clips]) + "\n")
        self.write_captions("a clip")

    def write_captions(self, what: str) -> None:
        lines = [f"{clip},{what} {clip}" for clip in self.clips]
        (self.folder / "captions.csv").write_text("\n".join(["video_id,description", *lines]) + "\n")

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "study.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    # what happens in the month

    def no_change(self) -> None:
        """Nobody did anything."""

    def more_questions(self) -> None:
        self.edit("train: 240", "train: 480")

    def another_model(self) -> None:
        self.edit("embedding:", "  - {name: flow, agent: features, file: pixels.npy, ids: ids.txt}\nembedding:")

    def another_subject(self) -> None:
        self.edit("[sub-01]", "[sub-01, sub-02]")

    def another_alpha(self) -> None:
        self.edit("[1.0, 100.0]", "[1.0, 10.0, 100.0]")

    def corrected_scan(self) -> None:
        path = self.folder / "sub-02.npy"
        values = np.load(path)
        values[0, 0] += 3
        np.save(path, values)

    def touched_scan(self) -> None:
        os.utime(self.folder / "sub-01.npy", (1e9, 1e9))

    def another_temperature(self) -> None:
        self.edit("temperature: 0.1", "temperature: 0.2")

    def corrected_features(self) -> None:
        path = self.folder / "pixels.npy"
        np.save(path, np.load(path)[:, ::-1] ** 2)

    def new_captions(self) -> None:
        self.write_captions("another clip")

    def new_clips(self) -> None:
        self.clips += [f"v{i:02}" for i in range(N, N + NEW)]
        self.write_clips()
        self.edit("train: 480", "train: 720")

    def removed_subject(self) -> None:
        self.edit("[sub-01, sub-02]", "[sub-02]")

    def another_report(self) -> None:
        self.edit("synthetic: true\n", "synthetic: true\nitems: all\n")

    def fewer_clips(self) -> None:
        self.clips.remove("v03")
        self.write_clips()


class Automated:
    """Ticks of the automation sensor, and the runs that it asks for, until it asks for nothing more."""

    def __init__(self, month: Month) -> None:
        self.month, self.instance, self.cursor = month, dg.DagsterInstance.ephemeral(), None

    def work(self) -> list[str]:
        ran: list[str] = []
        definitions = build_definitions(self.month.study)
        job = definitions.resolve_implicit_global_asset_job_def()
        for _ in range(12):
            asked = self._tick(definitions)
            if not asked:
                return ran
            for recipe, partition in asked:
                ran.append(f"{recipe.name} {partition}")
                if recipe.name != "report":  # drawing it takes longer than all others, and nothing follows from it
                    assert self._run(job, recipe, partition).success, ran[-1]
        raise AssertionError(f"it never comes to rest: {ran}")

    def _tick(self, definitions: dg.Definitions) -> list[tuple[provenance.Recipe, str]]:
        found = dg.evaluate_automation_conditions(definitions, instance=self.instance, cursor=self.cursor)
        self.cursor = found.cursor
        asked = {r.key.path[-1]: r.true_subset for r in found.results if not r.true_subset.is_empty}
        for recipe in RECIPES:
            assert {t in asked for t in recipe.outputs} in ({True}, {False}), "tables are computed together"
        return [
            (recipe, partition)
            for recipe in RECIPES
            if recipe.name in asked
            for subset in (asked[recipe.name],)
            for partition in (sorted(subset.expensively_compute_partition_keys()) if subset.is_partitioned else [WHOLE])
        ]

    def _run(self, job: dg.JobDefinition, recipe: provenance.Recipe, partition: str) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(t) for t in recipe.outputs],
            partition_key=None if partition == WHOLE else partition,
            run_config=QUIET,
        )


class Commanded:
    """`affectlake run`."""

    def __init__(self, month: Month) -> None:
        self.month = month

    def work(self) -> list[str]:
        outcome = bring_up_to_date(self.month.study, self.month.lake, Selection(), Console(quiet=True))
        assert outcome.failed == {}
        assert outcome.blocked == []
        return [f"{r.name} {provenance.partition_name(b.key)}" for b in outcome.computed for r in b.recipes]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)


def scores(models: str, subjects: str) -> set[str]:
    pairs = {f"{m}|{s}" for m in models.split() for s in subjects.split()}
    return {f"{table} {pair}" for table in ("encoding_scores", "rsa_scores") for pair in pairs}


ENDS = {f"comparisons {WHOLE}", f"report {WHOLE}"}
GRAPH = f"dimension_graph {WHOLE}"
JUDGED = {"judgments judge", "embeddings judge", GRAPH, *ENDS}
CLIPS = {
    f"videos {WHOLE}",
    f"captions {WHOLE}",
    f"triplets {WHOLE}",
    "judgments judge",
    "responses sub-01",
    "responses sub-02",
}
SPACES = {f"{table} {model}" for table in ("judgments", "embeddings") for model in ("judge", "pixels", "flow")}
ALL = scores("judge pixels flow", "sub-01 sub-02")
ENCODED = {name for name in ALL if name.startswith("encoding")}

DAYS: list[tuple[str, Callable[[Month], None], set[str]]] = [
    (
        "the first run",
        Month.no_change,
        {f"{t} {WHOLE}" for t in ("videos", "captions", "triplets", "noise_ceilings")}
        | {f"{t} {m}" for t in ("judgments", "embeddings") for m in ("judge", "pixels")}
        | {"responses sub-01", *scores("judge pixels", "sub-01"), GRAPH, *ENDS},
    ),
    ("nothing", Month.no_change, set()),
    ("more questions", Month.more_questions, {f"triplets {WHOLE}", *JUDGED, *scores("judge", "sub-01")}),
    (
        "another model",
        Month.another_model,
        {"judgments flow", "embeddings flow", GRAPH, *scores("flow", "sub-01"), *ENDS},
    ),
    (
        "another subject",
        Month.another_subject,
        {"responses sub-02", f"noise_ceilings {WHOLE}", *scores("judge pixels flow", "sub-02"), *ENDS},
    ),
    ("another setting of the scores", Month.another_alpha, ENCODED | ENDS),
    (
        "a corrected scan",
        Month.corrected_scan,
        {"responses sub-02", f"noise_ceilings {WHOLE}", *scores("judge pixels flow", "sub-02"), *ENDS},
    ),
    ("a scan that was copied", Month.touched_scan, {"responses sub-01"}),
    ("another setting of the judge", Month.another_temperature, JUDGED | scores("judge", "sub-01 sub-02")),
    (
        "corrected features",
        Month.corrected_features,
        {f"{t} {m}" for t in ("judgments", "embeddings") for m in ("pixels", "flow")}
        | {GRAPH, *scores("pixels flow", "sub-01 sub-02"), *ENDS},
    ),
    ("captions that no model reads", Month.new_captions, {f"captions {WHOLE}", f"report {WHOLE}"}),
    ("new clips", Month.new_clips, CLIPS | SPACES | ALL | {GRAPH, *ENDS}),
    ("a removed clip", Month.fewer_clips, CLIPS | SPACES | ALL | {GRAPH, *ENDS}),
    ("a removed subject", Month.removed_subject, {f"noise_ceilings {WHOLE}", *ENDS}),
]
"""Twelve changes, with all that each may compute: one line a table and partition, each once."""
LEFT_OUT = (
    "another setting of the scores",
    "a corrected scan",
    "another setting of the judge",
    "corrected features",
    "new clips",
    "a removed clip",
    "a removed subject",
)
"""Days that the short test has no time for; the others take a minute."""
SHORT = [day for day in DAYS if day[0] not in LEFT_OUT]


@pytest.mark.parametrize(
    ("way", "days"),
    [
        (Automated, SHORT),
        pytest.param(Automated, DAYS, marks=pytest.mark.long),
        pytest.param(Commanded, DAYS, marks=pytest.mark.long),
    ],
)
def test_each_day_computes_exactly_what_its_change_touches(
    way: type[Automated] | type[Commanded], days: list[tuple[str, Callable[[Month], None], set[str]]], tmp_path: Path
) -> None:
    month = Month(tmp_path)
    user = way(month)
    for name, change, expected in days:
        change(month)
        ran = user.work()
        assert set(ran) == expected, name
        assert len(ran) == len(expected), f"{name}: something was computed twice"
        behind = {r.name for r, _, s in survey(month.study, month.lake) if s is not State.CURRENT}
        assert behind <= {"report"}, name
