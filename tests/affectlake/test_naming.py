import numpy as np
import pytest
from scipy.stats import false_discovery_control, pearsonr

from affectlake import naming
from affectlake.errors import InputError

NAMES = [("category", "Fear"), ("category", "Joy"), ("dimension", "arousal"), ("dimension", "valence")]


@pytest.fixture
def ratings():
    return np.random.default_rng(0).normal(size=(300, 4))


def dimension_from(ratings, *, seed=1, noise=0.5, **parts):
    rng = np.random.default_rng(seed)
    column = {name: k for k, (_, name) in enumerate(NAMES)}
    return sum(w * ratings[:, column[name]] for name, w in parts.items()) + noise * rng.normal(size=len(ratings))


def test_correlations_and_q_are_those_of_scipy(ratings):
    weights = np.random.default_rng(2).random((300, 3))
    weights[:, 0] += 0.3 * ratings[:, 1]
    expected = [[pearsonr(weights[:, i], ratings[:, j]) for j in range(4)] for i in range(3)]
    r, q = naming.correlate(weights, ratings)
    np.testing.assert_allclose(r, [[e.statistic for e in row] for row in expected])
    p = np.array([[e.pvalue for e in row] for row in expected])
    np.testing.assert_allclose(q, false_discovery_control(p.ravel()).reshape(3, 4), atol=1e-12)


@pytest.mark.parametrize(
    ("parts", "label", "kind"),
    [
        ({"Fear": 1}, "Fear", "category"),
        ({"arousal": 1}, "arousal-high", "dimension"),
        ({"valence": -1}, "valence-low", "dimension"),
        ({"Fear": 1, "valence": -0.8}, "Fear / valence-low", "hybrid"),
        ({"Joy": -1}, "unnamed", "none"),
        ({}, "unnamed", "none"),
    ],
)
def test_a_dimension_is_named_by_the_ratings_that_it_is_made_of(ratings, parts, label, kind):
    meaning = naming.name_dimensions(dimension_from(ratings, **parts)[:, None], ratings, NAMES)[0]
    assert (meaning.label, meaning.kind) == (label, kind)
    assert [(c.scale, c.name) for c in meaning.correlations] == NAMES


def test_the_rule_is_data(ratings):
    weights = dimension_from(ratings, Fear=1, valence=-0.8)[:, None]
    strict = naming.Rule(share_of_best=0.95)
    assert naming.name_dimensions(weights, ratings, NAMES, rule=strict)[0].kind == "category"
    assert naming.name_dimensions(weights, ratings, NAMES, rule=naming.Rule(words=1))[0].label == "Fear"


def test_items_without_a_rating_are_left_out_of_that_rating_only(ratings):
    weights = dimension_from(ratings, Fear=1)[:, None]
    ratings[:50, 0] = np.nan
    r, _ = naming.correlate(weights, ratings)
    assert r[0, 0] == pytest.approx(np.corrcoef(weights[50:, 0], ratings[50:, 0])[0, 1])
    assert r[0, 1] == pytest.approx(np.corrcoef(weights[:, 0], ratings[:, 1])[0, 1])


def test_constant_columns_go_with_nothing(ratings):
    ratings[:, 2] = 4.2
    r, q = naming.correlate(np.ones((300, 2)), ratings)
    assert (r == 0).all()
    assert (q == 1).all()


def test_an_embedding_without_dimensions_has_no_names(ratings):
    assert naming.name_dimensions(np.zeros((300, 0)), ratings, NAMES) == []


def test_the_order_of_items_does_not_matter(ratings):
    weights = dimension_from(ratings, Fear=1, arousal=0.7)[:, None]
    order = np.random.default_rng(3).permutation(300)
    assert naming.name_dimensions(weights, ratings, NAMES)[0].label == "Fear / arousal-high"
    assert naming.name_dimensions(weights[order], ratings[order], NAMES)[0].label == "Fear / arousal-high"


def test_ratings_of_other_items_are_refused(ratings):
    with pytest.raises(InputError, match="do not belong together"):
        naming.correlate(np.ones((10, 2)), ratings)
