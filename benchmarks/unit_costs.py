"""Measures what one unit of each kind of work costs: what docs/running-at-scale.md extrapolates from.

Every row is one measurement on this machine: what was done, how much of it, seconds a unit, bytes a unit where it
stores something. All data are SYNTHETIC.

    python benchmarks/unit_costs.py
"""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
from deltalake import DeltaTable

from affectlake import encoding, similarity, spose, triplets
from affectlake.tables import JUDGMENTS, MATERIALIZATIONS, TRIPLETS
from resources.lake import Lake

CHUNK, CHUNKS, PLANNED, FITTED, CLIPS, VOXELS, COMMITS, PARTITIONS = (
    10_000,
    100,
    200_000,
    200_000,
    10_000,
    4_096,
    300,
    20,
)
Row = tuple[str, str, float, float | None]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def answers(first: int, rng: np.random.Generator) -> pl.DataFrame:
    items = np.sort(rng.integers(0, CLIPS, (CHUNK, 3)) + np.array([0, CLIPS, 2 * CLIPS]), axis=1).astype(np.int32)
    columns = {
        **dict.fromkeys(JUDGMENTS.schema),
        "model": "m",
        "triplet_id": np.arange(first, first + CHUNK),
        **{name: items[:, k] for k, name in enumerate("abc")},
        "presented": "abc",
        "repeat": 0,
        "odd": items[np.arange(CHUNK), rng.integers(0, 3, CHUNK)],
        **{f"p_{name}": rng.random(CHUNK, dtype=np.float32) for name in "abc"},
        "prompt_version": "v1",
        "stimulus_version": "v1",
        "judged_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return pl.DataFrame(columns, schema_overrides=dict(JUDGMENTS.schema)).select(JUDGMENTS.schema.names())


def size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def judgments(lake: Lake, folder: Path) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    chunks = [answers(n * CHUNK, rng) for n in range(CHUNKS)]
    rows = CHUNK * CHUNKS
    spent = [seconds(lambda c=chunk: lake.append("judgments", c)) for chunk in chunks]  # type: ignore[misc]
    stored = size(folder / "judgments") / rows
    yield (
        "append a judgment, first tenth of the table",
        f"{rows:,} in chunks of {CHUNK:,}",
        sum(spent[:10]) / 10 / CHUNK,
        stored,
    )
    yield (
        "append a judgment, last tenth of the table",
        f"{rows:,} in chunks of {CHUNK:,}",
        sum(spent[-10:]) / 10 / CHUNK,
        None,
    )
    read = seconds(lambda: lake.scan("judgments").select(pl.col("odd").sum()).collect())
    yield "read one column of a judgment", f"{CHUNKS} files", read / rows, None
    yield (
        "read a judgment whole",
        f"{CHUNKS} files",
        seconds(lambda: lake.read("judgments", {"model": "m"})) / rows,
        None,
    )
    DeltaTable(lake.uri("judgments")).optimize.compact()
    read = seconds(lambda: lake.scan("judgments").select(pl.col("odd").sum()).collect())
    yield "read one column of a judgment, compacted", "1 file", read / rows, None


def log(lake: Lake) -> Iterator[Row]:
    """What a table costs that has been committed to often: the ledger gets a commit a partition."""
    row = {
        "table": "t",
        "fingerprint": "f" * 32,
        "data_version": "d" * 32,
        "code_version": "c" * 16,
        "source_versions": "{}",
        "delta_version": 0,
        "rows": 1,
    }

    def commit(n: int) -> None:
        new = {"partition": f"m{n}|s", "run_id": str(uuid.uuid4()), "finished_at": datetime.now(UTC)}
        lake.append("materializations", pl.DataFrame([{**row, **new}], schema=MATERIALIZATIONS.schema))

    spent = [seconds(lambda n=n: commit(n)) for n in range(COMMITS)]  # type: ignore[misc]
    yield "write a computation down, first 30", f"{COMMITS} commits", sum(spent[:30]) / 30, None
    yield "write a computation down, last 30", f"{COMMITS} commits", sum(spent[-30:]) / 30, None
    folder = Path(lake.uri("materializations"))
    yield (
        "read the ledger once",
        f"{COMMITS} commits",
        seconds(lambda: lake.scan("materializations").collect()),
        size(folder / "_delta_log") / COMMITS,
    )
    DeltaTable(lake.uri("materializations")).optimize.compact()
    yield (
        "read the ledger once, compacted",
        f"{COMMITS} commits",
        seconds(lambda: lake.scan("materializations").collect()),
        None,
    )


def spaces() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    items = np.arange(CLIPS, dtype=np.int32)
    spent = seconds(lambda: triplets.plan(items, TRIPLETS.empty(), train=PLANNED))
    yield "plan a triplet", f"{PLANNED:,} of {CLIPS:,} clips", spent / PLANNED, None
    known = triplets.sample(CLIPS, FITTED, seed=0)
    settings = {"dimensions": 50, "l1": 0.005, "seed": 0}
    spose.fit(known[:20_000], CLIPS, **settings)  # compiles
    spent = seconds(lambda: spose.fit(known, CLIPS, **settings))
    yield "fit a triplet, one seed", f"{FITTED:,} of {CLIPS:,} clips, 50 dimensions", spent / FITTED, None
    for n in (1_000, 4_000):
        weights = rng.random((n, 30), dtype=np.float32)
        similarity.predicted_rsm(weights[:50])
        spent = seconds(lambda w=weights: similarity.predicted_rsm(w))  # type: ignore[misc]
        yield "similarity of a pair of clips", f"{n:,} clips, 30 dimensions", spent / n**2, 4.0


def voxels() -> Iterator[Row]:
    rng = np.random.default_rng(0)
    runs = np.repeat(np.arange(12), 180)
    features = rng.standard_normal((runs.size, 30), dtype=np.float32)
    responses = rng.standard_normal((runs.size, VOXELS), dtype=np.float32)
    for null in (0, 100):
        spent = seconds(lambda n=null: encoding.cross_validate(features, responses, runs, null=n))  # type: ignore[misc]
        yield (
            f"encode a voxel, null of {null}",
            f"{VOXELS:,} voxels, {runs.size:,} presentations, 30 features",
            spent / VOXELS,
            None,
        )


def orchestration(folder: Path) -> Iterator[Row]:
    """A Dagster run of this process that computes nothing: what every partition pays."""
    keys = dg.StaticPartitionsDefinition([f"p{n}" for n in range(PARTITIONS)])

    @dg.asset(partitions_def=keys)
    def nothing() -> None:
        return None

    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        job = dg.Definitions(assets=[nothing]).resolve_implicit_global_asset_job_def()
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

        def run(key: str) -> None:
            job.execute_in_process(instance=instance, partition_key=key, run_config=quiet)

        run("p0")
        spent = seconds(lambda: [run(key) for key in keys.get_partition_keys()])
    yield (
        "orchestrate a partition, in process",
        f"{PARTITIONS} runs, SQLite",
        spent / PARTITIONS,
        size(folder) / PARTITIONS,
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "home").mkdir()
        lake = Lake(str(folder / "lake"), "scale")
        parts = (judgments(lake, folder / "lake"), log(lake), spaces(), voxels(), orchestration(folder / "home"))
        print(f"{'what (SYNTHETIC data)':48} {'measured on':52} {'s a unit':>12} {'bytes a unit':>12}")
        for part in parts:
            for what, on, each, stored in part:
                print(f"{what:48} {on:52} {each:12.3g} {'' if stored is None else f'{stored:.0f}':>12}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
