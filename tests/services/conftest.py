"""A study in memory whose judges are behind the loopback server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from affectlake import triplets
from affectlake.tables import ATTEMPTS, FRAMES, JUDGMENTS, RATINGS, TRIPLETS, VIDEOS
from resources.agents.protocol import Answers, Stimuli
from resources.agents.service.agent import ServiceAgent
from resources.agents.service.loop import Patience
from resources.study import AnthropicModel, OpenAIModel, load_study
from tests.services.server import Service, serving

KEY = "canary-7f3a9c"
N = 42
QUICK = Patience(pause_s=0.005, longest_pause_s=0.02, longest_wait_s=1.0, silence_s=2.0)

STUDY = """
name: asked
stimuli: {{manifest: videos.csv}}
captions: {{file: captions.csv, use: {use}}}
profiles: {{here: {{base_url: "{url}", key_env: CANARY_KEY, max_in_flight: 32, requests_per_minute: 600000}}}}
models:
  - {{name: chat, agent: openai, profile: here, model: gpt-6-luna}}
  - {{name: responses, agent: openai, profile: here, model: gpt-6-luna, api: responses}}
  - {{name: decisions, agent: openai, profile: here, model: gpt-6-luna, api: decisions}}
  - {{name: messages, agent: anthropic, profile: here, model: claude-haiku-5.5}}
"""


@dataclass(frozen=True)
class Bench:
    """Agents on one service."""

    service: Service
    folder: Path
    use: str = "first"

    def agent(self, name: str = "chat", patience: Patience = QUICK, spent: float = 0.0, **changes: Any) -> ServiceAgent:
        path = self.folder / "study.yaml"
        path.write_text(STUDY.format(url=self.service.url, use=self.use))
        study = load_study(path)
        settings = study.model(name).model_copy(update=changes)
        assert isinstance(settings, (OpenAIModel, AnthropicModel))
        return ServiceAgent(settings, stimuli(), study, spent, patience)

    def questions(self, agent: ServiceAgent, n: int) -> pl.DataFrame:
        planned = triplets.plan(agent.items(), TRIPLETS.empty(), train=n)
        asked = triplets.questions(planned, seed=0)
        return asked.with_columns(
            agent.stimulus_version(asked.select("a", "b", "c").to_numpy()), attempted=pl.lit(0, pl.Int32)
        )


def stimuli() -> Stimuli:
    ids = [f"v{item:02d}" for item in range(N)]
    videos = pl.DataFrame({"video_id": ids, "item": np.arange(N, dtype=np.int32), "status": ["no_media"] * N})
    rows = [(ids[i], c, f"clip {i} " + "and so on " * ((7 * i + c) % N)) for i in range(N) for c in range(2)]
    captions = pl.DataFrame(rows, schema={"video_id": pl.String, "caption": pl.Int32, "text": pl.String}, orient="row")
    videos = pl.concat([VIDEOS.empty(), videos], how="diagonal")
    return Stimuli(videos, captions.lazy(), RATINGS.empty().lazy(), FRAMES.empty().lazy())


def collect(agent: ServiceAgent, questions: pl.DataFrame) -> tuple[Answers, Exception | None]:
    """All that was handed over, and how the run ended."""
    judgments, attempts, problem = [JUDGMENTS.empty()], [ATTEMPTS.empty()], None
    try:
        for chunk in agent.judge([questions], lambda n: None):
            judgments.append(chunk.judgments)
            attempts.append(chunk.attempts)
    except Exception as error:
        problem = error
    together = Answers(JUDGMENTS.validate(pl.concat(judgments)), ATTEMPTS.validate(pl.concat(attempts)))
    return together, problem


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CANARY_KEY", KEY)
    return KEY


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    with ExitStack() as stack:

        def start(use: str = "first", **settings: Any) -> Bench:
            return Bench(stack.enter_context(serving(replace(Service(), **settings))), tmp_path, use)

        yield start
