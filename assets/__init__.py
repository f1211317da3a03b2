"""The asset definitions, one module a stage. Thin: read, call affectlake, return.

The functions are plain, so that a test can call them; :func:`build_assets` binds them to a study's partitions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any

import dagster as dg

from assets import (
    brain,
    ceilings,
    comparisons,
    decoding,
    dimension_graph,
    embeddings,
    encoding,
    judgments,
    recipes,
    report,
    similarity,
    stimuli,
    triplets,
    variance,
)
from assets._checks import specs
from assets._retried import unless_done
from assets._work import options, outs, partitions
from resources.provenance import Recipe, dimensions
from resources.study import Study

Function = Callable[..., Any]

STAGES: tuple[tuple[Recipe, str, Function, str | None], ...] = (
    (recipes.VIDEOS, "stimuli", stimuli.videos, None),
    (recipes.CAPTIONS, "stimuli", stimuli.captions, None),
    (recipes.RATINGS, "stimuli", stimuli.ratings, None),
    (recipes.FRAMES, "stimuli", stimuli.frames, None),
    (recipes.TRIPLETS, "judging", triplets.triplets, None),
    (recipes.JUDGMENTS, "judging", judgments.judgments, None),
    (recipes.EMBEDDINGS, "spaces", embeddings.embeddings, "gpu"),
    (recipes.DIMENSION_GRAPH, "spaces", dimension_graph.dimension_graph, None),
    (recipes.RESPONSES, "brains", brain.responses, None),
    (recipes.CEILINGS, "brains", ceilings.noise_ceilings, None),
    (recipes.ENCODING, "scores", encoding.encoding_scores, "gpu"),
    (recipes.RSA, "scores", similarity.rsa_scores, None),
    (recipes.SEARCHLIGHT, "scores", similarity.searchlight_scores, "gpu"),
    (recipes.DECODING, "scores", decoding.decoding_scores, "gpu"),
    (recipes.VARIANCE, "scores", variance.variance_partition, "gpu"),
    (recipes.COMPARISONS, "scores", comparisons.comparisons, None),
    (recipes.REPORT, "report", report.report, None),
)
"""Recipe, group in the user interface, function, and pool whose slots it needs; upstream first. Judgments take the
slots of their model and of its endpoint by themselves (:mod:`resources.pools`)."""


def build_assets(study: Study, without_pools: frozenset[str] = frozenset()) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of one study, with its models and subjects as partitions.

    Tables that the study does not declare but that others may read are there as inputs from outside, without rows.
    Slots of ``without_pools`` are not asked for: something else hands them out.
    """
    built = [
        _build(recipe, group, function, None if pool in without_pools else pool, study=study)
        for recipe, group, function, pool in STAGES
        if recipe.applies(study)
    ]
    made = {key for asset in built for key in asset.keys}
    absent = sorted({key for asset in built for key in asset.dependency_keys} - made)
    return [*built, *(dg.AssetSpec(key, description="Not declared by this study: empty.") for key in absent)]


def _all_of(recipe: Recipe) -> dict[str, dg.AssetIn]:
    """Inputs of which a partition needs all partitions, since the two are partitioned by different things."""
    here = set(recipe.dimensions)
    foreign = [t for t in recipe.inputs if here and dimensions(t) and not here & set(dimensions(t))]
    return {table: dg.AssetIn(partition_mapping=dg.AllPartitionMapping()) for table in foreign}


def _build(recipe: Recipe, group: str, function: Function, pool: str | None, *, study: Study) -> dg.AssetsDefinition:
    common: dict[str, Any] = {
        "group_name": group,
        "pool": pool,
        "partitions_def": partitions(recipe, study),
        "ins": _all_of(recipe),
        "check_specs": specs(recipe),
    }
    handed = inspect.signature(function).parameters
    common["deps"] = [table for table in recipe.inputs if table not in handed]
    common["ins"] = {table: mapped for table, mapped in common["ins"].items() if table in handed}
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition]
    if len(recipe.outputs) == 1:
        decorate = dg.asset(name=recipe.name, **common, **options(recipe, recipe.name, study))
    else:
        decorate = dg.multi_asset(name=recipe.name, **common, outs=outs(recipe, study))
    return decorate(unless_done(_without_promise(function), recipe))


def _without_promise(function: Function) -> Function:
    """The function without the type that it returns: Dagster takes it for that of one output, and checks are others."""
    bare = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    bare.__kwdefaults__, bare.__doc__ = function.__kwdefaults__, function.__doc__
    bare.__annotations__ = {name: kind for name, kind in function.__annotations__.items() if name != "return"}
    return bare
