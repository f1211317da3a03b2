"""Slots of pools that a partition takes, in the instance's own books.

An asset has one pool, whatever its partition. Judgments need others for each model: its endpoint's, so that two
models do not share one endpoint's limits, and its own, since judgments are appended by one writer a model. They are
claimed when the step starts, in the same tables that Dagster keeps its pools in: the user interface shows them under
*Deployment, Concurrency*, `dagster instance concurrency set POOL N` changes them, and the slots of a run that died are
freed with its others.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg
from dagster._core.storage.event_log import EventLogStorage

from resources.study import ServiceModel, Study

_LOOK_AGAIN_S = 0.5
_SAY_AGAIN_S = 60.0


def pools_of(study: Study, model: str) -> tuple[str, ...]:
    """Names of the pools that one model's judgments need: always in this order, so that no two runs wait in a ring."""
    settings = study.model(model)
    own = f"judge-{model}"
    return (own, f"profile-{settings.profile}") if isinstance(settings, ServiceModel) else (own,)


@contextmanager
def slots(context: dg.AssetExecutionContext, pools: Sequence[str]) -> Iterator[None]:
    """Hold one slot of each pool; waits for those that others hold, and says for whom.

    An instance that lives in one process's memory keeps no such books, and has nobody to share with.
    """
    storage = context.instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        yield
        return
    run, step = context.run.run_id, context.op_execution_context.op_handle.name
    try:
        for pool in pools:
            _make_known(storage, pool)
            said = -_SAY_AGAIN_S
            while not storage.claim_concurrency_slot(pool, run, step).is_claimed:
                if time.monotonic() - said > _SAY_AGAIN_S:
                    said = time.monotonic()
                    held = ", ".join(s.run_id for s in storage.get_concurrency_info(pool).claimed_slots)
                    context.log.info(f"waiting for pool {pool}, held by run {held}")
                time.sleep(_LOOK_AGAIN_S)
        yield
    finally:
        storage.free_concurrency_slot_for_step(run, step)


def _make_known(storage: EventLogStorage, pool: str) -> None:
    """Give a pool that nobody has used yet the instance's default limit, or 1 where it has none."""
    if pool not in storage.get_concurrency_keys():
        storage.initialize_concurrency_limit_to_default(pool)
    if pool not in storage.get_concurrency_keys():
        storage.set_concurrency_slots(pool, 1)
