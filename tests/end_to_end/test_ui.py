"""The Dagster user interface serves the study on this machine only, and materializes from there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from resources.provenance import Ledger
from tests.servers.ui import Served, serving_ui, wait

from .conftest import Finished

LOCATIONS = "{workspaceOrError{... on Workspace{locationEntries{name loadStatus}}}}"
BACKFILL = """mutation($p: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $p) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
STATUS = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass(frozen=True)
class Ui:
    """A computed study and the user interface that serves it."""

    study: Finished
    served: Served

    @property
    def port(self) -> int:
        return self.served.port

    def ask(self, query: str, **variables: Any) -> Any:
        return self.served.ask(query, **variables)


@pytest.fixture(scope="module")
def ui(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("served") / "study"
    shutil.copytree(finished.folder, folder)
    with serving_ui(folder / "study.yaml") as served:
        wait(180, lambda: served.ask(LOCATIONS)["workspaceOrError"]["locationEntries"][0]["loadStatus"] == "LOADED")
        yield Ui(Finished(folder, finished.outcome), served)


def test_the_location_is_loaded_under_its_name(ui: Ui) -> None:
    assert ui.ask(LOCATIONS)["workspaceOrError"]["locationEntries"] == [{"name": "affectlake", "loadStatus": "LOADED"}]


def test_it_listens_on_loopback_only(ui: Ui) -> None:
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    places = {line.split()[1].split(":")[0] for line in listening if int(line.split()[1].split(":")[1], 16) == ui.port}
    assert places == {"0100007F"}


def test_the_page_of_scores_shows_the_same_rows_as_the_table(ui: Ui) -> None:
    found = ui.ask(
        """{ assetOrError(assetKey: {path: ["encoding_scores"]}) { ... on Asset {
             assetMaterializations(partitions: ["planted|sub-01"], limit: 1) { metadataEntries { label
               ... on TableMetadataEntry { table { records } } ... on IntMetadataEntry { intValue } } } } } }"""
    )
    entries = {e["label"]: e for e in found["assetOrError"]["assetMaterializations"][0]["metadataEntries"]}
    shown = {(r["roi"], r["mean_r"]) for r in map(json.loads, entries["preview"]["table"]["records"])}
    table = ui.study.lake.read("encoding_scores", {"subject": "sub-01", "model": "planted"})
    assert shown <= set(table.select("roi", "mean_r").iter_rows())
    assert len(shown) == min(10, table.height)


def test_a_backfill_of_chosen_partitions_computes_them_and_writes_them_down(ui: Ui) -> None:
    chosen = ["planted|sub-01", "scrambled|sub-02"]
    tables = ["encoding_scores", "run_scores", "voxel_scores"]
    before = Ledger(ui.study.lake)
    launched = ui.ask(
        BACKFILL, p={"title": "t", "assetSelection": [{"path": [t]} for t in tables], "partitionNames": chosen}
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    status = wait(
        240,
        lambda: (
            s
            if (s := ui.ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]["status"])
            not in ("REQUESTED", "CANCELING")
            else None
        ),
    )
    assert status == "COMPLETED_SUCCESS"
    after = Ledger(ui.study.lake)
    for model in ("planted", "scrambled"):
        for subject in ("sub-01", "sub-02"):
            key = {"model": model, "subject": subject}
            one, two = before.row("encoding_scores", key), after.row("encoding_scores", key)
            assert one is not None
            assert two is not None
            assert (one["run_id"] != two["run_id"]) == (f"{model}|{subject}" in chosen)
            assert one["data_version"] == two["data_version"], "the same inputs gave another result"


@pytest.fixture
def page(ui: Ui) -> Iterator[Any]:
    """A window on the user interface, as the person before it sees it."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as program:
        running = program.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        window = running.new_page(base_url=f"http://127.0.0.1:{ui.port}", viewport={"width": 1500, "height": 950})
        window.set_default_timeout(60_000)
        yield window
        running.close()


def versions(ui: Ui, table: str) -> dict[str, Any]:
    """What computed each subject's partition last."""
    ledger = Ledger(ui.study.lake)
    rows = {subject: ledger.row(table, {"subject": subject}) for subject in ui.study.study.subjects}
    return {subject: row and row["run_id"] for subject, row in rows.items()}


def test_a_person_materializes_a_partition_launches_a_backfill_and_sees_the_checks(ui: Ui, page: Any) -> None:
    table, before = "decoding_scores", versions(ui, "decoding_scores")
    page.goto(f"/assets/{table}")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition").click()
    page.get_by_role("menuitem").filter(has_text="sub-01").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("^Launch")).click()
    one = wait(120, lambda: (now := versions(ui, table))["sub-01"] != before["sub-01"] and now)
    assert one["sub-02"] == before["sub-02"], "the other partition was not asked for"

    page.goto(f"/assets/{table}")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_role("button", name=re.compile("^Launch")).click()
    assert wait(180, lambda: all(run != one[subject] for subject, run in versions(ui, table).items()))

    page.goto("/assets/encoding_scores?view=checks")
    page.get_by_text("voxels_scored").first.wait_for()
    page.goto("/assets/embedding_quality?view=checks")
    for name in ("held_out", "below_ceiling", "above_chance"):
        page.get_by_text(name).first.wait_for()
    page.get_by_text("Passed").first.wait_for()  # of the check that stands open
