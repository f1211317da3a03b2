import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from affectlake import categorisation
from affectlake.errors import InputError


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
    assert categorisation.top3(vectors, labels, k=k).value == pytest.approx(right / 90)


def test_the_only_item_of_a_category_cannot_be_right():
    vectors = np.array([[0.0], [0.1], [5.0]])
    assert categorisation.top3(vectors, ["a", "a", "b"], k=1).value == pytest.approx(2 / 3)


def test_identical_vectors_say_nothing_about_categories():
    assert categorisation.top3(np.zeros((40, 3)), np.arange(40) % 8).value == 0


def test_permuted_labels_categorise_at_chance():
    rng = np.random.default_rng(7)
    labels = np.repeat(np.arange(6), 20)
    vectors = np.eye(6)[labels] + 0.1 * rng.normal(size=(120, 6))
    assert categorisation.top3(vectors, labels).low > 0.9
    assert categorisation.top3_chance(vectors, labels, permutations=40).value == pytest.approx(0.5, abs=0.12)


def test_the_interval_is_that_of_a_share_over_items():
    rng = np.random.default_rng(8)
    score = categorisation.top3(rng.normal(size=(400, 3)), rng.integers(0, 6, 400))
    half = 1.96 * np.sqrt(score.value * (1 - score.value) / 399)
    assert score.high - score.value == pytest.approx(half)


def test_vectors_without_labels_are_refused():
    with pytest.raises(InputError, match="do not belong together"):
        categorisation.top3(np.zeros((3, 2)), ["a", "b"])
