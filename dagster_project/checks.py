"""The check that is about the whole lake: how much of it is missing or stale.

Checks of one table's rows are made with the rows (``affectlake/checks.py``, ``assets/_checks.py``).
"""

from collections import Counter
from typing import Any

import dagster as dg

from dagster_project.planning import State, survey
from dagster_project.sensors import lake_of, now
from resources.study import Study

MOST_NAMED = 20


def staleness(study: Study, root: str = "") -> dg.AssetChecksDefinition:
    """Whether everything that the report shows is current; it can be run at any time by itself."""

    @dg.asset_check(
        asset="report",
        name="everything_current",
        description="No partition is missing or stale by the lake's fingerprints.",
    )
    def everything_current(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        found = survey(now(study), lake_of(study, root))
        counts = Counter(state.value for _, _, state in found)
        behind = [f"{r.name} {'|'.join(k.values())}".strip() for r, k, s in found if s is not State.CURRENT]
        shown: dict[str, Any] = {state.value: counts[state.value] for state in State}
        if behind:
            shown["behind"] = ", ".join(behind[:MOST_NAMED]) + (", ..." if len(behind) > MOST_NAMED else "")
        return dg.AssetCheckResult(
            passed=not behind,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={**shown, "threshold_missing_or_stale": 0},
        )

    return everything_current
