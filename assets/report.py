"""Stage 8: the report, one self-contained site beside the study that is drawn from all of its tables."""

import hashlib
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from affectlake.report import Facts, Results, pages
from affectlake.report.site import n_pages
from affectlake.tables import REPORT as REPORT_TABLE
from affectlake.tables import TABLES
from assets._work import Work
from assets.recipes import REPORT
from resources.io_manager import LakeResource
from resources.lake import Lake
from resources.progress import ProgressResource
from resources.study import Study


def report(
    context: dg.AssetExecutionContext, lake: LakeResource, progress: ProgressResource
) -> dg.MaterializeResult[Any]:
    """Draw every page and write it beside the study; pages of models and subjects that left are removed."""
    work = Work(context, REPORT, lake)
    with progress.track(context, "drawing the report") as advance:
        rows = write_report(work.study, work.lake, advance)
    folder = report_folder(work.study)
    shown = {"report": dg.MetadataValue.path(str(folder / "index.html")), "bytes": int(rows["bytes"].sum())}
    return work.result("report", work.stamped(rows), shown)


def report_folder(study: Study) -> Path:
    """Where the report is written."""
    return study.folder / "report"


def results_of(study: Study, lake: Lake) -> Results:
    """What a report is drawn from."""
    from resources.methods import methods_text

    facts = Facts(
        study.name,
        study.synthetic,
        study.model_names,
        tuple(m.name for m in study.models if m.control),
        study.subjects,
        study.stimuli.show,
        tuple(methods_text(study, lake)),
    )
    return Results(facts, {table: lake.scan(table) for table in TABLES})


def write_report(study: Study, lake: Lake, advance: Any = lambda done, total: None) -> pl.DataFrame:
    """Write the report's files; returns one row a file, without the stamp."""
    results = results_of(study, lake)
    folder, rows, total = report_folder(study), [], n_pages(results)
    folder.mkdir(exist_ok=True)
    for file, title, html in pages(results):
        content = html.encode()
        (folder / file).write_bytes(content)
        rows.append((file, title, len(content), hashlib.sha256(content).hexdigest()))
        advance(len(rows), total)
    schema = {name: REPORT_TABLE.schema[name] for name in ("file", "title", "bytes", "sha256")}
    written = pl.DataFrame(rows, schema=schema, orient="row")
    for left in set(lake.scan("report").select("file").collect()["file"]) - set(written["file"]):
        (folder / left).unlink(missing_ok=True)
    return written


def intact(study: Study, lake: Lake) -> bool:
    """Whether the files on disk are those that the table tells of."""
    folder = report_folder(study)
    known = lake.scan("report").select("file", "sha256").collect()
    return known.height > 0 and all(
        (folder / file).is_file() and hashlib.sha256((folder / file).read_bytes()).hexdigest() == sha256
        for file, sha256 in known.iter_rows()
    )
