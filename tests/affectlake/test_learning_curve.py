import numpy as np
import pytest

from affectlake import spose
from affectlake.learning_curve import learning_curve
from tests.affectlake._planted import judge, plant

N = 40


@pytest.fixture(scope="module")
def planted():
    return plant(N, 4, active=2, scale=0.9, seed=1)


@pytest.fixture(scope="module")
def answers(planted):
    return judge(planted, 6000, seed=2)


@pytest.fixture(scope="module")
def parts(planted, answers):
    held_out = judge(planted, 3000, seed=3)
    return learning_curve(answers, N, held_out, l1=0.03, dimensions=12, shares=(0.05, 0.3, 0.9))


def test_more_judgments_predict_better(parts):
    assert [p.n for p in parts] == [300, 1800, 5400]
    assert parts[0].score.accuracy < parts[1].score.accuracy <= parts[2].score.high


def test_the_order_of_rows_does_not_matter(planted, answers, parts):
    shuffled = np.random.default_rng(4).permutation(answers)
    again = learning_curve(shuffled, N, judge(planted, 10, seed=3), l1=0.03, dimensions=12, shares=(0.05,))
    assert again[0].weights.tobytes() == parts[0].weights.tobytes()


def test_without_test_judgments_there_are_weights_and_no_score(answers):
    (part,) = learning_curve(answers, N, np.empty((0, 3), int), l1=0.03, dimensions=6, shares=(0.05,))
    assert part.score is None
    assert part.weights.shape[0] == N


def test_soft_answers_are_learnt_from_as_such(planted, answers):
    soft = spose.probabilities(planted, answers)
    held_out = judge(planted, 3000, seed=3)
    common = {"l1": 0.03, "dimensions": 12, "shares": (0.1,)}
    by_soft = learning_curve(answers, N, held_out, probabilities=soft, **common)[0]
    by_hard = learning_curve(answers, N, held_out, **common)[0]
    assert spose.cross_entropy(by_soft.weights, held_out) < spose.cross_entropy(by_hard.weights, held_out)
