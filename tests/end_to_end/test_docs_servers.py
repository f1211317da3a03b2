"""The commands of the pages that need daemons, servers and clusters: each is typed as it stands, against one of ours.

Long: every one of these servers takes its time to start. What each of them bears is held by tests of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest

from tests.docs.pages import ROOT, blocks
from tests.servers.postgres import MISSING, programs, serving_postgres
from tests.servers.processes import going_on
from tests.servers.s3 import BUCKET, free_port, serving_s3
from tests.servers.ui import Served, serving_ui, wait

from .conftest import Finished
from .test_object_store import JUDGED

pytestmark = pytest.mark.long
BINARIES = Path(sys.executable).parent
COMMANDS = ("affectlake", "dagster", "pip", "cp", "ray", "export", "AFFECTLAKE_STUDY=")
HERE = "127.0.0.2"
"""An address of this machine that Ray does not take for a name of its network card."""


def lines(page: str) -> list[str]:
    """The commands of a page, without what is said beside them."""
    texts = (b.text for b in blocks(ROOT / "docs" / page) if b.language == "text")
    every = [re.sub(r"\s+#.*", "", line) for text in texts for line in text.splitlines()]
    return [line for line in every if line.startswith(COMMANDS)]


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AFFECTLAKE_", "DAGSTER_", "AWS_", "RAY_"))}
    path = f"{BINARIES}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "AFFECTLAKE_STUDY": str(folder / "study.yaml"), **more}


def typed(command: str, where: dict[str, str], seconds: float = 500) -> str:
    """Type a command into a shell; what it says."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=where, capture_output=True, text=True, check=False, timeout=seconds
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def judged(folder: Path) -> Path:
    from affectlake.demo import write_demo

    write_demo(folder, n_videos=24, n_subjects=1, n_runs=2)
    (folder / "study.yaml").write_text(JUDGED)
    return folder


def test_the_page_on_automation(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "study")
    study = Finished(tmp_path / "study", finished.outcome)
    backfills = [line for line in lines("automation.md") if line.startswith("affectlake backfill")]
    limit, looking = (line for line in lines("automation.md") if line not in backfills)
    place = environment(study.folder)
    home = str(study.folder / ".dagster")
    study.edit("null: 99", "null: 19")
    with serving_ui(study.folder / "study.yaml"):
        said = [typed(line, place) for line in backfills]
    n = {line: int(found[1]) for line, text in zip(backfills, said, strict=True) if (found := _counted(text))}
    assert n[backfills[0]] >= 6, "three models of two subjects are scored again"
    assert "nothing to do" in said[1]
    assert n[backfills[2]] == 6, "what is current is computed as well"
    assert "nothing to do" in said[3]
    typed(limit, {**place, "DAGSTER_HOME": home})
    with dg.DagsterInstance.from_config(home) as instance:
        assert instance.event_log_storage.get_concurrency_info("profile-local").slot_count == 3
    with going_on(["bash", "-c", f"exec {looking}"], place):
        shown = Served(int(re.findall(r"--port (\d+)", looking)[0]))
        allowed = wait(120, lambda: shown.ask("{permissions{permission value}}"))["permissions"]
        assert allowed
        assert not [p["permission"] for p in allowed if p["value"]], "a read-only server lets nobody start anything"
        assert shown.ask("{assetNodes{id}}")["assetNodes"]


def _counted(text: str) -> re.Match[str] | None:
    return re.search(r"^backfill \w+: (\d+) partitions", text, re.M)


def test_the_page_on_scale_object_store(tmp_path: Path) -> None:
    store, _, run, *_ = lines("running-at-scale.md")
    assert run == "affectlake run"
    place = environment(judged(tmp_path))
    with serving_s3() as server:
        exported = store.replace("s3://lab/", f"s3://{BUCKET}/")
        said = typed(f"{exported}\n{run} --select judgments", {**place, **server.environment})
        assert re.search(r"; (\d+) of \1 partitions are current", said)
        assert not (tmp_path / "lake").exists()
        again = typed(f"{exported}\n{run} --select judgments", {**place, **server.environment})
        assert re.search(r"^0 runs", again, re.M)


@pytest.mark.skipif(programs() is None, reason=MISSING)
def test_the_page_on_scale_postgresql_and_a_code_server(tmp_path: Path) -> None:
    every = lines("running-at-scale.md")
    copy, serve = (next(line for line in every if word in line) for word in ("deploy/dagster-postgres", "api grpc"))
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    place = environment(judged(tmp_path), DAGSTER_HOME=str(home))
    with serving_postgres() as database:
        place |= database
        named = {f"${name}" for name in database} | set(re.findall(r"DAGSTER_PG_\w+", " ".join(every)))
        assert {name.lstrip("$") for name in named} == set(database), "the page names what the file reads"
        typed(copy, place)
        typed("affectlake run --select videos", place)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in database.items():
                patch.setenv(name, value)
            with dg.DagsterInstance.from_config(str(home)) as instance:
                assert "Postgres" in type(instance.run_storage).__name__
                assert len(instance.get_runs()) == 1
        here = serve.replace("/studies/one/study.yaml", place["AFFECTLAKE_STUDY"]).replace("-p 4001", f"-p {port}")
        assert here != serve
        with going_on(["bash", "-c", f"exec env {here}"], place):
            ping = f"dagster api grpc-health-check -p {port} -h 127.0.0.1"
            typed(f"for i in $(seq 60); do {ping} && exit 0; sleep 1; done; exit 1", place)


def test_the_page_on_scale_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    every = lines("running-at-scale.md")
    head, node = (line for line in every if line.startswith("ray start"))
    run = next(line for line in every if "--engine ray" in line)
    port = str(free_port())

    def ours(line: str) -> str:
        assert "6379" in line
        return line.replace("HEAD", HERE).replace("6379", port)

    sparing = f"--node-ip-address {HERE} --object-store-memory {80 * 2**20} --num-cpus 1 --disable-usage-stats"
    place = environment(judged(tmp_path), RAY_TMPDIR=f"/tmp/ray-{port}")  # noqa: S108 - a socket's path has to be short
    try:
        typed(f"{ours(head)} {sparing} --include-dashboard false", place)
        typed(f"{ours(node)} {sparing}", place)
        assert re.search(r"; (\d+) of \1 partitions are current", typed(f"{ours(run)} --select judgments", place))
    finally:
        subprocess.run([BINARIES / "ray", "stop", "--force"], env=place, capture_output=True, check=False)
        shutil.rmtree(place["RAY_TMPDIR"], ignore_errors=True)


def test_extras_that_pages_install_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = [line for line in lines("running-at-scale.md") if line.startswith("pip")]
    assert installed
    assert {name for line in installed for name in re.findall(r"affectlake\[(\w+)\]", line)} <= set(extras)


def test_no_command_of_these_pages_is_left_out() -> None:
    assert len(lines("automation.md")) == 6
    kinds = [line.split()[0] for line in lines("running-at-scale.md")]
    assert kinds == [
        *("export", "export", "affectlake"),
        *("pip", "cp", "export"),
        "AFFECTLAKE_STUDY=/studies/one/study.yaml",
        *("pip", "ray", "ray", "affectlake"),
    ]
