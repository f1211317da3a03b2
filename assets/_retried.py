"""A run that Dagster starts again does not compute again what the one before it had finished.

A worker that is killed after it wrote a partition down in the lake and before Dagster heard of it leaves a run that
counts as failed. The lake knows better. A person who asks for a partition that is current has it computed anyway.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import dagster as dg

from assets._work import Work
from resources.provenance import Recipe

_AGAIN = ("dagster/retry_number", "dagster/is_resume_retry")
"""Tags of a run that Dagster started again by itself, and of one that goes on from a failed one's failures."""


def unless_done(function: Callable[..., Any], recipe: Recipe) -> Callable[..., Any]:
    """``function``, or what its tables hold already where a run is a retry and the lake calls all of them current."""

    @functools.wraps(function)
    def compute(context: dg.AssetExecutionContext, **inputs: Any) -> Any:
        if any(tag in context.run.tags for tag in _AGAIN):
            work = Work(context, recipe, inputs["lake"])
            if work.current:
                context.log.info("the run before this one had finished it: kept as it is")
                return (work.kept(table) for table in recipe.outputs)
        return function(context, **inputs)

    return compute
