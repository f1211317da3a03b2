"""Ray as the engine: two nodes compute a study's partitions, lose workers and nodes, and the results are the same."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from rich.console import Console

from affectlake.errors import LakeError
from dagster_project.planning import Selection
from dagster_project.ray_engine import CARDS_TAG, NODE_TAG
from dagster_project.runner import PROCESS_TAG, Outcome, bring_up_to_date, prepare_home
from resources.lake import Lake
from resources.provenance import Ledger, dimensions, keys
from resources.study import load_study

from .conftest import Finished
from .test_object_store import JUDGED

ray = pytest.importorskip("ray")
STORE = 80 * 2**20
HERE = "127.0.0.2"
"""An address of this machine that Ray does not take for a name of its network card."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes on loopback, of which the second has what Ray believes to be a graphics card."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {"node_ip_address": HERE, "object_store_memory": STORE, "include_dashboard": False}
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    made = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 1})
    made.carded = made.add_node(num_cpus=1, num_gpus=1, node_ip_address=HERE, object_store_memory=STORE)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def run(folder: Path, cluster: Any, selection: Selection | None = None) -> Outcome:
    study = load_study(folder / "study.yaml")
    lake = Lake(str(folder / "lake"), study.name)
    return bring_up_to_date(study, lake, selection or Selection(), Console(quiet=True), ray_address=cluster.address)


@contextmanager
def instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(prepare_home(load_study(folder / "study.yaml")))) as opened:
        yield opened


def test_partitions_are_computed_in_the_cluster(cluster: Any, tmp_path: Path) -> None:
    from affectlake.demo import write_demo

    write_demo(tmp_path, n_videos=24, n_subjects=1, n_runs=2)
    (tmp_path / "study.yaml").write_text(JUDGED)
    wanted = Selection(frozenset({"judgments"}))
    outcome = run(tmp_path, cluster, wanted)
    assert not outcome.failed
    assert outcome.current == outcome.all
    assert not run(tmp_path, cluster, wanted).computed
    with instance(tmp_path) as opened:
        runs = opened.get_runs()
    assert {r.status for r in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert {r.tags[NODE_TAG] for r in runs} <= {n["NodeID"] for n in ray.nodes()}
    assert str(os.getpid()) not in {r.tags[PROCESS_TAG] for r in runs}


def test_a_cluster_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: mine\nstimuli: {manifest: videos.csv}\n")
    study = load_study(tmp_path / "study.yaml")
    with pytest.raises(LakeError, match=r"no Ray cluster is reached at '127.0.0.2:9' .*ray start --head"):
        bring_up_to_date(
            study, Lake(str(tmp_path / "lake"), "mine"), Selection(), Console(quiet=True), ray_address=f"{HERE}:9"
        )


def _kill_a_worker(folder: Path, killed: list[int], after: str) -> None:
    """Kill -9 the process of the first run of ``after`` that is going on."""
    with instance(folder) as opened:
        while not killed:
            for going_on in opened.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                if dg.AssetKey(after) in (going_on.asset_selection or ()):
                    killed.append(int(going_on.tags[PROCESS_TAG]))
                    os.kill(killed[0], signal.SIGKILL)
                    break
            time.sleep(0.1)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_a_study_survives_the_loss_of_a_worker_and_of_a_node_with_the_same_results(
    cluster: Any, finished: Finished, written: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(written, folder)
    killed: list[int] = []
    with instance(folder):
        killer = threading.Thread(target=_kill_a_worker, args=(folder, killed, "embeddings"), daemon=True)
        killer.start()
    carded = cluster.carded.node_id
    outcome = run(folder, cluster, Selection(frozenset({"embeddings"})))
    killer.join(10)
    assert killed
    assert not outcome.failed

    def lose_the_card() -> None:
        time.sleep(10)
        cluster.remove_node(cluster.carded, allow_graceful=False)

    loser = threading.Thread(target=lose_the_card)
    loser.start()
    outcome = run(folder, cluster)
    loser.join()
    assert not outcome.failed
    assert outcome.current == outcome.all, "what asked for the lost card is computed without one"

    study, ours, theirs = finished.study, Ledger(Lake(str(folder / "lake"), "small")), Ledger(finished.lake)
    for table in ("judgments", "embeddings", "responses", "encoding_scores", "rsa_scores", "comparisons"):
        for key in keys(dimensions(table), study):
            assert ours.data_version(table, key) == theirs.data_version(table, key), (table, key)
    counts = Lake(str(folder / "lake"), "small").read("materializations").group_by("table", "partition").len()
    assert set(counts["len"].to_list()) == {1}
    with instance(folder) as opened:
        learnt = [r for r in opened.get_runs() if dg.AssetKey("embeddings") in (r.asset_selection or ())]
    assert {r.tags[NODE_TAG] for r in learnt} == {carded}
    assert {r.tags[CARDS_TAG] for r in learnt} == {"0"}
    lost = [r for r in learnt if r.tags[PROCESS_TAG] == str(killed[0])]
    assert [r.status for r in lost] == [dg.DagsterRunStatus.FAILURE]
