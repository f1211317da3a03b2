"""Checks as Dagster shows them: their specifications on the assets, and their results with numbers and thresholds."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from affectlake.checks import Verdict, of_table, verdicts
from affectlake.errors import ContractError
from resources.provenance import Key, Recipe, partition_name
from resources.study import ServiceModel, Study


def specs(recipe: Recipe) -> list[dg.AssetCheckSpec]:
    """The checks of a recipe's tables; they are made with the rows, in the same step."""
    return [
        dg.AssetCheckSpec(check.name, asset=table, description=check.question, blocking=check.blocking)
        for table in recipe.outputs
        for check in of_table(table)
    ]


def results(table: str, rows: pl.LazyFrame, study: Study, key: Key) -> list[dg.AssetCheckResult]:
    """The results of a table's checks.

    Raises
    ------
    ContractError
        A blocking one failed; it is raised before anything is written.
    """
    found = verdicts(table, rows, _limits(study, key))
    for verdict in found:
        if verdict.check.blocking and not verdict.passed:
            numbers = ", ".join(f"{name} {value}" for name, value in verdict.numbers.items())
            raise ContractError(
                f"the check {verdict.check.name} failed ({numbers}); nothing was written",
                where=f"table {table}, partition {partition_name(key)}",
                remedy=verdict.check.question,
            )
    return [_result(table, verdict) for verdict in found]


def _result(table: str, verdict: Verdict) -> dg.AssetCheckResult:
    numbers: dict[str, Any] = {name: value for name, value in verdict.numbers.items() if value is not None}
    limits = {f"threshold_{name}": value for name, value in verdict.thresholds.items() if value is not None}
    return dg.AssetCheckResult(
        passed=verdict.passed,
        asset_key=table,
        check_name=verdict.check.name,
        severity=dg.AssetCheckSeverity.ERROR if verdict.check.blocking else dg.AssetCheckSeverity.WARN,
        metadata={**numbers, **limits},
    )


def _limits(study: Study, key: Key) -> dict[str, float | None]:
    """Thresholds that the study sets."""
    model = study.model(key["model"]) if "model" in key else None
    return {"max_usd": model.max_usd} if isinstance(model, ServiceModel) else {}
