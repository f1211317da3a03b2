"""Backfills of one partitioned asset, put into an instance without the daemon that would launch them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill


def add_backfill(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, partitions: Sequence[str]) -> str:
    """Queue these partitions; returns the backfill's id."""
    job = PartitionBackfill.from_asset_partitions(
        backfill_id=f"night-{len(instance.get_backfills())}",
        asset_graph=dg.Definitions(assets=[asset]).get_repository_def().asset_graph,
        partition_names=partitions,
        asset_selection=[asset.key],
        backfill_timestamp=time.time(),
        tags={},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(job)
    return str(job.backfill_id)
