"""A night with a budget: what it buys is kept, and the next one goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from assets.recipes import JUDGMENTS
from dagster_project.definitions import build_definitions
from dagster_project.planning import Selection, State, state
from dagster_project.runner import bring_up_to_date
from dagster_project.schedules import top_up
from resources.provenance import Ledger
from resources.study import load_study
from tests.services.conftest import KEY
from tests.services.server import Service, serving
from tests.services.test_runs import N_QUESTIONS, Desk, check_complete, desk

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TRAIN = 150


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CANARY_KEY", KEY)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service()) as started:
        yield started


def night(here: Desk) -> float:
    """The run that the schedule would start, as the daemon starts it; returns what it was allowed to spend."""
    study = load_study(here.folder / "study.yaml")
    usd = top_up(study, here.lake)["judge"]
    assert usd is not None
    job = build_definitions(study).resolve_job_def("compute_judgments")
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {"affectlake/max_usd": f"{usd:.6f}"}
        done = job.execute_in_process(partition_key="judge", instance=instance, tags=tags, run_config=QUIET)
        assert done.success, "a night that ends at its budget ends well"
    return usd


def test_nights_with_a_budget_ask_each_question_once_and_end_with_all_of_them(tmp_path: Path, service: Service) -> None:
    here = desk(tmp_path, service, TRAIN)
    beside = tmp_path / "whole"
    beside.mkdir()
    whole = desk(beside, service, TRAIN)
    whole.judge()
    price = float(whole.judgments["cost_usd"].sum())
    assert price > 0
    service.seen.clear()
    path = here.folder / "study.yaml"
    path.write_text(path.read_text() + f"automation: {{max_usd_per_night: {0.6 * price:.6f}}}\n")
    planned = Selection(frozenset({"triplets", "captions"}))
    assert bring_up_to_date(load_study(path), here.lake, planned, Console(quiet=True)).failed == {}
    spent, nights = 0.0, 0
    while here.judgments.height < TRAIN + N_QUESTIONS:
        nights += 1
        assert nights < 8, "it never ends"
        usd = night(here)
        bought = float(here.judgments["cost_usd"].sum()) - spent
        assert bought <= usd
        spent += bought
        study = load_study(path)
        complete = here.judgments.height == TRAIN + N_QUESTIONS
        stands = state(JUDGMENTS, {"model": "judge"}, study, Ledger(here.lake))
        assert (stands is State.CURRENT) is complete, "what is learnt from the answers waits for all of them"
    assert nights > 1
    check_complete(here)
    assert len(service.seen) == TRAIN + N_QUESTIONS, "nothing was paid for twice"
    assert "judge" not in top_up(load_study(path), here.lake)
