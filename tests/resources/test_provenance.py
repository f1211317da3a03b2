"""What counts as current: content, settings, files and code decide, nothing else."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from affectlake.tables import VIDEOS
from assets.recipes import RECIPES, RESPONSES
from resources.content import data_version
from resources.lake import Lake
from resources.provenance import Ledger, Recipe, Stamp, _with_imports, fingerprint, record, upstream_keys
from resources.study import Study, load_study
from tests.affectlake._brains import noise, write_events, write_run

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
    recipe, key = named("judgments"), {"model": "a"}
    for table in ("videos", "ratings", "triplets"):
        compute(lake, table, {}, "one")
    first = fingerprint(recipe, key, study, Ledger(lake))
    compute(lake, "ratings", {}, "one")
    assert fingerprint(recipe, key, study, Ledger(lake)) == first
    compute(lake, "ratings", {}, "two")
    assert fingerprint(recipe, key, study, Ledger(lake)) != first


def clips(**columns: object) -> pl.DataFrame:
    row = {**dict.fromkeys(VIDEOS.schema), "video_id": "v", "item": 0, "status": "present", **columns}
    return pl.DataFrame([row], schema=VIDEOS.schema)


def test_what_is_known_of_a_clips_file_makes_its_frames_stale_and_nothing_else(study: Study, lake: Lake) -> None:
    def both() -> tuple[str | None, str | None]:
        ledger = Ledger(lake)
        return fingerprint(named("frames"), {}, study, ledger), fingerprint(RESPONSES, {"subject": "s1"}, study, ledger)

    states = []
    for n, columns in enumerate(({"sha256": "1"}, {"sha256": "2"}, {"sha256": "2", "status": "left"})):
        lake.overwrite("videos", clips(**columns))
        compute(lake, "videos", {}, str(n))
        states.append(both())
    assert states[0][0] != states[1][0]
    assert states[0][1] == states[1][1]
    assert states[1][1] != states[2][1]


def named(name: str) -> Recipe:
    return next(r for r in RECIPES if r.name == name)


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


def test_events_that_lie_beside_the_raw_scans_make_their_subject_stale(lake: Lake, tmp_path: Path) -> None:
    compute(lake, "videos", {}, "one")
    (tmp_path / "study.yaml").write_text(STUDY.replace("s1, s2", "sub-01"))
    study, key = load_study(tmp_path / "study.yaml"), {"subject": "sub-01"}
    write_run(tmp_path / "derivatives", 1, noise(8), None)
    events = tmp_path / "sub-01" / "func" / "sub-01_task-videos_run-1_events.tsv"
    write_events(events, [(0, 4, "v")])
    before = fingerprint(RESPONSES, key, study, Ledger(lake))
    write_events(events, [(0, 4, "v"), (8, 4, "w")])
    assert fingerprint(RESPONSES, key, study, Ledger(lake)) != before


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
        "typed": "if TYPE_CHECKING:\n    from affectlake.spose import Spose\n\n\ndef f(x):\n    return x + 1\n",
        "other": "def f(x):\n    return x + 2\n",
    }
    trees = {}
    for name, text in texts.items():
        (tmp_path / f"module_{name}.py").write_text(text)
        from resources.provenance import _parse

        trees[name] = _parse(f"module_{name}")[0]
    assert trees["plain"] == trees["talkative"] == trees["typed"], "nor is what only a type checker reads"
    assert trees["plain"] != trees["other"]


@pytest.mark.parametrize(
    ("recipe", "modules"),
    [
        ("judgments", {"assets._judging", "resources.agents.text", "affectlake.triplets", "affectlake._plan"}),
        ("embeddings", {"assets._items", "affectlake.judged", "affectlake.scales", "affectlake.spose"}),
        ("responses", {"affectlake.timeseries", "affectlake._bold", "affectlake.formats.bids"}),
        ("encoding_scores", {"affectlake.judged", "affectlake.brainframes", "affectlake._ridge"}),
        ("rsa_scores", {"affectlake.rsa", "affectlake.similarity"}),
    ],
)
def test_whatever_decides_a_result_is_part_of_its_code(recipe: str, modules: set[str]) -> None:
    assert modules <= set(_with_imports(named(recipe).code))


def test_a_list_of_items_is_part_of_what_scores_are_made_from(study: Study, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY + "items: chosen.txt\n")
    chosen = load_study(tmp_path / "study.yaml")
    for name in ("embeddings", "encoding_scores", "rsa_scores"):
        files = named(name).files(chosen, {"model": "a", "subject": "s1"})
        assert (tmp_path / "chosen.txt").resolve() in set(files)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_every_recipe_names_code_that_is_there(recipe: Recipe) -> None:
    assert len(recipe.code_version) == 16


def test_an_unchanged_table_has_an_unchanged_version() -> None:
    assert data_version(VIDEOS, VIDEOS.empty()) == data_version(VIDEOS, pl.concat([VIDEOS.empty(), VIDEOS.empty()]))
