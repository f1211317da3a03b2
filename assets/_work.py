"""What every asset does the same way: its decorator's options, its settings, and handing over its results."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from affectlake.exclusions import Exclusions
from affectlake.tables import TABLES
from assets._checks import results
from assets._headlines import headline
from resources.io_manager import (
    PREVIEW_ROWS,
    Computed,
    LakeResource,
    column_schema,
    partition_key,
    write_exclusions,
    written,
)
from resources.lake import Lake
from resources.provenance import Ledger, Recipe, Stamp, dimensions, record, stamp
from resources.study import Study

Metadata = dict[str, Any]


class Work:
    """One computation: its study, its lake, its partition, and what it is made from.

    What it is made from is noted when the work starts and again when it ends. If an input changed in between, the
    result is written without a fingerprint and counts as stale.
    """

    def __init__(self, context: dg.AssetExecutionContext, recipe: Recipe, lake: LakeResource) -> None:
        self.context, self.recipe = context, recipe
        self.study: Study = lake.study.study
        self.lake: Lake = lake.lake
        self.key = partition_key(context)
        self._start = stamp(recipe, self.key, self.study, self.lake)
        self._unfinished = ""

    @property
    def model(self) -> str:
        """The model of this partition."""
        return self.key["model"]

    @property
    def subject(self) -> str:
        """The subject of this partition."""
        return self.key["subject"]

    def made_from(self) -> Stamp:
        """What the computation was made from, if that did not change while it went on."""
        if self._unfinished:
            return Stamp("", self._start.code_version, self._start.source_versions)
        now = stamp(self.recipe, self.key, self.study, self.lake)
        if now.fingerprint == self._start.fingerprint:
            return self._start
        self.context.log.warning("an input changed during the computation; the result counts as stale")
        return Stamp("", self._start.code_version, self._start.source_versions)

    def leave_unfinished(self, why: str) -> None:
        """Let what is handed over from now on count as stale, so that the next run goes on from it."""
        self._unfinished = why
        self.context.log.warning(f"{why} The rest is left to another run.")

    def stamped(self, frame: pl.DataFrame) -> pl.DataFrame:
        """``frame`` with the columns that say which code and which versions of its sources it was computed from."""
        return frame.with_columns(
            code_version=pl.lit(self._start.code_version), source_versions=pl.lit(self._start.source_versions)
        )

    def result(
        self,
        table: str,
        frame: pl.DataFrame,
        metadata: Metadata | None = None,
        exclusions: Exclusions | None = None,
    ) -> dg.MaterializeResult[Any]:
        """Hand one table's partition, and what was left out on the way, to the IO manager."""
        computed = Computed.of(table, frame, self.made_from(), exclusions)
        return dg.MaterializeResult(
            asset_key=table,
            value=computed,
            check_results=results(table, frame.lazy(), self.study, self.key),
            data_version=dg.DataVersion(computed.content),
            metadata={**headline(table, frame), **(metadata or {}), **_counts(exclusions)},
        )

    def appended(
        self, table: str, metadata: Metadata | None = None, exclusions: Exclusions | None = None
    ) -> dg.MaterializeResult[Any]:
        """Report on a table that the asset appended to by itself, and on what was left out on the way."""
        if exclusions is not None:
            write_exclusions(self.lake, table, self.key, exclusions, self.context.run.run_id)
        content, rows = self.lake.content(table, self.key)
        version = self.lake.version(table) or 0
        record(self.lake, table, self.key, self.made_from(), content, rows, version, self.context.run.run_id)
        return self._as_it_is(table, content, rows, version, {**(metadata or {}), **self._why(), **_counts(exclusions)})

    @property
    def current(self) -> bool:
        """Whether everything that this computation writes is there as it would be computed now."""
        ledger, wanted = Ledger(self.lake), self._start.fingerprint
        return bool(wanted) and all(ledger.fingerprint(t, self.key) == wanted for t in self.recipe.outputs)

    def kept(self, table: str) -> dg.MaterializeResult[Any]:
        """Report on a table's partition that is there already."""
        done = Ledger(self.lake).row(table, self.key) or {}
        return self._as_it_is(
            table, str(done["data_version"]), int(str(done["rows"])), int(str(done["delta_version"])), {"kept": True}
        )

    def _as_it_is(
        self, table: str, content: str, rows: int, version: int, metadata: Metadata
    ) -> dg.MaterializeResult[Any]:
        """What Dagster hears of a partition that stands in the lake."""
        frame = self.lake.scan(table, self.key)
        shown = written(self.lake, table, rows, frame.head(PREVIEW_ROWS).collect(), version, partitioned=bool(self.key))
        return dg.MaterializeResult(
            asset_key=table,
            check_results=results(table, frame, self.study, self.key),
            data_version=dg.DataVersion(content),
            metadata={**shown, **headline(table, frame), **metadata},
        )

    def _why(self) -> Metadata:
        return {"unfinished": self._unfinished} if self._unfinished else {}


def _counts(exclusions: Exclusions | None) -> Metadata:
    reasons = set() if exclusions is None else set(exclusions.frame("")["reason"])
    return {f"left_out_{reason}": exclusions.total(reason) for reason in sorted(reasons) if exclusions}


def options(recipe: Recipe, table: str, study: Study) -> dict[str, Any]:
    """What an asset's decorator and an output of a multi-asset have in common."""
    contract = TABLES[table]
    return {
        "description": contract.doc + (" SYNTHETIC data." if study.synthetic else ""),
        "metadata": {
            "dagster/column_schema": column_schema(contract),
            "dagster/table_name": f"{study.name}.{table}",
            "report": dg.MetadataValue.path(str(study.folder / "report" / "index.html")),
        },
        "kinds": {"deltalake", "polars"},
        "code_version": recipe.code_version,
        "tags": {"synthetic": "true"} if study.synthetic else {},
        "owners": ["team:affectlake"],
    }


def partitions(recipe: Recipe, study: Study) -> dg.PartitionsDefinition[Any] | None:
    """The Dagster partitions of a recipe's outputs: by model, by subject, by both, or none."""
    dims = dimensions(recipe.name)
    by = {
        "model": dg.StaticPartitionsDefinition(list(study.model_names)),
        "subject": dg.StaticPartitionsDefinition(list(study.subjects)),
    }
    if len(dims) == 2:
        return dg.MultiPartitionsDefinition({d: by[d] for d in dims})
    return by[dims[0]] if dims else None


def outs(recipe: Recipe, study: Study) -> dict[str, dg.AssetOut]:
    """The outputs of a multi-asset, one a table of the recipe."""
    required = not recipe.may_wait
    return {table: dg.AssetOut(is_required=required, **options(recipe, table, study)) for table in recipe.outputs}
