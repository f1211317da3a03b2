"""When an asset computes itself: what the lake's fingerprints call for, and nothing else.

Dagster's own conditions look at events of its instance. They ask again for what `affectlake run` computed between two
ticks, never ask for what was missing before the first tick, and forget an update that comes while a run is going on.
The lake knows of every partition what it was made from, so the condition asks the lake. Fill and update are one
question then: a partition is missing, or it would be computed from something else now.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from affectlake.exclusions import WHOLE
from assets.recipes import RECIPES
from dagster_project.planning import Due, due
from resources.io_manager import StudyResource
from resources.lake import Lake
from resources.study import Study, lake_root

_RECIPE_OF = {table: recipe for recipe in RECIPES for table in recipe.outputs}
_SEEN: WeakKeyDictionary[Any, list[Due]] = WeakKeyDictionary()
"""What is due, by the view of one tick: every asset asks the same question."""

Context = dg.AutomationContext[dg.AssetKey]


@dataclass(frozen=True, eq=False)
class Behind(dg.AutomationCondition[dg.AssetKey]):
    """True of a partition that is missing or stale, waits for nothing upstream, and was not asked for as it is now.

    What was asked for is remembered by its fingerprint: a computation that failed is tried again when a file, a setting
    or the code has changed, not at every tick. It must be the last operand of a conjunction, so that what it calls for
    is what is requested.
    """

    study: Study
    root: str = ""

    @property
    def description(self) -> str:
        """For the user interface."""
        return "missing or stale by the lake's fingerprints, with everything upstream up to date"

    async def evaluate(  # type: ignore[override]
        self, context: Context
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Compare the candidates with what the lake says is due."""
        recipe = _RECIPE_OF[context.key.path[-1]]
        wanted = {d.partition[1]: d.fingerprint for d in await self._due(context) if d.recipe is recipe}
        asked: dict[str, str] = json.loads(context.cursor or "{}")
        candidates = _partitions(context.candidate_subset)
        chosen = {p: f for p, f in wanted.items() if p in candidates and asked.get(p) != f}
        cursor = json.dumps({**asked, **chosen}, sort_keys=True)
        return dg.AutomationResult(context, true_subset=_subset(context, set(chosen)), cursor=cursor)

    async def _due(self, context: Context) -> list[Due]:
        view = context.asset_graph_view
        if view not in _SEEN:
            study = StudyResource(path=str(self.study.path)).study
            lake = Lake(self.root or lake_root(study), study.name)
            _SEEN[view] = due(study, lake, await _failed(context))
        return _SEEN[view]


def condition(study: Study, root: str = "") -> dg.AutomationCondition[dg.AssetKey]:
    """The condition of every asset of a study."""
    going_on = dg.AutomationCondition.in_progress() | dg.AutomationCondition.any_deps_in_progress()
    return ~going_on & Behind(study, root)


async def _failed(context: Context) -> set[tuple[str, str]]:
    """Recipes and partitions whose newest attempt failed."""
    view = context.asset_graph_view
    found: set[tuple[str, str]] = set()
    for recipe in RECIPES:
        key = dg.AssetKey(recipe.name)
        if view.asset_graph.has(key):
            subset = await view.compute_execution_failed_subset(key=key, from_subset=view.get_full_subset(key=key))
            found |= {(recipe.name, partition) for partition in _partitions(subset)}
    return found


def _partitions(subset: Any) -> set[str]:
    """The partitions of a subset as the lake names them."""
    if subset.is_partitioned:
        return set(subset.expensively_compute_partition_keys())
    return set() if subset.is_empty else {WHOLE}


def _subset(context: Context, partitions: set[str]) -> Any:
    definition = context.partitions_def
    if definition is not None:
        return context.asset_graph_view.get_subset_from_partition_keys(context.key, definition, partitions)
    return context.candidate_subset if partitions else context.get_empty_subset()
