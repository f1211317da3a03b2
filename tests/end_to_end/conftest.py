"""A small synthetic study, written and computed once for all end-to-end tests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from dagster_project.planning import Selection
from dagster_project.runner import Outcome, bring_up_to_date
from resources.lake import Lake
from resources.study import Study, load_study

SMALL = """
name: small
synthetic: true
stimuli: {manifest: stimuli/videos.csv, media_root: stimuli/media, frames: 2, frame_side_px: 64}
captions: {file: stimuli/captions.csv}
ratings: {file: stimuli/ratings.csv}
triplets: {train: 12000, test: 2000, validation_items: 8, ceiling: {triplets: 40, repeats: 5}, panel: 10, seed: 0}
models:
  - {name: human-category, agent: ratings, scale: category}
  - {name: planted, agent: simulated, file: stimuli/planted.npy, ids: stimuli/planted_ids.txt, temperature: 0.4}
  - {name: scrambled, agent: simulated, file: stimuli/scrambled.npy, ids: stimuli/planted_ids.txt, temperature: 0.4}
embedding: {dimensions: 20, keep: 10, seeds: 2}
brain:
  format: bids
  root: derivatives
  subjects: [sub-01, sub-02]
  atlas: {file: derivatives/atlas.nii.gz, labels: derivatives/atlas.tsv}
encoding: {folds: 6, alphas: {logspace: [-1, 6, 8]}, null: 99}
variance_partition: {sets: [[human-category, planted]]}
rsa: {methods: [pearson, spearman], searchlight: {radius: 2, models: [planted, scrambled]}}
decoding: {models: [planted], null: 49}
"""


@dataclass(frozen=True)
class Finished:
    """A study that has been brought up to date."""

    folder: Path
    outcome: Outcome

    @property
    def study(self) -> Study:
        return load_study(self.folder / "study.yaml")

    @property
    def lake(self) -> Lake:
        return Lake(str(self.folder / "lake"), self.study.name)

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "study.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def run(self, selection: Selection | None = None) -> Outcome:
        return bring_up_to_date(self.study, self.lake, selection or Selection(), Console(quiet=True))


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has been written and not computed."""
    from affectlake.demo import write_demo

    folder = tmp_path_factory.mktemp("written")
    write_demo(folder, n_videos=98, n_subjects=2, n_runs=6)
    (folder / "study.yaml").write_text(SMALL)
    return folder


@pytest.fixture(scope="session")
def finished(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The study after its first run; tests only look at it."""
    folder = tmp_path_factory.mktemp("finished") / "study"
    shutil.copytree(written, folder)
    return Finished(folder, Finished(folder, Outcome()).run())


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Finished:
    """The study after its first run, to be changed."""
    shutil.copytree(finished.folder, tmp_path / "study")
    return Finished(tmp_path / "study", finished.outcome)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
