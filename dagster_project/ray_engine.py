"""Ray as the engine for partitions: each Dagster run is one Ray task, on whatever machine of the cluster has room.

The command that was typed plans, as without Ray; what it would compute in its own process becomes a task. Ray starts a
task again when its worker or its machine is lost, and hands out graphics cards by number. dagster-ray 0.4 was read,
not run: its source submits each step as a Ray *job*, which starts a new interpreter for each, needs Ray's dashboard (20
more packages), fails the step when the job's machine is lost, and asks for cards whether there are any or not.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from affectlake.errors import LakeError
from assets import STAGES
from assets.recipes import RECIPES
from dagster_project.planning import Batch, State, state
from dagster_project.runner import HOST_TAG, PROCESS_TAG, Launcher
from resources.lake import Lake
from resources.provenance import Ledger
from resources.study import Study, load_study

if TYPE_CHECKING:
    from dagster._core.instance.ref import InstanceRef

TASK_TAG, NODE_TAG, CARDS_TAG = "affectlake/ray_task", "affectlake/ray_node", "affectlake/ray_gpus"
CARDS = "gpu"
"""The pool whose slots Ray hands out instead of Dagster."""
_ON_CARDS = frozenset(recipe.name for recipe, _, _, pool in STAGES if pool == CARDS)
_LOOK_S = 5.0
"""How often it is looked whether the cluster still has the card that a task waits for."""
_RETRIES = 5
"""Times that a task is started again after its worker was lost."""


@dataclass(frozen=True)
class Order:
    """What one task computes, in plain values: a worker builds the rest from the study file."""

    study: str
    root: str
    instance: InstanceRef
    recipes: tuple[str, ...]
    key: dict[str, str]


class RayLauncher:
    """Runs batches as tasks of a Ray cluster.

    Parameters
    ----------
    study : Study
        Its file and the files that it names lie at the same place on every machine.
    root : str
        The lake; an object store where the cluster has several machines.
    instance : dg.DagsterInstance
        Where runs are written down; on PostgreSQL where the cluster has several machines.
    address : str
        ``auto`` for the cluster of this machine, or the address of the head node.

    Raises
    ------
    LakeError
        Ray is not installed or not reached, or some machines of the cluster could not see lake or instance.
    """

    def __init__(self, study: Study, root: str, instance: dg.DagsterInstance, address: str) -> None:
        ray = _connect(address)
        self._study, self._root, self._instance = study, root, instance
        self.width = max(1, int(_resources(ray).get("CPU", 1)))
        _check_reach({n["NodeManagerAddress"] for n in ray.nodes() if n["Alive"]}, root, instance)
        self._task = ray.remote(max_retries=_RETRIES, num_cpus=1)(compute)
        self._waiting: set[Any] = set()

    def run(self, batch: Batch) -> dict[str, str]:
        """Run one batch somewhere in the cluster; returns what went wrong, by name."""
        import ray

        order = Order(
            str(self._study.path),
            self._root,
            self._instance.get_ref(),
            tuple(r.name for r in batch.recipes),
            dict(batch.key),
        )
        cards = 1 if _ON_CARDS.intersection(order.recipes) and _resources(ray).get("GPU") else 0
        result = self._task.options(name=batch.name, num_gpus=cards).remote(order)
        self._waiting.add(result)
        try:
            while not ray.wait([result], timeout=_LOOK_S)[0]:
                if cards and not _resources(ray).get("GPU"):
                    result = self._without_cards(result, batch, order)
                    cards = 0
            return dict(ray.get(result))
        except ray.exceptions.TaskCancelledError:
            return {batch.name: "was stopped"}
        except ray.exceptions.RayError as error:
            return {batch.name: " ".join(str(error).split())[:400]}
        finally:
            self._waiting.discard(result)

    def _without_cards(self, result: Any, batch: Batch, order: Order) -> Any:
        """The same order as a task that asks for no card: the cluster lost its last one, and nobody else has one."""
        import ray

        ray.cancel(result, force=True)
        ray.wait([result], timeout=_LOOK_S)
        _fail_lost_attempts(self._instance, result.task_id().hex())
        self._waiting.discard(result)
        again = self._task.options(name=batch.name, num_gpus=0).remote(order)
        self._waiting.add(again)
        return again

    def stop(self) -> None:
        """Give up what is going on."""
        import ray

        for result in tuple(self._waiting):
            ray.cancel(result, force=True)


def compute(order: Order) -> dict[str, str]:
    """What a worker does with an order: the Dagster run of whatever of it is not there yet."""
    study = load_study(Path(order.study))
    ledger = Ledger(Lake(order.root, study.name))
    recipes = tuple(r for r in RECIPES if r.name in order.recipes)
    left = tuple(r for r in recipes if state(r, order.key, study, ledger) is not State.CURRENT)
    if not left:
        return {}
    tags = _tags()
    with dg.DagsterInstance.from_ref(order.instance) as instance:
        _fail_lost_attempts(instance, tags[TASK_TAG])
        launcher = Launcher(study, instance, order.root, without_pools=frozenset({CARDS}))
        launcher.tags = tags
        return launcher.run(Batch(left, order.key))


def _tags() -> dict[str, str]:
    import ray

    here = ray.get_runtime_context()
    return {
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: str(os.getpid()),
        TASK_TAG: here.get_task_id() or "",
        NODE_TAG: here.get_node_id(),
        CARDS_TAG: ",".join(here.get_accelerator_ids().get("GPU", ())),
    }


def _fail_lost_attempts(instance: dg.DagsterInstance, task: str) -> None:
    """Mark the runs of earlier attempts at the same task as failed: their worker is gone."""
    for run in instance.get_runs(dg.RunsFilter(tags={TASK_TAG: task})):
        if not run.is_finished:
            instance.report_run_failed(run, "the Ray worker that computed it was lost")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _resources(ray: Any) -> dict[str, float]:
    """Cores, cards and memory of the machines that are alive."""
    return dict(ray.cluster_resources())


def _connect(address: str) -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise LakeError("Ray is not installed", remedy="Install it with `pip install 'affectlake[ray]'`.") from None
    try:
        if address != "auto":  # Ray itself would try for a minute
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=5).close()
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise LakeError(
            f"no Ray cluster is reached at {address!r} ({' '.join(str(error).split())[:200]})",
            remedy="Start one with `ray start --head`, or give its address with --address.",
        ) from None
    return ray


def _check_reach(machines: set[str], root: str, instance: dg.DagsterInstance) -> None:
    """Refuse a lake or an instance that only this machine sees, where the cluster has others.

    Raises
    ------
    LakeError
        The message says which, and what to use instead.
    """
    if len(machines) < 2:
        return
    if "://" not in root:
        raise LakeError(
            f"the cluster has {len(machines)} machines, but the lake is a folder of this one",
            where=root,
            remedy="Set AFFECTLAKE_LAKE to an object store.",
        )
    if "Sqlite" in type(instance.run_storage).__name__:
        raise LakeError(
            f"the cluster has {len(machines)} machines, but the Dagster instance is a file of this one",
            where=instance.root_directory,
            remedy="Keep it on PostgreSQL: deploy/dagster-postgres.yaml.",
        )
