"""A few questions are asked again on later days, beside what is missing and never by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from affectlake.judge_measures import measure
from dagster_project import asking
from dagster_project.planning import Selection
from dagster_project.runner import bring_up_to_date
from resources.study import load_study
from tests.services.server import Service, serving
from tests.services.test_runs import Desk, desk, environment  # noqa: F401 - the fixture clears the environment


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Desk]:
    with serving(Service()) as service:
        found = desk(tmp_path, service, train=60)
        path = found.folder / "study.yaml"
        path.write_text(path.read_text().replace("panel: 5", "panel: 5, sentinel: 4"))
        yield found


def test_sentinels_are_asked_again_on_a_later_day_beside_new_questions(
    here: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.judge()
    first = here.judgments
    path = here.folder / "study.yaml"
    path.write_text(path.read_text().replace("train: 60", "train: 70"))
    here.judge()
    assert here.judgments.height == first.height + 10, "on the same day none is due"
    monkeypatch.setattr("affectlake.drift.INTERVAL", timedelta(0))
    here.judge()
    assert here.judgments.height == first.height + 10, "nothing is missing: sentinels alone are not asked"
    path.write_text(path.read_text().replace("train: 70", "train: 80"))
    bring_up_to_date(load_study(path), here.lake, Selection(frozenset({"triplets"})), Console(quiet=True))
    assert asking.cost(load_study(path), here.lake, "judge").questions == 10 + 4, "sentinels cost money too"
    here.judge()
    again = here.judgments.filter(pl.col("repeat") == 2)
    assert again.height == 4
    assert here.judgments.height == first.height + 10 + 10 + 4
    known = first.join(again, on=["triplet_id", "presented"], suffix="_again")
    assert known.height == 8, "each was asked twice in that order on the first day"
    assert (known["odd"] == known["odd_again"]).all()
    (found,) = measure("judge", *(here.lake.scan(t) for t in ("judgments", "attempts", "triplets"))).rounds
    assert (found.n, found.agreement.value, found.alarm) == (4, 1.0, False)


def test_more_sentinels_than_the_panel_has_are_a_wrong_study(tmp_path: Path) -> None:
    from affectlake.errors import StudyError
    from resources.study import load_study

    path = tmp_path / "study.yaml"
    path.write_text("name: mine\nstimuli: {manifest: v.csv}\ntriplets: {panel: 5, sentinel: 6}\n")
    with pytest.raises(StudyError, match="sentinel: 6 is more than panel: 5"):
        load_study(path)
