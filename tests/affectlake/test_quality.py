import numpy as np
import pytest

from affectlake import quality, spose
from affectlake.errors import InputError
from tests.affectlake._planted import judge, plant


@pytest.fixture(scope="module")
def planted():
    return plant(80, 6, active=2, scale=0.9, seed=1)


@pytest.fixture(scope="module")
def answers(planted):
    return judge(planted, 5000, seed=2)


def test_held_out_accuracy_has_an_interval_over_items(planted, answers):
    score = quality.held_out(planted, answers)
    right = spose.predict(planted, answers) == answers[:, 2]
    by_item = np.array([right[(answers == i).any(axis=1)].mean() for i in range(80)])
    np.testing.assert_allclose(score.by_item, by_item)
    assert score.accuracy == pytest.approx(right.mean())
    assert score.high - score.accuracy == pytest.approx(1.96 * by_item.std(ddof=1) / np.sqrt(80))
    assert score.n == 5000


def test_ties_are_counted_and_wrong(answers):
    score = quality.held_out(np.zeros((80, 3), np.float32), answers)
    assert (score.accuracy, score.n_ties) == (0, 5000)


def test_items_that_were_not_asked_have_no_accuracy(planted):
    score = quality.held_out(planted, [[0, 1, 2]])
    assert np.isnan(score.by_item[3:]).all()


def test_chance_is_a_third_for_a_fair_judge(planted, answers):
    estimate = quality.chance(planted, answers)
    answered = (spose.predict(planted, answers) >= 0).mean()
    assert estimate.value == pytest.approx(answered / 3, abs=0.005)
    assert estimate.low < answered / 3 < estimate.high


def test_chance_agrees_with_permuting_the_answers_by_hand(planted, answers):
    rng = np.random.default_rng(0)
    ordered = np.sort(answers, axis=1)
    truth = (ordered == answers[:, 2:]).argmax(axis=1)
    odd = spose.predict(planted, answers)
    guess = np.where(odd < 0, -1, (ordered == odd[:, None]).argmax(axis=1))
    by_hand = [(guess == rng.permutation(truth)).mean() for _ in range(300)]
    estimate = quality.chance(planted, answers)
    assert estimate.value == pytest.approx(np.mean(by_hand), abs=0.002)
    assert estimate.high - estimate.low == pytest.approx(np.subtract(*np.quantile(by_hand, [0.975, 0.025])), rel=0.2)


def test_the_noise_ceiling_is_the_mean_share_of_the_modal_answer():
    question = [1, 1, 1, 1, 2, 2, 2, 2, 3]
    odd = [5, 5, 5, 6, 7, 7, 8, 8, 9]
    estimate = quality.noise_ceiling(question, odd)
    assert estimate.value == pytest.approx((0.75 + 0.5) / 2)
    assert estimate.high - estimate.value == pytest.approx(1.96 * np.std([0.75, 0.5], ddof=1) / np.sqrt(2))


def test_the_noise_ceiling_does_not_depend_on_the_order_of_answers():
    rng = np.random.default_rng(1)
    question, odd = rng.integers(0, 50, 500), rng.integers(0, 3, 500)
    order = rng.permutation(500)
    assert quality.noise_ceiling(question, odd) == quality.noise_ceiling(question[order], odd[order])


def test_a_ceiling_without_repeats_is_refused():
    with pytest.raises(InputError, match="no question was asked twice"):
        quality.noise_ceiling([1, 2], [0, 1])


def test_items_with_one_dimension_each_need_one(answers):
    weights = np.zeros((80, 5), np.float32)
    weights[np.arange(80), np.arange(80) % 5] = 1
    needed = quality.dimensions_needed(weights, answers)
    assert {share: (e.value, e.low, e.high) for share, e in needed.items()} == {0.95: (1, 1, 1), 0.99: (1, 1, 1)}


def test_keeping_more_of_the_accuracy_needs_more_dimensions(planted, answers):
    needed = quality.dimensions_needed(planted, answers, shares=(0.5, 0.95, 1.0))
    assert 1 <= needed[0.5].value <= needed[0.95].value <= needed[1.0].value <= 6
    assert needed[0.95].low <= needed[0.95].value <= needed[0.95].high


def test_dimensions_needed_follow_their_definition(planted, answers):
    largest_first = np.sort(planted, axis=1)[:, ::-1]
    full = spose.accuracy(planted, answers)
    kept = [spose.accuracy(np.where(planted >= largest_first[:, [k]], planted, 0), answers) for k in range(6)]
    first = next(k + 1 for k, a in enumerate(kept) if a >= 0.99 * full)
    assert quality.dimensions_needed(planted, answers)[0.99].value == first


def test_the_share_of_the_ceiling_carries_both_errors(planted, answers):
    score = quality.held_out(planted, answers)
    sure = quality.share_of_ceiling(score, quality.Estimate(0.8, 0.8, 0.8))
    unsure = quality.share_of_ceiling(score, quality.Estimate(0.8, 0.7, 0.9))
    assert sure.value == unsure.value == pytest.approx(score.accuracy / 0.8)
    assert sure.high == pytest.approx(score.high / 0.8)
    assert unsure.high - unsure.value > max(sure.high - sure.value, 0.12 * unsure.value)


def test_agreement_is_the_share_of_equal_answers_and_can_be_normalised():
    raw = quality.agreement([1, 2, 3, 4], [1, 2, 0, 0])
    assert raw.value == 0.5
    assert quality.agreement([1, 2, 3, 4], [1, 2, 0, 0], ceiling=0.8).value == pytest.approx(0.625)


def test_nothing_to_score_is_refused(planted):
    with pytest.raises(InputError, match="no held-out judgment"):
        quality.held_out(planted, np.empty((0, 3), int))
    with pytest.raises(InputError, match="no held-out judgment"):
        quality.dimensions_needed(planted, np.empty((0, 3), int))
