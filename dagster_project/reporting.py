"""Where the report is. It is drawn by the asset ``report``; what belongs here is finding it on disk."""

from __future__ import annotations

from pathlib import Path

from assets.report import intact, report_folder, write_report
from resources.lake import Lake
from resources.study import Study


def current_report(study: Study, lake: Lake) -> Path | None:
    """The report's first page, or None where it was never drawn.

    Files that were deleted, or changed by hand or by another lake's report, are written again: pages follow from the
    tables alone.
    """
    if lake.scan("report").head(1).collect().is_empty():
        return None
    if not intact(study, lake):
        write_report(study, lake)
    return report_folder(study) / "index.html"
