"""What is missing, what is stale, and in which runs it is computed. Pure: reads the lake's ledger, launches nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from assets.recipes import RECIPES
from resources.agents.service.batches import open_batches
from resources.lake import Lake
from resources.provenance import Key, Ledger, Recipe, fingerprint, keys, partition_name
from resources.study import Study


class State(StrEnum):
    """Where one partition of one recipe stands."""

    CURRENT = "current"
    STALE = "stale"
    MISSING = "missing"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Selection:
    """What a run was asked to bring up to date.

    Attributes
    ----------
    tables : frozenset of str
        Tables wanted; everything where empty.
    models, subjects : frozenset of str
        Partitions wanted; all where empty.
    """

    tables: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()

    def recipes(self, study: Study) -> list[Recipe]:
        """Recipes to bring up to date, upstream first: those asked for and whatever they are computed from."""
        possible = [r for r in RECIPES if r.applies(study)]
        if not self.tables:
            return possible
        wanted: set[str] = set(self.tables)
        for recipe in reversed(possible):
            if wanted.intersection(recipe.outputs):
                wanted.update(t for key in self.keys(recipe, study) for t in recipe.used(study, key))
        return [r for r in possible if wanted.intersection(r.outputs)]

    def keys(self, recipe: Recipe, study: Study) -> list[dict[str, str]]:
        """Partitions of a recipe that were asked for."""
        return [
            key
            for key in keys(recipe.dimensions, study)
            if (not self.models or key.get("model", next(iter(self.models))) in self.models)
            and (not self.subjects or key.get("subject", next(iter(self.subjects))) in self.subjects)
        ]


@dataclass(frozen=True)
class Batch:
    """What one Dagster run computes: one partition of one or several recipes."""

    recipes: tuple[Recipe, ...]
    key: Key

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables written."""
        return tuple(t for r in self.recipes for t in r.outputs)

    @property
    def name(self) -> str:
        """For a person."""
        what = ", ".join(r.name for r in self.recipes)
        return f"{what} [{partition_name(self.key)}]" if self.key else what


def state(recipe: Recipe, key: Key, study: Study, ledger: Ledger) -> State:
    """Where one partition of one recipe stands."""
    wanted = fingerprint(recipe, key, study, ledger)
    if wanted is None:
        return State.BLOCKED
    have = [ledger.fingerprint(table, key) for table in recipe.outputs]
    if any(h is None for h in have):
        return State.MISSING
    current = all(h == wanted for h in have) or recipe.settled(recipe, study, key, ledger)
    return State.CURRENT if current else State.STALE


def stages(recipes: Sequence[Recipe]) -> Iterator[list[Recipe]]:
    """Neighbouring recipes with the same partitions, which can share runs."""
    for _, group in groupby(recipes, key=lambda r: r.dimensions):
        yield list(group)


def next_batch(stage: Iterable[Recipe], key: Key, study: Study, ledger: Ledger) -> Batch | None:
    """What to compute next of one partition of one stage, or None where it is current or blocked.

    A recipe that was never computed goes into the same run as what it is computed from. One that was computed before
    waits, since its inputs may come out as they were.
    """
    chosen: list[Recipe] = []
    for recipe in stage:
        made = {t for r in chosen for t in r.outputs}
        used = set(recipe.used(study, key))
        new = any(ledger.fingerprint(t, key) is None for t in recipe.outputs)
        if used & made:
            rest_is_there = all(
                t in made or all(ledger.data_version(t, k) is not None for k in recipe.upstream(t, key, study))
                for t in used
            )
            if new and rest_is_there:
                chosen.append(recipe)
        elif state(recipe, key, study, ledger) in (State.STALE, State.MISSING):
            chosen.append(recipe)
    return Batch(tuple(chosen), key) if chosen else None


def survey(study: Study, lake: Lake, selection: Selection | None = None) -> list[tuple[Recipe, Key, State]]:
    """The state of every partition that was asked for; what is computed from something stale is stale."""
    ledger, selection = Ledger(lake), selection or Selection()
    behind: set[tuple[str, str]] = set()
    found = []
    for recipe in Selection().recipes(study):
        for key in keys(recipe.dimensions, study):
            here = state(recipe, key, study, ledger)
            upstream = {(t, partition_name(k)) for t in recipe.used(study, key) for k in recipe.upstream(t, key, study)}
            if here is State.CURRENT and upstream & behind:
                here = State.STALE
            if here is not State.CURRENT:
                behind |= {(t, partition_name(key)) for t in recipe.outputs}
            found.append((recipe, key, here))
    asked = {r.name for r in selection.recipes(study)}
    return [(r, k, s) for r, k, s in found if r.name in asked and k in selection.keys(r, study)]


@dataclass(frozen=True)
class Due:
    """One partition of one recipe that can be computed now, and what it would be computed from."""

    recipe: Recipe
    key: Key
    fingerprint: str

    @property
    def partition(self) -> tuple[str, str]:
        """The first table written and its partition."""
        return self.recipe.name, partition_name(self.key)


def due(study: Study, lake: Lake, failed: Collection[tuple[str, str]] = ()) -> list[Due]:
    """What is missing or stale and does not wait for something upstream that is; upstream first.

    Parameters
    ----------
    study : Study
    lake : Lake
    failed : collection of (str, str)
        Recipes and partitions whose newest attempt failed: nothing waits for them, so that one model without a key
        does not hold up the comparison of all others.
    """
    ledger = Ledger(lake)
    sent = set(open_batches(lake)["model"])
    pending: set[tuple[str, str]] = set()
    found = []
    for recipe in Selection().recipes(study):
        for key in keys(recipe.dimensions, study):
            upstream = {(t, partition_name(k)) for t in recipe.used(study, key) for k in recipe.upstream(t, key, study)}
            waits = bool(upstream & pending)
            behind = state(recipe, key, study, ledger) in (State.STALE, State.MISSING)
            expected = behind and (recipe.name, partition_name(key)) not in failed
            if waits or expected:
                pending |= {(t, partition_name(key)) for t in recipe.outputs}
            # answers to batches are collected by a sensor of their own
            waits = waits or (recipe.may_wait and key.get("model") in sent)
            wanted = fingerprint(recipe, key, study, ledger) if behind and not waits else None
            if wanted is not None:
                found.append(Due(recipe, key, wanted))
    return found
