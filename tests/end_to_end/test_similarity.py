"""Similarities with controls partialled out, and what makes which of them stale."""

from __future__ import annotations

import shutil

import numpy as np
import polars as pl
import pytest

from dagster_project.planning import Selection

from .conftest import Finished

VISUAL = "  - {name: visual, agent: features, file: stimuli/visual.npy, ids: stimuli/planted_ids.txt, control: true}\n"


@pytest.fixture(scope="module")
def controlled(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("controlled") / "study"
    shutil.copytree(finished.folder, folder)
    copy = Finished(folder, finished.outcome)
    copy.edit("embedding:", VISUAL + "embedding:")
    copy.edit("rsa: {methods: [pearson, spearman]", "rsa: {methods: [pearson], partial: [visual]")
    wanted = Selection(frozenset({"rsa_scores"}), frozenset({"planted", "visual"}), frozenset({"sub-01"}))
    assert copy.run(wanted).failed == {}
    return copy


def test_controls_are_partialled_out_in_rows_of_their_own(controlled: Finished) -> None:
    scores = controlled.lake.read("rsa_scores", {"subject": "sub-01"})
    planted = scores.filter(model="planted").pivot("method", index="roi", values="rho")
    assert set(planted.columns) == {"roi", "pearson", "partial_pearson"}
    insula = planted.filter(roi="insula")
    assert insula["partial_pearson"].item() == pytest.approx(insula["pearson"].item(), abs=0.03), "affect is not visual"
    visual = scores.filter(model="visual")
    assert visual["method"].unique().to_list() == ["pearson"], "a control is not held against itself"
    assert visual.filter(roi="early_visual_cortex")["rho"].item() > 0.05
    assert scores.filter(pl.col("method") == "partial_pearson")["q"].null_count() == 0


def test_another_control_file_makes_similarities_stale_and_nothing_else(controlled: Finished) -> None:
    path = controlled.folder / "stimuli" / "visual.npy"
    np.save(path, np.load(path)[::-1])
    selection = Selection(frozenset({"rsa_scores"}), frozenset({"planted"}), frozenset({"sub-01"}))
    outcome = controlled.run(selection)
    assert [t for b in outcome.computed for t in b.tables] == ["rsa_scores"]
