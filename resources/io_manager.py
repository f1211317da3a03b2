"""The study and the lake as Dagster sees them: two resources and the IO manager over the lake."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from affectlake.errors import LakeError
from affectlake.exclusions import Exclusions
from affectlake.tables import TABLES, Table
from resources.content import data_version
from resources.lake import Lake
from resources.provenance import Key, Stamp, partition_name, record
from resources.study import Study, lake_root, load_study

PREVIEW_ROWS = 10
_PREVIEW_CHARACTERS = 60


class StudyResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The study file."""

    path: str

    @property
    def study(self) -> Study:
        """The settings, read again when the file has changed."""
        path = Path(self.path)
        return _load(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _load(path: Path, mtime_ns: int) -> Study:
    return load_study(path)


class LakeResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The study's lake. ``root`` is empty for the usual place: AFFECTLAKE_LAKE, else ``lake`` beside the study file."""

    study: StudyResource
    root: str = ""

    @property
    def lake(self) -> Lake:
        """The tables."""
        study = self.study.study
        return Lake(self.root or lake_root(study), study.name)


@dataclass(frozen=True)
class Computed:
    """What an asset hands to the IO manager: the rows and what they were made from."""

    frame: pl.DataFrame
    made_from: Stamp
    content: str
    exclusions: Exclusions | None = None

    @classmethod
    def of(cls, table: str, frame: pl.DataFrame, made_from: Stamp, exclusions: Exclusions | None = None) -> Computed:
        """Check ``frame`` against the contract of ``table`` and take the hash of its content."""
        contract = TABLES[table]
        frame = contract.validate(frame)
        return cls(frame, made_from, data_version(contract, frame), exclusions)


class LakeIOManager(dg.ConfigurableIOManager):
    """Writes exactly the partition that it was asked to, and hands downstream lazy frames pruned to what it needs."""

    lake_resource: LakeResource

    def handle_output(self, context: dg.OutputContext, obj: Computed) -> None:
        """Overwrite the partition and write down what it was computed from."""
        lake, table = self.lake_resource.lake, context.asset_key.path[-1]
        lake.prepare()
        key = partition_key(context)
        version = lake.overwrite(table, obj.frame, key, run_id=context.run_id)
        if obj.exclusions is not None:
            write_exclusions(lake, table, key, obj.exclusions, context.run_id)
        record(lake, table, key, obj.made_from, obj.content, obj.frame.height, version, context.run_id)
        rows = obj.frame.height
        context.add_output_metadata(
            written(lake, table, rows, obj.frame.head(PREVIEW_ROWS), version, partitioned=bool(key))
        )

    def load_input(self, context: dg.InputContext) -> pl.LazyFrame:
        """Scan the upstream table, pruned to the partitions that the asset's partition needs."""
        lake, table = self.lake_resource.lake, context.asset_key.path[-1]
        frame = lake.scan(table)
        if not context.has_asset_partitions:
            return frame
        definition = context.asset_partitions_def
        if isinstance(definition, dg.MultiPartitionsDefinition):
            wanted = [_dimensions(definition, k) for k in context.asset_partition_keys]
        else:
            column = TABLES[table].partition_by[0]
            wanted = [{column: k} for k in context.asset_partition_keys]
        if not wanted:
            return frame.clear()
        for column in wanted[0]:
            frame = frame.filter(pl.col(column).is_in(sorted({w[column] for w in wanted})))
        return frame


def write_exclusions(lake: Lake, table: str, key: Key, exclusions: Exclusions, run_id: str) -> None:
    """Replace what an earlier computation of the partition left out by what this one did."""
    partition = {"stage": table, "partition": partition_name(key)}
    frame = exclusions.frame(table, partition["partition"])
    if frame.height or lake.scan("exclusions", partition).head(1).collect().height:
        lake.overwrite("exclusions", frame, partition, run_id=run_id)


def partition_key(context: dg.OutputContext | dg.AssetExecutionContext) -> dict[str, str]:
    """The one partition that is being computed, as ``{dimension: value}``.

    Raises
    ------
    LakeError
        Several partitions at once: each is computed in a run of its own.
    """
    if not context.has_partition_key:
        return {}
    asset = context.asset_key if isinstance(context, dg.OutputContext) else context.assets_def.keys.copy().pop()
    definition = (
        context.asset_partitions_def if isinstance(context, dg.OutputContext) else context.assets_def.partitions_def
    )
    if isinstance(definition, dg.MultiPartitionsDefinition):
        return _dimensions(definition, context.partition_key)
    columns = [c for c in TABLES[asset.path[-1]].partition_by if c in ("model", "subject")]
    if len(columns) != 1:
        raise LakeError(f"{asset.to_user_string()} has no partition dimension, but the run names a partition")
    return {columns[0]: context.partition_key}


def _dimensions(definition: dg.MultiPartitionsDefinition, key: str) -> dict[str, str]:
    return dict(definition.get_partition_key_from_str(str(key)).keys_by_dimension)


def written(
    lake: Lake, table: str, rows: int, first: pl.DataFrame, version: int, *, partitioned: bool
) -> dict[str, Any]:
    """What the user interface shows of a write: counts, version, address, columns and the first rows."""
    contract = TABLES[table]
    return {
        "dagster/partition_row_count" if partitioned else "dagster/row_count": rows,
        "dagster/uri": dg.MetadataValue.path(lake.uri(table)),
        "dagster/table_name": f"{lake.study}.{table}",
        "dagster/column_schema": column_schema(contract),
        "delta_version": version,
        "preview": preview(first.drop("code_version", "source_versions", strict=False)),
    }


def column_schema(contract: Table) -> dg.TableSchema:
    """The contract as the user interface shows it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                c.name,
                str(c.dtype),
                description=c.doc,
                constraints=dg.TableColumnConstraints(nullable=c.nullable, unique=contract.key == (c.name,)),
            )
            for c in contract.columns
        ]
    )


def preview(frame: pl.DataFrame) -> dg.MetadataValue | dg.TableMetadataValue:
    """The first rows as a table; shown as text by the user interface, never as markup."""
    records = [dg.TableRecord({k: _cell(v) for k, v in row.items()}) for row in frame.iter_rows(named=True)]
    schema = dg.TableSchema(columns=[dg.TableColumn(name, "string") for name in frame.columns])
    return dg.MetadataValue.table(records=records, schema=schema)


def _cell(value: object) -> str | int | float | bool:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    text = "" if value is None else str(value)
    return text if len(text) <= _PREVIEW_CHARACTERS else text[: _PREVIEW_CHARACTERS - 1] + "…"
