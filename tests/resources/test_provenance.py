"""What counts as current: content, settings, files and code decide, nothing else."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from affectlake.tables import VIDEOS
from assets.recipes import RECIPES, RESPONSES
from resources.lake import Lake, data_version
from resources.provenance import Ledger, Recipe, Stamp, code_version, fingerprint, record, upstream_keys
from resources.study import Study, load_study

STUDY = """
name: mine
stimuli: {manifest: videos.csv}
ratings: {file: ratings.csv}
models:
  - {name: a, agent: ratings, scale: category}
  - {name: b, agent: ratings, scale: dimension}
brain:
  format: bids
  root: derivatives
  subjects: [s1, s2]
  atlas: {file: atlas.nii, labels: atlas.tsv}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "study.yaml").write_text(STUDY)
    return load_study(tmp_path / "study.yaml")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"), "mine")


def compute(lake: Lake, table: str, key: dict[str, str], content: str) -> None:
    record(lake, table, key, Stamp("f", "c", "{}"), content, 1, 0, "run")


def test_a_partition_depends_on_its_own_model_and_subject_only(study: Study) -> None:
    key = {"model": "a", "subject": "s2"}
    assert upstream_keys("embeddings", key, study) == [{"model": "a"}]
    assert upstream_keys("responses", key, study) == [{"subject": "s2"}]
    assert upstream_keys("videos", key, study) == [{}]
    assert len(upstream_keys("encoding_scores", {}, study)) == 4


def test_nothing_can_be_computed_before_its_inputs(study: Study, lake: Lake) -> None:
    assert fingerprint(RESPONSES, {"subject": "s1"}, study, Ledger(lake)) is None
    compute(lake, "videos", {}, "one")
    assert fingerprint(RESPONSES, {"subject": "s1"}, study, Ledger(lake)) is not None


def test_only_the_content_of_an_input_makes_stale(study: Study, lake: Lake) -> None:
    compute(lake, "videos", {}, "one")
    first = fingerprint(RESPONSES, {"subject": "s1"}, study, Ledger(lake))
    compute(lake, "videos", {}, "one")
    assert fingerprint(RESPONSES, {"subject": "s1"}, study, Ledger(lake)) == first
    compute(lake, "videos", {}, "two")
    assert fingerprint(RESPONSES, {"subject": "s1"}, study, Ledger(lake)) != first


def test_a_changed_file_makes_its_own_subject_stale(study: Study, lake: Lake, tmp_path: Path) -> None:
    compute(lake, "videos", {}, "one")

    def both() -> list[str | None]:
        return [fingerprint(RESPONSES, {"subject": s}, study, Ledger(lake)) for s in ("s1", "s2")]

    before = both()
    scan = tmp_path / "derivatives" / "s1" / "bold.nii"
    scan.parent.mkdir(parents=True)
    scan.write_bytes(b"1")
    after = both()
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_one_models_settings_do_not_make_another_stale(study: Study, lake: Lake, tmp_path: Path) -> None:
    for table in ("videos", "ratings", "triplets"):
        compute(lake, table, {}, "one")
    judgments = next(r for r in RECIPES if r.name == "judgments")
    changed = (tmp_path / "study.yaml").read_text().replace("scale: dimension}", "scale: dimension, train: 5}")
    (tmp_path / "study.yaml").write_text(changed)
    other = load_study(tmp_path / "study.yaml")
    ledger = Ledger(lake)
    assert fingerprint(judgments, {"model": "a"}, study, ledger) == fingerprint(
        judgments, {"model": "a"}, other, ledger
    )
    assert fingerprint(judgments, {"model": "b"}, study, ledger) != fingerprint(
        judgments, {"model": "b"}, other, ledger
    )


def test_the_newest_computation_counts(lake: Lake) -> None:
    compute(lake, "videos", {}, "one")
    compute(lake, "videos", {}, "two")
    assert Ledger(lake).data_version("videos", {}) == "two"


def test_comments_and_docstrings_are_not_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    texts = {
        "plain": "def f(x):\n    return x + 1\n",
        "talkative": '"""Doc."""\n\n\ndef f(x):\n    """Add one."""\n    # why\n    return x + 1\n',
        "other": "def f(x):\n    return x + 2\n",
    }
    trees = {}
    for name, text in texts.items():
        (tmp_path / f"module_{name}.py").write_text(text)
        from resources.provenance import _parse

        trees[name] = _parse(f"module_{name}")[0]
    assert trees["plain"] == trees["talkative"]
    assert trees["plain"] != trees["other"]


def test_code_includes_what_it_imports() -> None:
    assert code_version(("affectlake.encoding",)) != code_version(("affectlake.statistics",))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_every_recipe_names_code_that_is_there(recipe: Recipe) -> None:
    assert len(recipe.code_version) == 16


def test_an_unchanged_table_has_an_unchanged_version() -> None:
    assert data_version(VIDEOS, VIDEOS.empty()) == data_version(VIDEOS, pl.concat([VIDEOS.empty(), VIDEOS.empty()]))
