"""A PostgreSQL server of its own for a test: its cluster in a temporary folder, on loopback, not run by root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.s3 import free_port

PASSWORD = "canary-5e1d"  # noqa: S105 - of a server that lives as long as its test
MISSING = "PostgreSQL is not installed: `make services` installs it"


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    return next((f for f in [*([Path(on_path).parent] if on_path else []), *folders] if (f / "pg_ctl").exists()), None)


@contextmanager
def serving_postgres() -> Iterator[dict[str, str]]:
    """Yield the environment that names an empty database, as ``deploy/dagster-postgres.yaml`` reads it."""
    found = programs()
    assert found is not None, MISSING
    folder, port = Path(tempfile.mkdtemp(prefix="pg-")), free_port()
    nobody = _not_root(folder)
    (folder / "password").write_text(PASSWORD)
    data = str(folder / "data")
    try:
        _run(
            found / "initdb",
            "-D",
            data,
            "-U",
            "dagster",
            "-A",
            "scram-sha-256",
            f"--pwfile={folder / 'password'}",
            **nobody,
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        _run(
            found / "pg_ctl", "-D", data, "-w", "-t", "60", "-l", str(folder / "log"), "-o", options, "start", **nobody
        )
        yield {
            "DAGSTER_PG_HOST": "127.0.0.1",
            "DAGSTER_PG_PORT": str(port),
            "DAGSTER_PG_USER": "dagster",
            "DAGSTER_PG_PASSWORD": PASSWORD,
            "DAGSTER_PG_DB": "postgres",
        }
    finally:
        subprocess.run(
            [found / "pg_ctl", "-D", data, "-m", "immediate", "stop"], check=False, capture_output=True, **nobody
        )
        shutil.rmtree(folder, ignore_errors=True)


def _not_root(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: who runs it instead, and owns the folder."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "cwd": folder}


def _run(*command: Any, **how: Any) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **how)
    assert done.returncode == 0, done.stderr + done.stdout
