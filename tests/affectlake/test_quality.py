import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from affectlake import quality, similarity, spose
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


def test_the_rsm_fit_is_pearson_over_the_pairs_that_were_shown(planted, answers):
    measured = similarity.measured_rsm(answers[:900], 80)
    predicted = similarity.predicted_rsm(planted)
    assert np.isnan(measured).any()
    estimate = quality.rsm_fit(predicted, measured)
    shown = np.isfinite(similarity.upper(measured))
    r = np.corrcoef(similarity.upper(predicted)[shown], similarity.upper(measured)[shown])[0, 1]
    assert estimate.value == pytest.approx(r)
    assert estimate.low < r < estimate.high


def test_the_bootstrap_interval_has_the_width_of_theory():
    rng = np.random.default_rng(5)
    n = 70
    x, y = rng.normal(size=(2, n, n))
    estimate = quality.rsm_fit(x, 0.5 * x + y)
    width = np.arctanh(estimate.high) - np.arctanh(estimate.low)
    assert width == pytest.approx(2 * 1.96 / np.sqrt(n * (n - 1) / 2 - 3), rel=0.1)


def test_more_dimensions_fit_better_and_the_last_value_is_the_full_fit(planted, answers):
    measured = similarity.measured_rsm(answers, 80)
    weights = spose.prune(planted)
    curve = quality.rsm_fit_by_dimensions(weights, measured)
    assert len(curve) == weights.shape[1]
    assert curve[-1] == pytest.approx(quality.rsm_fit(similarity.predicted_rsm(weights), measured).value)
    assert curve[-1] > curve[0]


def test_items_with_one_dimension_each_need_one(answers):
    weights = np.zeros((80, 5), np.float32)
    weights[np.arange(80), np.arange(80) % 5] = 1
    assert quality.dimensions_needed(weights, answers) == {0.95: 1, 0.99: 1}


def test_keeping_more_of_the_accuracy_needs_more_dimensions(planted, answers):
    needed = quality.dimensions_needed(planted, answers, shares=(0.5, 0.95, 1.0))
    assert 1 <= needed[0.5] <= needed[0.95] <= needed[1.0] <= 6


@pytest.mark.parametrize("k", [1, 3])
def test_categorisation_is_leave_one_out_nearest_centroid(k):
    rng = np.random.default_rng(6)
    labels = rng.integers(0, 6, 90)
    vectors = rng.normal(size=(6, 4))[labels] + rng.normal(size=(90, 4))
    right = 0
    for i in range(90):
        rest = np.arange(90) != i
        model = NearestCentroid().fit(vectors[rest], labels[rest])
        nearest = np.argsort(np.linalg.norm(model.centroids_ - vectors[i], axis=1))[:k]
        right += labels[i] in model.classes_[nearest]
    assert quality.top3(vectors, labels, k=k) == pytest.approx(right / 90)


def test_the_only_item_of_a_category_cannot_be_right():
    vectors = np.array([[0.0], [0.1], [5.0]])
    assert quality.top3(vectors, ["a", "a", "b"], k=1) == pytest.approx(2 / 3)


def test_identical_vectors_say_nothing_about_categories():
    assert quality.top3(np.zeros((40, 3)), np.arange(40) % 8) == 0


def test_permuted_labels_categorise_at_chance():
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(6), 20)
    vectors = np.eye(6)[labels] + 0.1 * rng.normal(size=(120, 6))
    assert quality.top3(vectors, labels) > 0.95
    assert quality.top3_chance(vectors, labels, permutations=40).value == pytest.approx(0.5, abs=0.12)


def test_agreement_is_the_share_of_equal_answers_and_can_be_normalised():
    raw = quality.agreement([1, 2, 3, 4], [1, 2, 0, 0])
    assert raw.value == 0.5
    assert quality.agreement([1, 2, 3, 4], [1, 2, 0, 0], ceiling=0.8).value == pytest.approx(0.625)


def test_nothing_to_score_is_refused(planted):
    with pytest.raises(InputError, match="no held-out judgment"):
        quality.held_out(planted, np.empty((0, 3), int))
