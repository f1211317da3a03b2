"""Upkeep changes files, never answers; forgetting leaves nothing that would count as computed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import polars as pl
import pytest

from affectlake.tables import TABLES
from resources.lake import Lake
from resources.provenance import Ledger, Stamp, record
from resources.study import Study, load_study
from resources.upkeep import forget, gone, maintain

STUDY = """
name: mine
stimuli: {manifest: videos.csv}
models:
  - {name: kept, agent: features, file: f.npy, ids: ids.txt}
brain: {format: responses, matrix: "{subject}.npy", stimuli: r.csv, voxels: v.csv, subjects: [sub-01]}
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "study.yaml").write_text(STUDY)
    return load_study(tmp_path / "study.yaml")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), "mine")
    lake.prepare()
    return lake


def write(lake: Lake, subject: str, model: str, r: float = 0.5) -> None:
    row = {c.name: _value(c.dtype) for c in TABLES["run_scores"].columns}
    frame = pl.DataFrame([row | {"subject": subject, "model": model, "mean_r": r}], schema=TABLES["run_scores"].schema)
    key = {"subject": subject, "model": model}
    version = lake.overwrite("run_scores", frame, key)
    record(lake, "run_scores", key, Stamp("f", "c", "{}"), f"{r}", 1, version, "run")


def _value(dtype: object) -> object:
    return "x" if dtype == pl.String else 1


def files(lake: Lake, table: str) -> list[Path]:
    return [p for p in Path(lake.root, table).rglob("*.parquet") if "_delta_log" not in p.parts]


def test_many_small_files_become_one_and_every_answer_stays(lake: Lake) -> None:
    for n in range(12):
        write(lake, "sub-01", "kept", n / 100)
    before = {table: lake.read(table) for table in lake.tables()}
    rows = {r["table"]: r for r in maintain(lake, keep_days=30).iter_rows(named=True)}
    assert rows["materializations"]["files_before"] == 12
    assert rows["materializations"]["files_after"] == 1
    for table, frame in before.items():
        assert lake.read(table).equals(frame)


def test_versions_younger_than_the_study_keeps_can_still_be_read_and_older_ones_go(lake: Lake) -> None:
    write(lake, "sub-01", "kept", 0.1)
    first = lake.version("run_scores")
    write(lake, "sub-01", "kept", 0.2)
    maintain(lake, keep_days=30)
    assert lake.scan("run_scores", version=first).collect()["mean_r"].to_list() == pytest.approx([0.1])
    for path in files(lake, "run_scores"):
        os.utime(path, (0, 0))
    orphan = Path(lake.root, "run_scores", "subject=sub-01", "model=kept", "part-killed.parquet")
    orphan.write_bytes(b"half a file")
    os.utime(orphan, (time.time() - 31 * 86400,) * 2)
    removed = {r["table"]: r["files_removed"] for r in maintain(lake, keep_days=30).iter_rows(named=True)}
    assert removed["run_scores"] >= 1
    assert not orphan.exists(), "what a killed writer left behind goes at the same age"
    assert lake.read("run_scores")["mean_r"].to_list() == pytest.approx([0.2])


def test_what_left_the_study_is_named_and_forgotten_with_its_computations(lake: Lake, study: Study) -> None:
    write(lake, "sub-01", "kept")
    write(lake, "sub-01", "gone")
    write(lake, "sub-09", "kept")
    found = gone(lake, study)
    assert found.rows() == [("model", "gone", "run_scores"), ("subject", "sub-09", "run_scores")]
    assert forget(lake, found, purge=False) == 4
    assert lake.read("run_scores").select("subject", "model").rows() == [("sub-01", "kept")]
    ledger = Ledger(lake)
    assert ledger.fingerprint("run_scores", {"subject": "sub-01", "model": "kept"}) == "f"
    assert ledger.fingerprint("run_scores", {"subject": "sub-09", "model": "kept"}) is None
    assert gone(lake, study).is_empty()
    assert len(files(lake, "run_scores")) == 3, "earlier versions still hold the rows"


def test_purging_leaves_nothing_on_disk(lake: Lake, study: Study) -> None:
    write(lake, "sub-01", "kept")
    write(lake, "sub-09", "kept")
    for number in range(25):  # so many that the log was summed up
        write(lake, "sub-09", "kept", 0.123 + number)
    traces = remains(lake, "sub-09")
    assert traces
    forget(lake, gone(lake, study), purge=True)
    assert remains(lake, "sub-09") == []
    assert lake.read("run_scores")["subject"].to_list() == ["sub-01"]
    assert Ledger(lake).fingerprint("run_scores", {"subject": "sub-01", "model": "kept"}) == "f"
    write(lake, "sub-01", "kept", 0.7)
    version = lake.version("run_scores")
    write(lake, "sub-01", "kept", 0.8)
    assert lake.scan("run_scores", version=version).collect()["mean_r"].to_list() == pytest.approx([0.7])


def remains(lake: Lake, name: str) -> list[str]:
    """Files and folders of the lake that name somebody: in their paths, their bytes, or packed in columns."""
    found = []
    for path in Path(lake.root).rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".parquet":
            content = str(pl.read_parquet(path, hive_partitioning=False).to_dicts()).encode()
        if name in str(path) or name.encode() in content:
            found.append(str(path))
    return found
