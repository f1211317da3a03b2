"""Hostile SQL: it reads and writes nothing outside the lake and ends within its limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from affectlake.errors import LakeError
from affectlake.tables import VIDEOS
from resources import query as queries
from resources.lake import Lake
from resources.query import query as query_study
from resources.study import Study

ROOT = Path(__file__).parents[2]
STUDY = Study.model_validate({"name": "mine", "stimuli": {"manifest": "videos.csv"}})
CANARY = "canary-4711"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), "mine")
    row = {**dict.fromkeys(VIDEOS.schema), "video_id": "v", "item": 0, "status": "no_media"}
    lake.overwrite("videos", pl.DataFrame([row], schema=VIDEOS.schema))
    return lake


def query(lake: Lake, statement: str, time_limit_s: float = 30) -> pl.DataFrame:
    return query_study(lake, STUDY, statement, time_limit_s=time_limit_s)


REFUSED = [
    # files, by every reader that there is
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM read_blob('{secret}')",
    "SELECT * FROM read_csv('{secret}')",
    "SELECT * FROM read_csv_auto('{secret}')",
    "SELECT * FROM sniff_csv('{secret}')",
    "SELECT * FROM read_json('{secret}')",
    "SELECT * FROM read_json_auto('{secret}')",
    "SELECT * FROM read_ndjson_objects('{secret}')",
    "SELECT * FROM read_parquet('{secret}')",
    "SELECT * FROM parquet_scan('{secret}')",
    "SELECT * FROM parquet_metadata('{secret}')",
    "SELECT * FROM parquet_schema('{secret}')",
    "SELECT * FROM '{secret}'",
    "FROM '{folder}/*.csv'",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM videos, read_text('{secret}')",
    "SELECT (SELECT content FROM read_text('{secret}'))",
    "WITH x AS (SELECT * FROM read_text('{secret}')) SELECT * FROM x",
    "SELECT * FROM query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM query_table('{secret}')",
    "SELECT * FROM delta_scan('{folder}')",
    "SELECT * FROM sqlite_scan('{secret}', 't')",
    # networks
    "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    "SELECT * FROM 'https://example.org/x.parquet'",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    # writing
    "COPY (SELECT 1) TO '{target}'",
    "COPY videos TO '{target}' (FORMAT parquet)",
    "COPY videos FROM '{secret}'",
    "EXPORT DATABASE '{target}'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{target}' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH memory",
    "USE other",
    "CREATE TABLE t AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE MACRO f(x) AS x",
    "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "CREATE TEMP TABLE t AS SELECT 1",
    "INSERT INTO videos VALUES (1)",
    "UPDATE videos SET item = 1",
    "DELETE FROM videos",
    "TRUNCATE videos",
    "DROP TABLE videos",
    "ALTER TABLE videos ADD COLUMN x INTEGER",
    "WITH x AS (DELETE FROM videos RETURNING *) SELECT * FROM x",
    # extensions and settings
    "INSTALL httpfs",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:9'",
    "LOAD httpfs",
    "LOAD '{target}'",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET GLOBAL memory_limit = '1TB'",
    "SET VARIABLE x = 1",
    "RESET memory_limit",
    "PRAGMA database_list",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA memory_limit = '1TB'",
    "CALL enable_logging('QueryLog', storage = 'file', storage_path = '{target}')",
    "SELECT * FROM enable_logging('QueryLog')",
    "CHECKPOINT",
    "VACUUM",
    # the world outside
    "SELECT getenv('HOME')",
    "SELECT * FROM os_environ",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM which_secret('s3://x', 's3')",
    "SELECT * FROM duckdb_extensions()",
    "SELECT current_setting('s3_secret_access_key')",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM pandas_scan(140000000000000)",
    "SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 't')",
    # several statements, and none
    "SELECT 1; SELECT 2",
    "SELECT 1; COPY (SELECT 1) TO '{target}'",
    "SELECT 1; SET enable_external_access = true; SELECT * FROM read_text('{secret}')",
    "BEGIN; SELECT 1; COMMIT",
    "PREPARE p AS SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "PIVOT videos ON status USING count(*)",
    "not sql at all",
    "-- nothing",
    "",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_it_reads_and_writes_nothing_outside(lake: Lake, tmp_path: Path, statement: str) -> None:
    secret, target = tmp_path / "secret.csv", tmp_path / "target"
    secret.write_text(f"{CANARY}\n")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LakeError) as caught:
        query(lake, statement.format(secret=secret, target=target, folder=tmp_path))
    assert "\n" not in str(caught.value)
    assert CANARY not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_variables_of_the_calling_program_are_no_tables(lake: Lake) -> None:
    mine = pl.DataFrame({"x": [1]})
    arrow = mine.to_arrow()
    for name in ("mine", "arrow", "lake", "STUDY", "REFUSED", "connection", "delta", "os"):
        with pytest.raises(LakeError):
            query(lake, f"SELECT * FROM {name}")
    assert arrow.num_rows == mine.height


ENDLESS = [
    "SELECT count(*) FROM range(100000000000) a, range(100000000000) b WHERE a.range + b.range = 7",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT sum(sqrt(range)) FROM range(100000000000000)",
    "SELECT count(*) FROM videos a, range(1000000000) b, range(10000000) c WHERE b.range = c.range + random() + a.item",
]


@pytest.mark.parametrize("statement", ENDLESS)
def test_what_never_ends_is_stopped(lake: Lake, statement: str) -> None:
    begin = time.monotonic()
    with pytest.raises(LakeError, match=r"took longer|Out of Memory"):
        query(lake, statement, time_limit_s=0.5)
    assert time.monotonic() - begin < 5


def test_an_answer_without_end_is_refused_before_it_fills_the_memory(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "ANSWER_LIMIT", 10**7)
    with pytest.raises(LakeError, match="answer is larger"):
        query(lake, "SELECT range FROM range(10000000000)")


HUNGRY = [
    "SELECT length(repeat('x', 30000000000))",
    "SELECT range(3000000000)",
    "WITH RECURSIVE t(x) AS (SELECT 'a' UNION ALL SELECT x || x FROM t) SELECT length(max(x)) FROM t",
    "SELECT list(range) FROM range(5000000000)",
]


@pytest.mark.parametrize("statement", HUNGRY)
@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not count a process's memory")
def test_the_command_takes_no_more_memory_than_it_may(tmp_path: Path, statement: str) -> None:
    (tmp_path / "study.yaml").write_text("name: mine\nstimuli: {manifest: videos.csv}\n")
    code = (
        "from pathlib import Path; from resources import query, limits;"
        "query.MEMORY_BYTES = limits.HEADROOM = 3 * 10**8;"
        "from dagster_project.cli import main\n"
        "try: main()\n"
        # not getrusage: its peak counts what this process was before exec, a copy of the tests' own memory
        "finally: print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    environment = {**os.environ, "AFFECTLAKE_STUDY": str(tmp_path / "study.yaml")}
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, "query", statement],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error:")
    assert int(done.stdout.split()[-1]) < 1_000_000, "kB"
    assert time.monotonic() - begin < 60


def test_a_statement_that_cannot_be_interrupted_ends_with_its_process() -> None:
    code = (
        "import time; from resources.limits import confine;"
        "confine(2**33, 0.2, lambda: print('overdue', flush=True)); time.sleep(60)"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "overdue\n")
    assert time.monotonic() - begin < 30
