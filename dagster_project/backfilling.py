"""The command ``affectlake backfill``: what is missing or stale as one Dagster backfill, followed to its end.

The backfill is put into the instance, where the daemon of `affectlake ui` launches one run a partition within the
instance's limits. It is the same backfill that the user interface shows and can cancel, and it goes on when the
terminal is closed. (`affectlake run` computes in its own process and needs no daemon.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_project.terminal import err, open_study, out, plain

if TYPE_CHECKING:
    import dagster as dg

    from dagster_project.planning import Selection
    from resources.lake import Lake
    from resources.provenance import Key, Recipe
    from resources.study import Study

LOOK_S = 2.0
"""Seconds between two looks at a backfill."""

FORGOTTEN_S = 120.0
"""Seconds after which a run that Dagster meant to start again is taken for forgotten; it looks every five."""


def backfill_command(
    select: Annotated[list[str] | None, typer.Option(help="Table to bring up to date, with what it needs.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Only this subject.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what is current; nothing upstream.")] = False,
    follow: Annotated[bool, typer.Option(help="Wait for the end and show how far it has come.")] = True,
) -> None:
    """Queue what is missing or stale as a backfill for the daemon; after failures, only those are queued again."""
    import dagster as dg

    from dagster_project.runner import fail_dead_runs, prepare_home, selected

    study, lake = open_study()
    selection = selected(study, select or (), model or (), subject or ())
    with dg.DagsterInstance.from_config(str(prepare_home(study))) as instance:
        fail_dead_runs(instance)
        for stuck in cancel_stuck(instance):
            err.print(
                f"backfill {stuck} waits for a run that Dagster forgot to start again: cancelled", highlight=False
            )
        wanted = chosen(study, lake, selection, again=again)
        if not wanted:
            out.print("nothing to do: everything that was asked for is current")
            return
        backfill = queue(study, instance, wanted)
        out.print(f"backfill {backfill}: {len(wanted)} partitions", highlight=False)
        if follow and not _follow(instance, backfill, len(wanted)):
            raise typer.Exit(1)


def chosen(study: Study, lake: Lake, selection: Selection, *, again: bool = False) -> list[tuple[Recipe, Key]]:
    """Partitions to be computed, upstream first.

    With ``again`` those of the tables asked for whatever their state, without what they are computed from.
    """
    from dagster_project.planning import State, survey

    states = survey(study, lake, selection)
    if again:
        return [(r, k) for r, k, _ in states if not selection.tables or selection.tables.intersection(r.outputs)]
    return [(r, k) for r, k, state in states if state is not State.CURRENT]


def queue(study: Study, instance: dg.DagsterInstance, wanted: list[tuple[Recipe, Key]]) -> str:
    """Put a backfill into the instance; returns its id.

    Raises
    ------
    LakeError
        No daemon is there that would launch its runs.
    """
    import dagster as dg
    from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
    from dagster._core.definitions.events import AssetKeyPartitionKey
    from dagster._core.execution.backfill import PartitionBackfill
    from dagster._core.utils import make_new_backfill_id

    from affectlake.errors import LakeError
    from dagster_project.definitions import build_definitions
    from resources.provenance import partition_name

    if not _daemon(instance):
        raise LakeError(
            "no daemon runs for this instance, so nobody would launch the runs",
            where=instance.root_directory,
            remedy="Start `affectlake ui` in another terminal, or compute here with `affectlake run`.",
        )
    graph = build_definitions(study).resolve_asset_graph()
    partitions = {
        AssetKeyPartitionKey(dg.AssetKey(table), partition_name(key) if key else None)
        for recipe, key in wanted
        for table in recipe.outputs
    }
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=make_new_backfill_id(),
        backfill_timestamp=time.time(),
        tags={"affectlake/started_by": "affectlake backfill"},
        dynamic_partitions_store=instance,
        asset_graph_subset=AssetGraphSubset.from_asset_partition_set(partitions, graph),
        title=f"affectlake backfill of {study.name}",
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return str(backfill.backfill_id)


def cancel_stuck(instance: dg.DagsterInstance) -> list[str]:
    """Cancel the backfills that wait for a run which nobody will start; returns their ids.

    Dagster notes on a killed run that it will start it again, and starts it a moment later. A daemon that is killed in
    between forgets it, and the backfill stays in progress for ever (`tests/resilience/test_stack.py` met it).
    """
    import dagster as dg
    from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
    from dagster._core.storage.tags import WILL_RETRY_TAG

    stuck = []
    for backfill in instance.get_backfills(BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])):
        mine = {"dagster/backfill": backfill.backfill_id}
        if instance.get_run_ids(dg.RunsFilter(tags=mine, statuses=NOT_FINISHED_STATUSES), limit=1):
            continue
        records = instance.get_run_records(dg.RunsFilter(tags=mine))
        runs = [record.dagster_run for record in records]
        started_again = {run.parent_run_id for run in runs}
        forgotten = [run for run in runs if run.tags.get(WILL_RETRY_TAG) == "true" and run.run_id not in started_again]
        if forgotten and time.time() - max(r.update_timestamp.timestamp() for r in records) > FORGOTTEN_S:
            cancelled = backfill.with_status(BulkActionStatus.CANCELING)  # type: ignore[no-untyped-call]
            instance.update_backfill(cancelled)
            stuck.append(backfill.backfill_id)
    return stuck


def _daemon(instance: dg.DagsterInstance) -> bool:
    """Whether the daemon that launches backfills has been heard of lately."""
    from dagster._daemon.controller import get_daemon_statuses
    from dagster._daemon.daemon import BackfillDaemon

    kind = BackfillDaemon.daemon_type()
    return bool(get_daemon_statuses(instance, [kind])[kind].healthy)


def _follow(instance: dg.DagsterInstance, backfill_id: str, n: int) -> bool:
    """Draw how far a backfill has come until it ends; True where all of it was computed."""
    import dagster as dg
    from dagster._core.execution.backfill import BulkActionStatus

    from dagster_project.runner import bars_on

    mine = dg.RunsFilter(tags={"dagster/backfill": backfill_id})
    with bars_on(err) as bars:
        task = bars.add_task("waiting for the daemon", total=n)
        while True:
            cancel_stuck(instance)
            backfill = instance.get_backfill(backfill_id)
            runs = instance.get_runs(mine)
            done = [r for r in runs if r.status is dg.DagsterRunStatus.SUCCESS]
            failed = [r for r in runs if r.status is dg.DagsterRunStatus.FAILURE]
            bars.update(task, completed=_partitions(done), description=f"{len(runs)} runs, {len(failed)} failed")
            if backfill is None or backfill.status in (
                BulkActionStatus.COMPLETED_SUCCESS,
                BulkActionStatus.COMPLETED_FAILED,
                BulkActionStatus.COMPLETED,
                BulkActionStatus.FAILED,
                BulkActionStatus.CANCELED,
            ):
                break
            time.sleep(LOOK_S)
    for run in failed:
        where = f"{', '.join(sorted(k.to_user_string() for k in run.asset_selection or ()))} [{_partition(run)}]"
        err.print(f"[bold red]failed:[/] {plain(where)} (run {run.run_id})", highlight=False)
    good = backfill is not None and backfill.status is BulkActionStatus.COMPLETED_SUCCESS
    if backfill is not None and backfill.error is not None:
        err.print(plain(backfill.error.message.strip()), highlight=False)
    if not good:
        err.print("`affectlake backfill` queues again what is still missing or stale, and nothing else")
    out.print(f"{len(done)} of {len(runs)} runs succeeded", highlight=False)
    return good


def _partition(run: dg.DagsterRun) -> str:
    return run.tags.get("dagster/partition", "-")


def _partitions(runs: Sequence[dg.DagsterRun]) -> int:
    """How many recipes' partitions these runs computed."""
    from assets.recipes import RECIPES

    return sum(any(k.path[-1] == recipe.name for k in run.asset_selection or ()) for run in runs for recipe in RECIPES)
