"""What a user may rely on when a judge sees the clips: what is shown, that it is exactly that, and who is left out."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image
from rich.console import Console

from affectlake import contactsheets
from affectlake.prompts import LABELS, MEDIA_INSTRUCTION, MEDIA_SYSTEM
from dagster_project import asking
from dagster_project.planning import Selection
from dagster_project.runner import bring_up_to_date
from resources.agents.local import request_keys
from resources.agents.service.agent import ServiceAgent
from resources.lake import Lake
from resources.study import AnthropicModel, OpenAIModel, load_study
from tests.affectlake.formats.conftest import write_clip
from tests.services import media_server
from tests.services.conftest import QUICK, collect
from tests.services.server import Service, serving

STUDY = """
name: seen
stimuli: {{manifest: videos.csv, media_root: media, frames: 6, frame_side_px: 96}}
triplets: {{train: 20, seed: 0}}
profiles: {{here: {{base_url: "{url}", key_env: CANARY_KEY, max_in_flight: 8, requests_per_minute: 600000}}}}
models:
  - {{name: judge, agent: {agent}, profile: here, model: {model}{more}}}
"""
CLIPS = tuple(f"v{i}" for i in range(7))
"""Those that can be seen; v7 is a play list that calls itself a film, v8 is not there, v9 repeats v0."""
WIRES = {"chat": "", "responses": ", api: responses", "messages": ""}


class Desk:
    """A study with real clips on disk, and its lake."""

    def __init__(self, folder: Path, service: Service, wire: str = "chat", more: str = ", input: frames") -> None:
        self.folder, self.service = folder, service
        (folder / "media").mkdir(exist_ok=True)
        for i, name in enumerate(() if self.media(CLIPS[0]).exists() else CLIPS):
            write_clip(self.media(name), frames=10 + 5 * i, width=64 + 32 * (i % 3), height=48)
        self.media("v7").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.mp4\n#EXT-X-ENDLIST\n")
        rows = [f"{name},{name}.mp4," for name in (*CLIPS, "v7", "v8")]
        (folder / "videos.csv").write_text("\n".join(["video_id,file,duplicate_of", *rows, "v9,v9.mp4,v0"]) + "\n")
        agent, model = ("anthropic", "claude-haiku-5.5") if wire == "messages" else ("openai", "gpt-6-luna")
        text = STUDY.format(url=service.url, agent=agent, model=model, more=WIRES[wire] + more)
        (folder / "study.yaml").write_text(text)
        self.study = load_study(folder / "study.yaml")
        self.lake = Lake(str(folder / "lake"), "seen")

    def media(self, name: str) -> Path:
        return self.folder / "media" / f"{name}.mp4"

    def run(self, table: str) -> None:
        outcome = bring_up_to_date(self.study, self.lake, Selection(frozenset({table})), Console(quiet=True))
        assert outcome.failed == {}

    def agent(self, **changes: Any) -> ServiceAgent:
        from assets._judging import stimuli

        settings = self.study.model("judge").model_copy(update=changes)
        assert isinstance(settings, (OpenAIModel, AnthropicModel))
        return ServiceAgent(settings, stimuli(self.lake), self.study, 0.0, QUICK)

    def questions(self, agent: ServiceAgent) -> pl.DataFrame:
        """Every set of three that can be seen, each in another order."""
        orders = itertools.cycle(("abc", "cab", "bca", "cba"))
        rows = [(n, *three, next(orders), 0) for n, three in enumerate(itertools.combinations(agent.items(), 3))]
        columns = {"triplet_id": pl.Int64, "a": pl.Int32, "b": pl.Int32, "c": pl.Int32}
        schema = {**columns, "presented": pl.String, "repeat": pl.Int32}
        asked = pl.DataFrame(rows, schema=schema, orient="row")
        shown = agent.stimulus_version(asked.select("a", "b", "c").to_numpy())
        return asked.with_columns(shown, attempted=pl.lit(0, pl.Int32))


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service()) as started:
        yield started


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with the clips and their frames, made once by the real assets."""
    folder = tmp_path_factory.mktemp("sampled")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("AFFECTLAKE_STUDY", "AFFECTLAKE_LAKE", "DAGSTER_HOME"):
            patch.delenv(variable, raising=False)
        Desk(folder, Service(url="http://127.0.0.1:9/v1")).run("frames")
    return folder


@pytest.fixture
def desk(sampled: Path, service: Service) -> Callable[..., Desk]:
    return lambda wire="chat", more=", input: frames": Desk(sampled, service, wire, more)


def expected(agent: ServiceAgent, row: dict[str, Any]) -> str:
    """The label that the judge gives: of the clip whose media are longest in base64."""
    _, clips = agent.shown.question(row)
    data = ["".join(medium.base64() for medium in media) for _, media in clips]
    return max(zip(LABELS, data, strict=True), key=lambda pair: (len(pair[1]), pair[1]))[0]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("layout", ["sheet", "separate"])
def test_each_clip_is_shown_at_its_label_in_presented_order(desk: Callable[..., Desk], wire: str, layout: str) -> None:
    here = desk(wire, f", input: frames, frames: 4, layout: {layout}")
    agent = here.agent()
    agent.prepare(lambda done, total: None)
    questions = here.questions(agent)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.judgments.height == questions.height == len(here.service.seen) == 56
    for row in found.judgments.iter_rows(named=True):
        assert row["odd"] == row[row["presented"][LABELS.index(expected(agent, row))]]
    for seen in here.service.seen:
        pictures = [Image.open(io.BytesIO(jpeg)) for jpeg in media_server.media(seen.body)]
        assert len(pictures) == (3 if layout == "sheet" else 12)
        assert all(max(p.size) <= (contactsheets.SIDE_PX if layout == "sheet" else 96) for p in pictures)


def test_what_is_shown_is_stated_and_no_service_may_scale_it_in_silence(desk: Callable[..., Desk]) -> None:
    bodies = {}
    for wire in WIRES:
        here = desk(wire)
        agent = here.agent()
        agent.prepare(lambda done, total: None)
        collect(agent, here.questions(agent).head(1))
        bodies[wire] = here.service.seen[-1].body
    chat, responses = bodies["chat"]["messages"], bodies["responses"]
    assert chat[0]["content"] == responses["instructions"] == bodies["messages"]["system"] == MEDIA_SYSTEM
    parts = chat[1]["content"]
    assert parts[0]["text"] == "Video A, as one picture of 6 frames from left to right, then from top to bottom:"
    assert parts[1]["image_url"]["detail"] == "high"
    assert parts[-1]["text"] == MEDIA_INSTRUCTION
    assert responses["input"][0]["content"][1]["detail"] == "high"
    messages = bodies["messages"]
    assert messages["messages"][0]["content"][1]["transformations"] == {"oversized_image": "error"}
    assert (messages["thinking"], messages["output_config"]["effort"]) == ({"type": "disabled"}, "low")


def test_the_version_of_what_is_shown_is_its_content(desk: Callable[..., Desk]) -> None:
    here = desk()
    some = here.questions(here.agent()).select("a", "b", "c").to_numpy()
    plain = here.agent().stimulus_version(some)
    assert plain.n_unique() == len(some)
    assert here.agent(name="other", model="other").stimulus_version(some).equals(plain)
    for change in ({"frames": 3}, {"layout": "separate"}, {"input": "video"}):
        assert not (here.agent(**change).stimulus_version(some) == plain).any(), change
    # the same frames are the same stimulus, whichever setting asked for them
    assert here.agent(frames=6).stimulus_version(some).equals(plain)


def test_a_repeated_clip_shows_its_canonical_clips_frames_and_unseen_clips_have_none(desk: Callable[..., Desk]) -> None:
    here = desk()
    agent = here.agent()
    items = dict(here.lake.read("videos").select("video_id", "item").iter_rows())
    assert set(agent.items()) == {items[name] for name in (*CLIPS, "v9")}
    agent.prepare(lambda done, total: None)
    assert agent.shown.clip(items["v9"], "A") == agent.shown.clip(items["v0"], "A")  # type: ignore[union-attr]


def test_a_whole_film_is_sent_once_where_the_server_keeps_it_and_again_where_it_forgot(
    desk: Callable[..., Desk],
) -> None:
    here = desk("chat", ", input: video, media_uuids: true")
    here.service.forgets = range(20, 21)
    agent = here.agent()
    questions = here.questions(agent)
    found, problem = collect(agent, questions)
    assert problem is None
    assert found.judgments.height == questions.height
    assert found.attempts.is_empty(), "that the server forgot is no answer of the judge"
    for row in found.judgments.iter_rows(named=True):
        assert row["odd"] == row[row["presented"][LABELS.index(expected(agent, row))]]
    parts = [p for s in here.service.seen for p in s.body["messages"][1]["content"] if p["type"] == "video_url"]
    assert {p["uuid"] for p in parts} == {hashlib.sha256(here.media(n).read_bytes()).hexdigest() for n in CLIPS}
    full = [p for p in parts if p["video_url"] is not None]
    assert all(p["video_url"]["url"].startswith("data:video/mp4;base64,") for p in full)
    # those in flight at the start and after the server forgot may each send what the others are sending
    assert len(full) < len(parts) / 2
    # how many were sent by name alone before the first miss was read depends on who is quicker
    assert 1 <= here.service.misses < questions.height / 2


def test_without_uuids_the_film_goes_with_every_question_and_nothing_is_named(desk: Callable[..., Desk]) -> None:
    here = desk("chat", ", input: video")
    agent = here.agent()
    collect(agent, here.questions(agent).head(10))
    parts = [p for s in here.service.seen for p in s.body["messages"][1]["content"] if p["type"] == "video_url"]
    assert len(parts) == 30
    assert all(set(p) == {"type", "video_url"} for p in parts)


def test_a_film_that_changed_since_it_was_looked_at_ends_the_run_and_loses_nothing(
    tmp_path: Path, service: Service
) -> None:
    here = Desk(tmp_path, service, more=", input: video")
    here.run("videos")
    agent = here.agent()
    questions = here.questions(agent)
    write_clip(here.media("v5"), frames=3)
    found, problem = collect(agent, questions)
    assert "v5.mp4: is not the file that was looked at" in str(problem)
    assert found.judgments.height == len(service.seen)
    assert found.attempts.is_empty()


def test_a_study_is_judged_by_its_frames_and_only_what_shows_a_changed_clip_is_asked_again(
    tmp_path: Path, service: Service
) -> None:
    here = Desk(tmp_path, service, more=", input: frames, frames: 3")
    here.run("judgments")
    judgments = here.lake.read("judgments")
    videos = here.lake.read("videos")
    items = dict(videos.select("video_id", "item").iter_rows())
    seen = {items[name] for name in CLIPS}
    triplets = here.lake.read("triplets").select("a", "b", "c").to_numpy()
    assert judgments.height == len(service.seen) == sum(set(three.tolist()) <= seen for three in triplets)
    assert judgments["caption_a"].null_count() == judgments.height
    left_out = here.lake.read("exclusions").filter(stage="judgments", reason="unperceived")
    assert set(left_out["what"]) == {"v7", "v8"}, "a clip that cannot be decoded is counted and never asked"
    here.run("judgments")
    assert len(service.seen) == judgments.height, "a second run asks nothing"

    row = judgments.with_columns(request_keys(judgments)).row(0, named=True)
    shown = "\n".join(asking.show(here.study, here.lake, row["triplet_id"]))
    body = next(s.body for s in service.seen if s.key == row["request_key"])
    for jpeg in media_server.media(body):
        width, height = Image.open(io.BytesIO(jpeg)).size
        assert f"{len(jpeg):,} bytes, {width} x {height} px, sha256 {hashlib.sha256(jpeg).hexdigest()}" in shown
    assert all(f'"v{row[x]}.mp4" at ' in shown for x in "abc")
    assert all(character.isprintable() or character == "\n" for character in shown)

    concerned = judgments.filter(pl.any_horizontal(pl.col(x) == items["v3"] for x in "abc")).height
    write_clip(here.media("v3"), frames=31)
    here.run("judgments")
    assert len(service.seen) - judgments.height == concerned


def test_cost_counts_the_tokens_of_pictures(tmp_path: Path, service: Service) -> None:
    here = Desk(tmp_path, service, more=", input: frames, layout: separate")
    here.run("frames")
    here.run("triplets")
    found = asking.cost(here.study, here.lake, "judge")
    assert service.seen == []
    # 18 pictures of 96 x 48 to 96 x 72 pixels in each question, 750 pixels a token, beside the words
    assert 18 * 6 < found.tokens_in / found.questions < 18 * 10 + 500
