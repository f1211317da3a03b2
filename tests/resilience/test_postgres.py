"""The Dagster instance on a PostgreSQL server, shared by code servers of several labs: the shipped settings hold."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from tests.resilience.location import PARTITIONS, TABLE, run_scores
from tests.resilience.scene import ALL, ROOT, Scene, kill
from tests.servers.postgres import MISSING, PASSWORD, programs, serving_postgres
from tests.servers.s3 import free_port, wait_for

pytest.importorskip("dagster_postgres")
pytestmark = pytest.mark.skipif(programs() is None, reason=MISSING)
LABS = ("one", "two")
EACH = ALL[:2]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The shipped instance file, with a server behind it."""
    with serving_postgres() as database:
        for variable, value in database.items():
            monkeypatch.setenv(variable, value)
        shipped = yaml.safe_load((ROOT / "deploy" / "dagster-postgres.yaml").read_text(encoding="utf-8"))
        del shipped["telemetry"]
        yield yaml.safe_dump(shipped)


def _backfill(lab: str) -> PartitionBackfill:
    key = dg.AssetKey([lab, TABLE])
    asset = dg.asset(key=key, partitions_def=PARTITIONS)(run_scores.op.compute_fn.decorated_fn)
    graph = dg.Definitions(assets=[asset]).get_repository_def().asset_graph
    return PartitionBackfill.from_asset_partitions(
        backfill_id=lab,
        asset_graph=graph,
        partition_names=EACH,
        asset_selection=[key],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=None,  # type: ignore[arg-type]
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )


def test_two_code_servers_and_one_daemon_share_an_instance_on_postgresql(settings: str, tmp_path: Path) -> None:
    shared = Scene.new(tmp_path / "shared", settings)
    ports = {lab: free_port() for lab in LABS}
    scenes = {lab: Scene.new(tmp_path / lab) for lab in LABS}
    with ExitStack() as end:
        for lab, port in ports.items():
            words = ("-m", "dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port))
            places = {"RESILIENCE_LAB": lab, "DAGSTER_HOME": shared.environment["DAGSTER_HOME"]}
            server = _start(scenes[lab], (*words, "-m", "tests.resilience.location"), places)
            end.callback(kill, server)
            wait_for(port, server, 120)
        servers = [{"grpc_server": {"host": "127.0.0.1", "port": p, "location_name": lab}} for lab, p in ports.items()]
        (shared.folder / "workspace.yaml").write_text(yaml.safe_dump({"load_from": servers}))
        workspace = str(shared.folder / "workspace.yaml")
        end.callback(kill, shared.start("-m", "dagster._daemon", "run", "-w", workspace, log="daemon"))
        with dg.DagsterInstance.from_config(str(shared.folder / "home")) as instance:
            assert "Postgres" in type(instance.run_storage).__name__
            for lab in LABS:
                instance.add_backfill(_backfill(lab))
            until = time.monotonic() + 240
            while time.monotonic() < until and any(
                instance.get_backfill(lab).status is BulkActionStatus.REQUESTED for lab in LABS
            ):
                time.sleep(0.5)
            assert {instance.get_backfill(lab).status for lab in LABS} == {BulkActionStatus.COMPLETED_SUCCESS}
            assert len(instance.get_runs()) == len(LABS) * len(EACH)
    for scene in scenes.values():
        assert scene.nothing_is_half_written() == len(EACH)
        assert set(scene.recorded().values()) == {1}
    holding = [p for p in tmp_path.rglob("*") if p.is_file() and PASSWORD.encode() in p.read_bytes()]
    assert holding == [], "the database's password was written down"


def _start(scene: Scene, words: tuple[str, ...], places: dict[str, str]) -> subprocess.Popen[bytes]:
    with (scene.folder / "code.log").open("ab") as log:
        environment = {**scene.environment, **places}
        return subprocess.Popen(
            [sys.executable, *words], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
        )
