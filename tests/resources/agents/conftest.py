"""A small study in memory: 40 clips with captions, ratings and a planted space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from affectlake import triplets
from affectlake.scales import CATEGORIES, DIMENSIONS
from affectlake.tables import ATTEMPTS, FRAMES, JUDGMENTS, TRIPLETS, VIDEOS
from resources.agents import build_agent
from resources.agents.protocol import Agent, Answers, Stimuli
from resources.study import Study, load_study

N = 40


@dataclass(frozen=True)
class Toy:
    """A study, its stimuli, the planted space and a folder for more files."""

    study: Study
    stimuli: Stimuli
    space: np.ndarray
    folder: Path

    def agent(self, name: str) -> Agent:
        return build_agent(self.study.model(name), self.stimuli, self.study)

    @staticmethod
    def answers(agent: Agent, questions: pl.DataFrame) -> Answers:
        chunks = list(agent.judge([questions], lambda done: None))
        judgments, attempts = pl.concat([c.judgments for c in chunks]), pl.concat([c.attempts for c in chunks])
        return Answers(JUDGMENTS.validate(judgments), ATTEMPTS.validate(attempts))

    @staticmethod
    def questions(agent: Agent, n: int = 2000) -> pl.DataFrame:
        planned = triplets.plan(agent.items(), TRIPLETS.empty(), train=n, panel=20)
        asked = triplets.questions(planned, seed=0)
        return asked.with_columns(agent.stimulus_version(asked.select("a", "b", "c").to_numpy()))


STUDY = """
name: toy
stimuli: {manifest: videos.csv}
captions: {file: captions.csv, use: USE}
ratings: {file: ratings.csv}
models:
  - {name: category, agent: ratings, scale: category}
  - {name: dimension, agent: ratings, scale: dimension}
  - {name: planted, agent: simulated, file: space.npy, ids: ids.txt, temperature: 0.5}
  - {name: biased, agent: simulated, file: space.npy, ids: ids.txt, temperature: 5, position_bias: [-0.5, 0, 1]}
  - {name: lapsing, agent: simulated, file: space.npy, ids: ids.txt, lapse: 1}
  - {name: text, agent: text}
  - {name: raw, agent: features, scale: category}
  - {name: space, agent: features, file: space.npy, ids: ids.txt}
  - {name: last, agent: recorded, file: recorded.txt, odd: last, ids: ids.txt}
  - {name: numbered, agent: recorded, file: recorded.txt, odd: first}
"""


def build(folder: Path, use: str = "first") -> Toy:
    rng = np.random.default_rng(0)
    space = rng.gamma(0.5, 1.0, (N, 5))
    # ids run against items, so that whoever joins by place gives wrong answers
    ids = [f"v{N - 1 - item:02d}" for item in range(N)]
    status = ["left" if item == 7 else "no_media" for item in range(N)]
    videos = pl.DataFrame({"video_id": ids, "item": np.arange(N, dtype=np.int32), "status": status})
    videos = pl.concat([VIDEOS.empty(), videos], how="diagonal")
    captions = pl.DataFrame(
        [
            (ids[i], c, f"a {'dog runs' if i % 2 else 'face cries'} {'slowly ' * (i // 2)}{c}")
            for i in range(30)
            for c in (1, 0, 2)
        ],
        schema={"video_id": pl.String, "caption": pl.Int32, "text": pl.String},
        orient="row",
    )
    scores = {n: rng.uniform(0, 1, N) for n in CATEGORIES} | {n: rng.uniform(1, 9, N) for n in DIMENSIONS}
    scale = dict.fromkeys(CATEGORIES, "category") | dict.fromkeys(DIMENSIONS, "dimension")
    ratings = pl.DataFrame(
        [(ids[i], scale[n], n, float(v[i])) for n, v in scores.items() for i in range(N - 2)],
        schema={"video_id": pl.String, "scale": pl.String, "name": pl.String, "value": pl.Float64},
        orient="row",
    )
    order = rng.permutation(N)
    np.save(folder / "space.npy", space[order].astype(np.float32))
    (folder / "ids.txt").write_text("\n".join(ids[i] for i in order) + "\n")
    (folder / "study.yaml").write_text(STUDY.replace("USE", use))
    stimuli = Stimuli(videos, captions.lazy(), ratings.lazy(), FRAMES.empty().lazy())
    return Toy(load_study(folder / "study.yaml"), stimuli, space.astype(np.float32), folder)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return build(tmp_path)


@pytest.fixture
def make_toy(tmp_path: Path) -> Callable[[str], Toy]:
    return lambda use: build(tmp_path, use)


@pytest.fixture(scope="session")
def cowen_keltner() -> Path:
    """Real data beside the checkout; see its README."""
    folder = Path(__file__).parents[4] / "shared" / "data" / "cowen-keltner"
    if not folder.is_dir():
        pytest.skip(f"the real data are not here: {folder}")
    return folder
