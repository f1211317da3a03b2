"""The lake in an object store: the same guarantees as in a folder, and refusals that say what is missing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import product

import polars as pl
import pytest

from affectlake.errors import LakeError
from resources.lake import Lake
from tests.resources.test_lake import answers, scores
from tests.servers.s3 import BUCKET, ObjectStore, free_port, serving_s3

WRITERS, ROUNDS, ROWS = 8, 2, 20
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectStore]:
    with serving_s3() as running:
        yield running


@pytest.fixture
def store(server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    for variable, value in server.environment.items():
        monkeypatch.setenv(variable, value)
    return server


def test_partitions_are_replaced_one_at_a_time_and_old_versions_stay(store: ObjectStore) -> None:
    lake = Lake(f"s3://{BUCKET}/versions", "mine")
    for subject in ("s1", "o'neil"):
        lake.overwrite("run_scores", scores(subject, "m"), {"subject": subject, "model": "m"})
    before = lake.version("run_scores")
    lake.overwrite("run_scores", scores("o'neil", "m", r=0.9), {"subject": "o'neil", "model": "m"})
    now, then = (lake.scan("run_scores", version=v).collect() for v in (None, before))
    assert sorted(now["mean_r"].to_list()) == [0.5] * 3 + [0.9] * 3
    assert then["mean_r"].unique().to_list() == [0.5]


def _write(root: str, writer: int) -> None:
    lake = Lake(root, "mine")
    for turn in range(ROUNDS):
        first = ROWS * turn
        assert lake.append("judgments", answers(f"m{writer}", list(range(first, first + ROWS)))) == ROWS
        lake.overwrite("run_scores", scores(f"s{writer}", "m", r=0.1 * turn), {"subject": f"s{writer}", "model": "m"})


def test_eight_processes_that_write_the_same_tables_lose_no_row(store: ObjectStore) -> None:
    root = f"s3://{BUCKET}/parallel"
    writers = [SPAWN.Process(target=_write, args=(root, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    assert [w.exitcode for w in writers] == [0] * WRITERS
    lake = Lake(root, "mine")
    judged = lake.read("judgments").select("model", "triplet_id")
    assert set(judged.rows()) == set(product((f"m{n}" for n in range(WRITERS)), range(ROUNDS * ROWS)))
    assert judged.height == WRITERS * ROUNDS * ROWS
    last = pl.concat(scores(f"s{n}", "m", r=0.1 * (ROUNDS - 1)) for n in range(WRITERS))
    assert lake.read("run_scores").equals(last.sort("subject", "model", "roi", "run"))


def _refusal(address: str = f"s3://{BUCKET}/lake") -> str:
    with pytest.raises(LakeError) as caught:
        Lake(address, "mine").prepare()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_bucket_that_is_not_there_is_named(store: ObjectStore) -> None:
    assert "no bucket 'nowhere'" in _refusal("s3://nowhere/lake")


def test_a_wrong_secret_is_refused_and_printed_nowhere(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-31c9")
    text = _refusal()
    assert "refuses these credentials (SignatureDoesNotMatch)" in text
    assert "AWS_SECRET_ACCESS_KEY" in text
    assert "canary" not in text


def test_a_server_that_does_not_answer_is_named(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    assert f"nothing answers at {address}. Check AWS_ENDPOINT_URL" in _refusal()


def test_an_unencrypted_server_has_to_be_allowed(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    assert "set AWS_ALLOW_HTTP=true" in _refusal()


def test_missing_credentials_are_asked_for(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    # a machine of a cloud has a service that hands out credentials; here there is none
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    assert "no credentials in the environment. Set AWS_ACCESS_KEY_ID" in _refusal()
