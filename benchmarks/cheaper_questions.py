"""Claim: soft labels need at most 0.7 of the judgments that random hard choices need; active and warm starts do not.

A judge with a planted space of 8 dimensions (the demo's clips, captions and space; SYNTHETIC) is asked in four ways:

- random: uniform random questions, one choice each (the simulated agent)
- soft: the same questions to the same judge behind a loopback service, through the client that asks real services; its
  token probabilities are learnt from. The choices of that judge, learnt from alone, are the curve "service"
- active: waves of questions by expected information (``_active_sampling.py``), a quarter of each wave uniform
- warm: random, the fit starting from a space learnt from a sentence-embedding model's answers on the captions

Recovered is: mean correlation of matched dimensions (absent ones count 0) at least 0.8, and held-out accuracy within
0.5 points of the planted space's. Held-out accuracy is its expectation over the judge's answers to random questions,
ties split evenly. The number needed is interpolated between the budgets on a logarithmic scale; ratios are by seed.

    python benchmarks/cheaper_questions.py [--seeds FIRST END] [--csv FILE]
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from _active_sampling import probabilities, wave

from affectlake import judged, spose, triplets
from affectlake.demo.captions import describe
from affectlake.demo.space import plant
from affectlake.reproducibility import match
from affectlake.tables import CAPTIONS, FRAMES, JUDGMENTS, RATINGS, VIDEOS
from resources.agents import build_agent
from resources.agents.protocol import Stimuli
from resources.study import load_study
from tests.services.server import Service, serving

N_ITEMS, TEMPERATURE, DIMENSIONS = 240, 0.4, 30
BUDGETS = (1000, 1500, 2200, 3300, 5000, 7500, 11_000, 16_000, 24_000, 36_000)
SERVED, SERVED_ONCE = 3300, 11_000
"""Questions put to the service, for each seed and for the first."""
CORRELATION, POINTS, SHIPPED = 0.8, 0.005, 0.7
ARMS = ("random", "soft", "active", "warm", "service")

STUDY = """
name: planted
synthetic: true
stimuli: {{manifest: videos.csv}}
captions: {{file: captions.csv}}
triplets: {{seed: {seed}}}
profiles: {{here: {{base_url: "{url}", key_env: PLANTED_KEY, max_in_flight: 64, requests_per_minute: 10000000}}}}
models:
  - {{name: sampled, agent: simulated, file: planted.npy, ids: ids.txt, temperature: {temperature}, seed: {seed}}}
  - {{name: served, agent: openai, profile: here, model: planted}}
  - {{name: text, agent: text}}
"""


class World:
    """One planted space with its judges."""

    def __init__(self, seed: int, folder: Path) -> None:
        rng = np.random.default_rng([seed, 0])
        self.seed, self.folder = seed, folder
        self.planted = plant(N_ITEMS, rng).planted
        self.true = self.planted / np.float32(math.sqrt(TEMPERATURE))
        self.texts: list[str] = []
        for weights in self.planted:
            text = describe(weights, rng, n=1)[0]
            while text in self.texts:
                text = describe(weights, rng, n=1)[0]
            self.texts.append(text)
        self.service = Service(persona=self.persona, sampled=True, remember=False, seed=seed)
        self.test = triplets.sample(N_ITEMS, 20_000, seed=seed + 1000)
        self.p = probabilities(self.true, self.test)

    def persona(self, captions, key):
        """Judge by the planted weights of the clips that these captions describe."""
        a, b, c = (self.true[self.texts.index(captions[label])] for label in "ABC")
        e = np.exp([b @ c, a @ c, a @ b])
        return tuple(float(x) for x in e / e.sum())

    def agent(self, name):
        """One of the study's agents, with the captions to read."""
        ids = [f"clip{i:03d}" for i in range(N_ITEMS)]
        np.save(self.folder / "planted.npy", self.planted)
        (self.folder / "ids.txt").write_text("\n".join(ids))
        path = self.folder / "study.yaml"
        path.write_text(STUDY.format(seed=self.seed, url=self.service.url, temperature=TEMPERATURE))
        study = load_study(path)
        videos = pl.DataFrame({"video_id": ids, "item": np.arange(N_ITEMS, dtype=np.int32), "status": "no_media"})
        captions = pl.DataFrame(
            {"video_id": ids, "caption": pl.Series([0] * N_ITEMS, dtype=pl.Int32), "text": self.texts}
        )
        stimuli = Stimuli(
            pl.concat([VIDEOS.empty(), videos], how="diagonal"),
            CAPTIONS.validate(captions).lazy(),
            RATINGS.empty().lazy(),
            FRAMES.empty().lazy(),
        )
        return build_agent(study.model(name), stimuli, study)

    def judge(self, name, sets):
        """The answers of an agent to sets of three items, in their order, as rows of ``judgments``."""
        agent = self.agent(name)
        frame = pl.DataFrame(np.sort(sets, axis=1).astype(np.int32), schema=["a", "b", "c"], orient="row")
        planned = frame.with_columns(
            triplet_id=pl.Series(triplets.rank(sets)), orders=pl.lit(1, pl.Int32), repeats=pl.lit(1, pl.Int32)
        )
        asked = triplets.questions(planned, seed=self.seed).with_columns(
            agent.stimulus_version(np.sort(sets, axis=1)), attempted=pl.lit(0, pl.Int32)
        )
        agent.prepare(lambda done, total: None)
        answers = pl.concat([JUDGMENTS.empty(), *(c.judgments for c in agent.judge([asked], lambda n: None))])
        assert answers.height == len(sets), "every question is answered"
        return asked.select("triplet_id").join(answers, on="triplet_id", maintain_order="left")

    def score(self, weights):
        """Mean r of matched dimensions and the shortfall of expected held-out accuracy."""
        if not weights.shape[1]:
            return 0.0, 1 / 3 - float(self.p.max(axis=1).mean())
        of, _, r = match(self.planted, weights)
        found = np.zeros(self.planted.shape[1])
        found[of] = r
        a, b, c = (weights[self.test[:, k]] for k in range(3))
        z = np.stack([(b * c).sum(1), (a * c).sum(1), (a * b).sum(1)], axis=1)
        best = z >= z.max(axis=1, keepdims=True) - 1e-6
        accuracy = (best * self.p).sum(axis=1) / best.sum(axis=1)
        return float(found.mean()), float(accuracy.mean() - self.p.max(axis=1).mean())


def fit(answers, seed, *, soft=False, start=None):
    p = judged.odd_probabilities(answers) if soft else None
    return spose.fit(
        judged.odd_last(answers),
        N_ITEMS,
        dimensions=DIMENSIONS,
        seed=seed,
        probabilities=p,
        weights=start,
        device="cpu",
    ).weights


def curve(world, arm, budgets):
    """(budget, mean r, shortfall) of one way to ask."""
    sets = triplets.sample(N_ITEMS, BUDGETS[-1], seed=world.seed + 5)
    if arm == "active":
        return list(actively(world, sets))
    start = None
    if arm == "warm":
        start = spose.fit(
            judged.odd_last(text := world.judge("text", sets)), N_ITEMS, dimensions=DIMENSIONS, seed=world.seed,
            probabilities=judged.odd_probabilities(text), device="cpu",
        ).weights  # fmt: skip
        print(f"  text's own space: r {world.score(start)[0]:.3f}", flush=True)
    answers = world.judge("served" if arm in ("service", "soft") else "sampled", sets[: budgets[-1]])
    return [(n, *world.score(fit(answers.head(n), world.seed, soft=arm == "soft", start=start))) for n in budgets]


def actively(world, sets):
    rng = np.random.default_rng([world.seed, 7])
    asked = sets[: BUDGETS[1]]
    answers = world.judge("sampled", asked)
    for n in BUDGETS[1:]:
        if n > len(asked):
            more, _ = wave(weights, asked, n - len(asked), rng)  # noqa: F821 - the first budget is uniform
            asked = np.concatenate([asked, more])
            answers = pl.concat([answers, world.judge("sampled", more)])
        weights = fit(answers, world.seed)
        yield (len(asked), *world.score(weights))


def needed(points):
    """Judgments at which both conditions hold, by the worse of the two; infinite where they never do."""
    found = []
    for column, goal in ((1, CORRELATION), (2, -POINTS)):
        below = [k for k, p in enumerate(points) if p[column] < goal]
        if not below:
            found.append(points[0][0])
        elif below[-1] == len(points) - 1:
            return math.inf
        else:
            (n0, y0), (n1, y1) = ((points[below[-1] + d][0], points[below[-1] + d][column]) for d in (0, 1))
            found.append(n0 * (n1 / n0) ** ((goal - y0) / (y1 - y0)))
    return max(found)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs=2, default=(0, 3))
    parser.add_argument("--arms", nargs="+", default=ARMS)
    parser.add_argument("--csv", type=Path)
    chosen = parser.parse_args()
    os.environ["PLANTED_KEY"] = "none"
    rows, ratios = [], {}
    for seed in range(*chosen.seeds):
        with tempfile.TemporaryDirectory() as folder:
            world = World(seed, Path(folder))
            with serving(world.service):
                for arm in chosen.arms:
                    served = SERVED if arm == "soft" or seed else SERVED_ONCE
                    budgets = [n for n in BUDGETS if arm in ("random", "warm") or n <= served]
                    begin = time.process_time()
                    points = curve(world, arm, budgets)
                    rows += [(arm, seed, *p) for p in points]
                    ratios[arm, seed] = needed(points)
                    shown = "  ".join(f"{n}: {r:.3f} {100 * short:+.2f}" for n, r, short in points)
                    print(
                        f"seed {seed} {arm:8s} {ratios[arm, seed]:8.0f}  "
                        f"({time.process_time() - begin:.0f} CPU s)  {shown}",
                        flush=True,
                    )
    if chosen.csv:
        with chosen.csv.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("way", "seed", "judgments", "r", "shortfall"), *rows])
    for arm in chosen.arms:
        if arm != "service" and "random" in chosen.arms:
            r = [ratios[arm, s] / ratios["random", s] for s in range(*chosen.seeds)]
            print(
                f"{arm:8s} needs {np.median(r):.2f} of random's judgments (by seed: {', '.join(f'{x:.2f}' for x in r)})"
            )


if __name__ == "__main__":
    main()
