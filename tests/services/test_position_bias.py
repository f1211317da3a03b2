"""A judge that prefers a place: how much, is found out; with random orders it costs the space next to nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from affectlake import judged, spose
from affectlake.prompts import LABELS
from affectlake.similarity import predicted_rsm
from resources.agents.simulated import SimulatedAgent
from resources.study import SimulatedModel
from tests.resources.agents.conftest import Toy, build
from tests.services.conftest import Bench, N, collect
from tests.services.server import Captions, Persona

BIAS = (-0.5, 0.0, 1.0)
"""Log odds of the first, second and third place."""

TURN = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])
"""For the odd one's column, the columns with the odd one last."""


def centred(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.asarray(logits, dtype=np.float64)
    return values - values.mean()


def learn(judgments: pl.DataFrame, n_items: int, *, positions: bool) -> spose.Spose:
    """The space behind judgments, with or without intercepts for the places."""
    items = judgments.select("a", "b", "c").to_numpy()
    turn = TURN[(items == judgments["odd"].to_numpy()[:, None]).argmax(axis=1)]
    place = np.array([[order.index(x) for x in "abc"] for order in judgments["presented"]])
    return spose.fit(
        np.take_along_axis(items, turn, axis=1),
        n_items,
        dimensions=12,
        l1=0.02,
        probabilities=judged.odd_probabilities(judgments),
        positions=np.take_along_axis(place, turn, axis=1) if positions else None,
    )


def fit_of(weights: npt.ArrayLike, planted: npt.NDArray[np.float32]) -> float:
    """Correlation of the similarities that two spaces predict."""
    above = np.triu_indices(len(planted), 1)
    return float(np.corrcoef(predicted_rsm(weights)[above], predicted_rsm(planted)[above])[0, 1])


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return build(tmp_path_factory.mktemp("biased"))


def answers(toy: Toy, bias: tuple[float, float, float], seed: int, *, order: str | None = None) -> pl.DataFrame:
    """Three answers of a simulated judge to each of 9,000 triplets, in random orders or in one."""
    settings = SimulatedModel(
        name="m",
        agent="simulated",
        file="space.npy",
        ids="ids.txt",
        position_bias=bias,
        seed=seed,  # type: ignore[arg-type]
    )
    agent = SimulatedAgent(settings, toy.stimuli, toy.study)
    asked = toy.questions(agent, 9000)
    asked = asked.unique("triplet_id", keep="first", maintain_order=True)
    rng = np.random.default_rng(seed)
    orders = np.array(["abc", "acb", "bac", "bca", "cab", "cba"])[rng.integers(0, 6, (3, asked.height))]
    repeats = [
        asked.with_columns(
            presented=pl.Series(orders[i]) if order is None else pl.lit(order), repeat=pl.lit(i, pl.Int32)
        )
        for i in range(3)
    ]
    return toy.answers(agent, pl.concat(repeats)).judgments


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 5))])
def test_with_random_orders_a_bias_is_estimated_within_five_hundredths_and_costs_the_space_under_two(
    toy: Toy, seed: int
) -> None:
    n = len(toy.space)
    fair = fit_of(learn(answers(toy, (0.0, 0.0, 0.0), seed), n, positions=False).weights, toy.space)
    biased = answers(toy, BIAS, seed)
    plain, corrected = learn(biased, n, positions=False), learn(biased, n, positions=True)
    assert np.abs(centred(corrected.position_intercepts) - centred(BIAS)).max() < 0.05
    assert fair - fit_of(plain.weights, toy.space) < 0.02
    assert fair - fit_of(corrected.weights, toy.space) < 0.02
    # what random orders are for: one order costs more than they do, whatever the number of answers
    fixed = fit_of(learn(answers(toy, BIAS, seed, order="abc"), n, positions=False).weights, toy.space)
    assert fair - fixed > 2 * (fair - fit_of(plain.weights, toy.space))


def planted(space: npt.NDArray[np.float64]) -> Persona:
    """Judges by the clips' places in a space, and by the place at which they are shown."""

    def judge(captions: Captions, key: str) -> tuple[float, float, float]:
        items = [int(re.findall(r"clip (\d+)", captions[label])[0]) for label in LABELS]
        x, y, z = space[items]
        odds = [math.exp(u + b) for u, b in zip((y @ z, x @ z, x @ y), BIAS, strict=True)]
        a, b, c = (o / sum(odds) for o in odds)
        return a, b, c

    return judge


@pytest.mark.parametrize(("n", "soft"), [(600, True), pytest.param(11_000, False, marks=pytest.mark.long)])
def test_a_service_that_prefers_a_place_is_found_out(bench: Callable[..., Bench], n: int, soft: bool) -> None:
    space = np.random.default_rng(3).gamma(0.5, 1.0, (N, 5))
    here = bench(persona=planted(space), sampled=True)
    agent = here.agent(logprobs=soft)
    found, problem = collect(agent, here.questions(agent, n))
    assert problem is None
    assert found.judgments.height == n
    intercepts = learn(found.judgments, N, positions=True).position_intercepts
    assert np.abs(centred(intercepts) - centred(BIAS)).max() < 0.05
