"""Slots: who shares an endpoint waits for each other, in the instance's own books, and a dead run's slots come free."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from dagster_project.definitions import build_definitions
from resources.pools import pools_of, slots
from resources.study import Study, load_study

INSTANCE = Path(__file__).parents[2] / "dagster_project" / "dagster.yaml"
STUDY = """
name: pooled
stimuli: {manifest: videos.csv}
captions: {file: captions.csv}
profiles:
  here: {base_url: "http://127.0.0.1:9/v1", key_env: NO_SUCH_KEY}
  there: {base_url: "http://127.0.0.1:9/v1", key_env: NO_SUCH_KEY}
models:
  - {name: one, agent: openai, profile: here, model: gpt-6-luna}
  - {name: two, agent: openai, profile: here, model: gpt-6-terra}
  - {name: three, agent: openai, profile: there, model: gpt-6-luna}
  - {name: local, agent: text}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "study.yaml").write_text(STUDY)
    return load_study(tmp_path / "study.yaml")


def test_models_of_one_endpoint_take_turns_and_another_endpoint_does_not_wait(study: Study, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(INSTANCE.read_text())
    others: dict[str, bool] = {}

    with dg.DagsterInstance.from_config(str(home)) as instance:
        books = instance.event_log_storage

        @dg.asset
        def judged_by_one(context: dg.AssetExecutionContext) -> None:
            with slots(context, pools_of(study, "one")):
                for model in ("two", "three", "local"):
                    pools = pools_of(study, model)
                    for pool in pools:
                        books.initialize_concurrency_limit_to_default(pool)
                    claims = [books.claim_concurrency_slot(pool, f"run-of-{model}", "step") for pool in pools]
                    others[model] = all(claim.is_claimed for claim in claims)
                    books.free_concurrency_slots_for_run(f"run-of-{model}")

        assert dg.materialize([judged_by_one], instance=instance).success
        held = [s for pool in books.get_concurrency_keys() for s in books.get_concurrency_info(pool).claimed_slots]
    assert others == {"two": False, "three": True, "local": True}
    assert held == [], "every slot was given back"


def test_a_judges_own_pool_comes_first_so_that_no_two_runs_wait_for_each_other(study: Study) -> None:
    assert pools_of(study, "one") == ("judge-one", "profile-here")
    assert pools_of(study, "local") == ("judge-local",)


def test_training_and_encoding_share_the_card_and_the_shipped_limits_give_each_pool_one_slot(
    study: Study, tmp_path: Path
) -> None:
    path = tmp_path / "study.yaml"
    brain = "brain: {format: responses, matrix: m.npy, stimuli: s.csv, voxels: v.csv, subjects: [sub-01]}\n"
    path.write_text(path.read_text() + brain)
    assets = build_definitions(load_study(path)).assets or ()
    pools = {k.path[-1]: a.op.pool for a in assets if isinstance(a, dg.AssetsDefinition) for k in a.keys}
    on_the_card = {name for name, pool in pools.items() if pool == "gpu"}
    spaces = {"embeddings", "dimensions", "embedding_quality", "embedding_curves", "embedding_runs"}
    assert on_the_card == spaces | {"encoding_scores", "run_scores", "voxel_scores"}
    limits = yaml.safe_load(INSTANCE.read_text())["concurrency"]
    assert limits["pools"] == {"default_limit": 1, "granularity": "op"}
    assert limits["runs"]["max_concurrent_runs"] == 2
