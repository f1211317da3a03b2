"""The methods text: it says what the study's own settings say, and nothing that the study does not have."""

from __future__ import annotations

from typing import Any

import pytest

from affectlake.methods import paragraphs
from resources.study import Study

MODELS = [
    {"name": "people", "agent": "ratings", "scale": "category"},
    {"name": "claude", "agent": "anthropic", "profile": "p", "model": "claude-haiku-5.5"},
    {"name": "raw", "agent": "features", "scale": "dimension", "control": True},
]
BRAIN = {"format": "bids", "root": "d", "subjects": ["s1", "s2"], "atlas": {"file": "a", "labels": "l"}, "shift_s": 6}
WHOLE: dict[str, Any] = {
    "name": "mine",
    "stimuli": {"manifest": "videos.csv"},
    "captions": {"file": "c.csv", "use": "random"},
    "ratings": {"file": "r.csv"},
    "triplets": {"train": 5000, "seed": 11},
    "profiles": {"p": {"key_env": "SECRET_NAME", "base_url": "http://10.1.2.3/v1"}},
    "models": MODELS,
    "brain": BRAIN,
    "encoding": {"folds": 5, "alphas": [1.0, 10.0], "alpha": "shared", "null": 250},
}
COUNTS: dict[str, Any] = {
    "clips": 2180,
    "duplicates": 16,
    "captions": 43920,
    "rated": 2180,
    "triplets": {"train": 5000},
    "models": {"claude": {"judgments": 4990, "given_up": 10, "n_dimensions": 29}},
    "subjects": {"s1": {"runs": 61, "presentations": 2180, "voxels": 60000, "dropped": 12}},
}


def text(raw: dict[str, Any], counts: dict[str, Any] | None = None) -> dict[str, str]:
    settings = Study.model_validate(raw).model_dump(mode="json")
    return dict(paragraphs(settings, COUNTS if counts is None else counts, {"affectlake": "9.9"}))


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("Stimuli", ["2,180 clips", "16 further clips", "43,920", "one drawn at random"]),
        ("Judgments", ["seed 11", "5,000 for train", "claude-haiku-5.5", "4,990 judgments", "10 questions"]),
        ("Embeddings", ["100 dimensions", "10 times", "29 (claude)", "2509.24298"]),
        ("Brain responses", ["shifted by 6 s", "60,000 voxels (12 dropped)", "61 runs"]),
        ("Encoding models", ["5 folds", "one of 1 and 10", "all voxels share one", "250 permutations"]),
        ("Comparison of models", ["2 subjects"]),
        ("Software", ["affectlake 9.9"]),
    ],
)
def test_the_text_says_the_studys_own_numbers(heading: str, words: list[str]) -> None:
    said = text(WHOLE)[heading]
    assert [w for w in words if w not in said] == []


def test_a_study_without_scans_or_models_has_no_paragraph_about_them() -> None:
    bare = {"name": "bare", "stimuli": {"manifest": "v.csv"}}
    assert list(text(bare, {"clips": 1})) == ["Stimuli", "Software"]
    assert "1 clip." in text(bare, {"clips": 1})["Stimuli"]


def test_synthetic_and_simulated_are_said_in_capitals() -> None:
    simulated = {"name": "sim", "agent": "simulated", "file": "f", "ids": "i"}
    found = text({"name": "x", "synthetic": True, "stimuli": {"manifest": "v.csv"}, "models": [simulated]}, {})
    assert "SYNTHETIC" in found["Stimuli"]
    assert "SIMULATED" in found["Judgments"]


def test_no_test_is_claimed_where_none_was_made() -> None:
    found = text({**WHOLE, "encoding": {"null": 0}})
    assert "permutation" not in found["Encoding models"] + found["Similarity analysis"]


def test_every_analysis_that_was_asked_for_is_described_and_no_other() -> None:
    visual = {"name": "vgg19", "agent": "features", "file": "f.npy", "ids": "i", "control": True}
    asked = {
        **WHOLE,
        "models": [*MODELS, visual],
        "brain": {**BRAIN, "confounds": ["trans_*", "csf"], "high_pass_s": 100, "estimator": "glm"},
        "encoding": {"voxel_p": "analytic", "null": 0},
        "rsa": {"methods": ["spearman"], "partial": ["vgg19"], "searchlight": {"radius": 2, "shape": "cube"}},
        "decoding": {"models": ["raw"], "null": 30},
    }
    found = text(asked)
    assert "trans_* and csf" in found["Brain responses"]
    assert "slower than 100 s" in found["Brain responses"]
    assert "least squares, separate" in found["Brain responses"]
    assert "Gaussian" in found["Encoding models"]
    for words in ("Spearman's rho", "vgg19 taken out", "cubes of radius 2 voxels"):
        assert words in found["Similarity analysis"]
    assert "dimensions of raw" in found["Decoding"]
    assert "30 permutations" in found["Decoding"]
    plain = text(WHOLE)
    assert "Decoding" not in plain
    assert "Spearman" not in plain["Similarity analysis"]
    assert "searchlight" not in plain["Similarity analysis"]
    assert "Gaussian" not in plain["Encoding models"]


def test_fits_that_go_on_from_earlier_ones_are_told_and_no_others() -> None:
    assert "where each run had ended before" in text({**WHOLE, "embedding": {"refit_share": 0.05}})["Embeddings"]
    assert "ended before" not in text(WHOLE)["Embeddings"]


def test_where_services_are_reached_is_not_told() -> None:
    assert not any("SECRET_NAME" in said or "10.1.2.3" in said for said in text(WHOLE).values())
