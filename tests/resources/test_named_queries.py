"""The files of sql/: each says what it answers, with which columns, and answers that."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

import sql
from affectlake.errors import LakeError
from affectlake.tables import ATTEMPTS, CAPTIONS, COMPARISONS, DIMENSIONS, EMBEDDINGS, ENCODING_SCORES, JUDGMENTS, Table
from resources.lake import Lake
from resources.query import query
from resources.study import Study

STUDY = Study.model_validate(
    {
        "name": "mine",
        "stimuli": {"manifest": "videos.csv"},
        "ratings": {"file": "ratings.csv"},
        "models": [
            {"name": "good", "agent": "ratings", "scale": "category"},
            {"name": "fair", "agent": "ratings", "scale": "dimension"},
            {"name": "shuffled", "agent": "ratings", "scale": "dimension", "control": True},
        ],
        "brain": {"format": "bids", "root": "d", "subjects": ["s1", "s2"], "atlas": {"file": "a", "labels": "l"}},
    }
)
STAMPS = {"code_version": "c", "source_versions": "{}"}


def rows(table: Table, *found: dict[str, object]) -> pl.DataFrame:
    """Rows of a table; what a test does not speak of is zero, empty or null."""
    zero = {pl.String: "", pl.Datetime("us", "UTC"): datetime(2026, 1, 1, tzinfo=UTC)}
    plain = {c.name: None if c.nullable else zero.get(c.dtype, 0) for c in table.columns}
    nested = {c.name: [] for c in table.columns if c.dtype.is_nested()}
    return pl.DataFrame([{**plain, **nested, **row} for row in found], schema=table.schema)


def score(subject: str, model: str, roi: str, r: float | None, **more: object) -> dict[str, object]:
    return {"subject": subject, "model": model, "roi": roi, "mean_r": r, "coverage": 1.0, **STAMPS, **more}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), "mine")
    for model, by_subject in {"good": (0.4, 0.2), "fair": (0.2, 0.2), "shuffled": (0.9, 0.9)}.items():
        for subject, r in zip(("s1", "s2"), by_subject, strict=True):
            ceiling = {"normalised_r": r / 0.5, "ceiling": 0.5} if model == "good" else {}
            frame = rows(
                ENCODING_SCORES, score(subject, model, "TPJ", r, q=0.01, **ceiling), score(subject, model, "V1", None)
            )
            lake.overwrite("encoding_scores", frame, {"subject": subject, "model": model})
    return lake


def ask(lake: Lake, name: str, **values: str) -> pl.DataFrame:
    found = sql.named(name)
    return query(lake, STUDY, found.text, found.bind(values) or None)


@pytest.mark.parametrize("name", sql.names())
def test_every_file_says_its_question_its_columns_and_its_parameters(tmp_path: Path, name: str) -> None:
    found = sql.named(name)
    assert re.fullmatch(r"[A-Z].{10,110}\?", found.question)
    assert set(re.findall(r"\$(\w+)", re.sub("--.*", "", found.text))) == set(found.parameters)
    answer = query(Lake(str(tmp_path), "mine"), STUDY, found.text, dict.fromkeys(found.parameters, "x") or None)
    assert answer.height == 0
    assert answer.columns == list(found.columns)
    assert all(found.columns.values())


def test_a_name_that_is_not_there_names_the_nearest_and_lists_those_that_are() -> None:
    with pytest.raises(LakeError, match=r"Did you mean 'leaderboard'.*agreement"):
        sql.read("leaderbord")
    with pytest.raises(LakeError, match="leaderboard"):
        sql.read("../secrets")


def test_a_missing_or_unknown_parameter_is_named() -> None:
    with pytest.raises(LakeError, match=r"--param model=\.\.\. \(a model of the study\)"):
        sql.named("roi_profile").bind({})
    with pytest.raises(LakeError, match=r"no parameter modle.*model"):
        sql.named("roi_profile").bind({"model": "m", "modle": "m"})


def test_the_leaderboard_has_a_row_a_model_and_subject_and_a_ceiling_only_where_there_is_one(lake: Lake) -> None:
    answers = [
        {"model": "good", "triplet_id": n, "a": 0, "b": 1, "c": 2, "presented": "abc", "odd": 0} for n in range(7)
    ]
    lake.append("judgments", rows(JUDGMENTS, *answers))
    found = ask(lake, "leaderboard")
    assert found.select("place", "model", "subject").rows() == [
        (1, "shuffled", "s1"),
        (1, "shuffled", "s2"),
        (2, "good", "s1"),
        (2, "good", "s2"),
        (3, "fair", "s1"),
        (3, "fair", "s2"),
    ]
    good = found.filter(model="good", subject="s1").row(0, named=True)
    assert (good["n_rois"], good["best_roi"], good["n_significant"], good["n_judgments"]) == (1, "TPJ", 1, 7)
    assert good["normalised_r"] == pytest.approx(0.8)
    assert found.filter(model="fair")["normalised_r"].to_list() == [None, None]
    assert found["control"].to_list() == [True, True, False, False, False, False]


def test_the_best_model_of_a_region_has_its_margin_whichever_way_the_pair_was_tested(lake: Lake) -> None:
    pair = {"roi": "TPJ", "metric": "encoding", "model_a": "fair", "model_b": "good", "n_subjects": 2, **STAMPS}
    lake.overwrite(
        "comparisons", rows(COMPARISONS, {**pair, "mean_difference": -0.1, "q": 0.03, "ci_low": -0.3, "ci_high": 0.1})
    )
    found = ask(lake, "best_models").row(0, named=True)
    assert (found["roi"], found["best"], found["second"], found["q"]) == ("TPJ", "good", "fair", 0.03)
    assert (found["margin"], found["margin_low"], found["margin_high"]) == (0.1, -0.1, 0.3)
    assert ask(lake, "best_models").height == 1


def test_a_profile_ranks_the_model_among_those_of_the_study(lake: Lake) -> None:
    found = ask(lake, "roi_profile", model="good").row(0, named=True)
    assert (found["roi"], found["place"], found["n_models"]) == ("TPJ", 2, 3)
    assert found["mean_r"] == pytest.approx(0.3)
    assert ask(lake, "roi_profile", model="good' OR 1=1 --").height == 0


def test_regions_of_the_paper_come_in_its_order(tmp_path: Path) -> None:
    from affectlake.tables import RSA_SCORES

    lake = Lake(str(tmp_path), "mine")
    found = [
        {"subject": "s1", "model": "good", "roi": roi, "method": "pearson", "rho": 0.1, **STAMPS}
        for roi in ("zeta", "Amygdala", "TPJ", "VC", "alpha")
    ]
    lake.overwrite("rsa_scores", rows(RSA_SCORES, *found), {"subject": "s1", "model": "good"})
    assert ask(lake, "roi_comparison")["roi"].to_list() == ["VC", "TPJ", "Amygdala", "alpha", "zeta"]


def test_searchlights_are_averaged_inside_regions_beside_the_other_methods(tmp_path: Path) -> None:
    from affectlake.tables import RSA_SCORES, SEARCHLIGHT_SCORES, VOXELS

    lake = Lake(str(tmp_path), "mine")
    voxels = [{"subject": "s1", "voxel": v, "rois": ["TPJ", "all"] if v < 2 else ["all"]} for v in range(3)]
    lake.overwrite("voxels", rows(VOXELS, *voxels), {"subject": "s1"})
    light = [{"subject": "s1", "model": "good", "voxel": v, "rho": 0.1 * (v + 1), **STAMPS} for v in range(3)]
    lake.overwrite("searchlight_scores", rows(SEARCHLIGHT_SCORES, *light), {"subject": "s1"})
    found = {"subject": "s1", "model": "good", "roi": "TPJ", "method": "spearman", "rho": 0.5, "q": 0.01, **STAMPS}
    lake.overwrite("rsa_scores", rows(RSA_SCORES, found), {"subject": "s1", "model": "good"})
    pair = {"roi": "TPJ", "model_a": "fair", "model_b": "good", "n_subjects": 2, "mean_difference": -0.1, "q": 0.01}
    lake.overwrite("comparisons", rows(COMPARISONS, {**pair, "metric": "searchlight", **STAMPS}))
    answer = ask(lake, "roi_comparison").select("roi", "method", "rho", "n_significant", "better_than").rows()
    assert answer == [
        ("TPJ", "searchlight", pytest.approx(0.15), None, "fair"),
        ("TPJ", "spearman", 0.5, 1, None),
        ("all", "searchlight", pytest.approx(0.2), None, None),
    ]


def test_what_is_decoded_best_is_named(tmp_path: Path) -> None:
    from affectlake.tables import DECODING_SCORES

    lake = Lake(str(tmp_path), "mine")
    named = [{"model": "good", "dimension": n, "label": f"name {n}", **STAMPS} for n in range(2)]
    lake.overwrite("dimensions", rows(DIMENSIONS, *named), {"model": "good"})
    read = [{"dimension": 0, "r": 0.1}, {"dimension": 1, "r": 0.4}]
    scores = [
        {"subject": "s1", "model": "good", "roi": r, "identification": i, "by_dimension": read, **STAMPS}
        for r, i in (("V1", 0.6), ("TPJ", 0.8))
    ]
    lake.overwrite("decoding_scores", rows(DECODING_SCORES, *scores), {"subject": "s1"})
    answer = ask(lake, "decoding")
    assert answer["roi"].to_list() == ["TPJ", "V1"]
    assert answer.select("best_label", "best_r").rows()[0] == ("name 1", 0.4)


def test_a_dimension_is_shown_by_the_clips_with_the_largest_weight(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path), "mine")
    clips = [
        {"model": "good", "video_id": f"v{n}", "item": n, "vector": [n / 10, 0.0 if n else 1.0], **STAMPS}
        for n in range(9)
    ]
    lake.overwrite("embeddings", rows(EMBEDDINGS, *clips), {"model": "good"})
    named = [{"model": "good", "dimension": n, "label": f"name {n}", **STAMPS} for n in range(2)]
    lake.overwrite("dimensions", rows(DIMENSIONS, *named), {"model": "good"})
    lake.overwrite(
        "captions", rows(CAPTIONS, {"video_id": "v8", "text": "<b>a dog</b>"}, {"video_id": "v8", "caption": 1})
    )
    found = ask(lake, "dimensions", model="good")
    assert found.filter(dimension=0)["video_id"].to_list() == ["v8", "v7", "v6", "v5", "v4", "v3"]
    assert found.filter(dimension=1).select("label", "video_id").rows() == [("name 1", "v0")]
    assert found["caption"][0] == "<b>a dog</b>"


def test_cost_counts_answers_that_were_not_accepted_and_coverage_says_why(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path), "mine")
    paid = {"model": "good", "tokens_in": 10, "tokens_out": 1, "cost_usd": 0.5}
    lake.append("judgments", rows(JUDGMENTS, {**paid, "a": 0, "b": 1, "c": 2, "odd": 1, "latency_s": 2.0}))
    tries = [{**paid, "attempt": n, "reason": r, "final": r == "refused"} for n, r in enumerate(("length", "refused"))]
    lake.append("attempts", rows(ATTEMPTS, *tries))
    cost = ask(lake, "cost").row(0, named=True)
    assert (cost["n_judgments"], cost["n_attempts"], cost["tokens_in"], cost["usd"]) == (1, 2, 30, 1.5)
    coverage = ask(lake, "coverage").row(0, named=True)
    assert (coverage["n_refused"], coverage["n_cut"], coverage["n_given_up"], coverage["given_up"]) == (1, 1, 1, 0.5)
