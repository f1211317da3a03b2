"""The rows that describe a space hold what its parts say, whatever the order of the items."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from affectlake import assessment, curves, judged, learning_curve, quality, spose
from affectlake.scales import CATEGORIES
from affectlake.tables import DIMENSIONS, EMBEDDING_CURVES, EMBEDDING_QUALITY, EMBEDDINGS
from tests.affectlake._planted import judge, plant

N = 40
STAMP = {"code_version": "c", "source_versions": "{}"}


def judgment_frame(answers, first_id=0):
    """Answers, the odd one last, as rows of ``judgments``."""
    items = np.sort(answers, axis=1)
    return pl.DataFrame(
        {
            "triplet_id": pl.Series(np.arange(len(answers)) + first_id, dtype=pl.Int64),
            "presented": "abc",
            "repeat": pl.Series([0] * len(answers), dtype=pl.Int32),
            **{c: pl.Series(items[:, k], dtype=pl.Int32) for k, c in enumerate("abc")},
            "odd": pl.Series(answers[:, 2], dtype=pl.Int32),
            **{f"p_{c}": pl.Series([None] * len(answers), dtype=pl.Float32) for c in "abc"},
        }
    )


@pytest.fixture(scope="module")
def planted():
    return spose.prune(plant(N, 5, active=2, scale=0.9, seed=1))


@pytest.fixture(scope="module")
def videos():
    return pl.DataFrame({"item": pl.Series(range(N), dtype=pl.Int32), "video_id": [f"v{i:02d}" for i in range(N)]})


@pytest.fixture(scope="module")
def ratings(planted, videos):
    rng = np.random.default_rng(2)
    values = rng.random((N, len(CATEGORIES))) * 0.1
    values[:, :5] += planted
    return pl.DataFrame(
        [
            {"video_id": video, "scale": "category", "name": name, "value": values[i, k]}
            for i, video in enumerate(videos["video_id"])
            for k, name in enumerate(CATEGORIES)
        ]
    )


@pytest.fixture(scope="module")
def space(planted):
    sizes = {"train": 600, "test": 400, "validation": 200}
    parts = [judgment_frame(judge(planted, n, seed=k), 1000 * k) for k, n in enumerate(sizes.values())]
    repeated = pl.concat([judgment_frame(judge(planted, 20, seed=9), 9000)] * 3).with_columns(
        repeat=pl.Series(np.repeat(np.arange(3), 20), dtype=pl.Int32)
    )
    judgments = pl.concat([*parts, repeated])
    names = [name for name, n in sizes.items() for _ in range(n)] + ["ceiling"] * 60
    purposes = judgments.select("triplet_id").with_columns(purpose=pl.Series(names)).unique("triplet_id")
    history = {"loss": [1.0, 0.9], "path": [{"l1": 0.01, "cross_entropy": 0.9, "accuracy": 0.6, "dimensions": 5.0}]}
    r = np.array([0.9, 0.8, np.nan, 0.7, 0.6])
    fit = spose.Spose(planted, 0.01, 0, history, reproducibility=r, runs=(planted, planted[:, ::-1]))
    score = quality.held_out(planted, judge(planted, 50, seed=7))
    part = learning_curve.Part(540, score, planted[:, :4])
    train = judged.with_purpose(judgments, purposes, "train")
    return assessment.learnt(fit, train, judgments, purposes, "v1", (part,))


def row_of(space, videos, ratings, scored=None):
    scored = np.arange(N, dtype=np.int32) if scored is None else scored
    frame = assessment.quality_row(space, "m", videos, ratings, scored, n_refused=3, judgments_version=7)
    assert EMBEDDING_QUALITY.validate(frame.with_columns(**{k: pl.lit(v) for k, v in STAMP.items()})).height == 1
    return frame.row(0, named=True)


def test_a_learnt_space_holds_the_items_that_were_judged_in_training(planted):
    answers = judge(planted, 300, seed=3)
    answers = answers[(answers != 11).all(axis=1)]
    judgments = judgment_frame(answers)
    purposes = judgments.select("triplet_id", purpose=pl.lit("train"))
    space = assessment.learnt(spose.Spose(planted, 0.01, 0), judgments, judgments, purposes, "v1")
    assert 11 not in space.items
    np.testing.assert_array_equal(space.vectors, planted[space.items])
    assert space.n_judgments.sum() == 3 * len(answers)


def test_embedding_rows_keep_the_contract_and_the_vectors(space, planted, videos):
    rows = assessment.embedding_rows(space, "m", videos)
    checked = EMBEDDINGS.validate(rows.with_columns(**{k: pl.lit(v) for k, v in STAMP.items()}))
    one = checked.filter(pl.col("video_id") == "v07").row(0, named=True)
    np.testing.assert_allclose(one["vector"], planted[7])
    assert one["item"] == 7


def test_features_have_vectors_and_no_judgments(planted, videos, ratings):
    features = assessment.Space(np.arange(N, dtype=np.int32), planted, ("one", "two", "three", "four", "five"))
    rows = assessment.embedding_rows(features, "m", videos)
    assert rows["n_judgments"].null_count() == N
    assert assessment.dimension_rows(features, "m", videos, ratings)["label"].to_list()[0] == "one"
    row = row_of(features, videos, ratings)
    assert row["accuracy"] is None
    assert row["judgments_version"] is None
    assert row["top3_34"] > 0


def test_dimensions_are_named_by_ratings_and_carry_their_reproducibility(space, videos, ratings):
    rows = assessment.dimension_rows(space, "m", videos, ratings)
    DIMENSIONS.validate(rows.with_columns(**{k: pl.lit(v) for k, v in STAMP.items()}))
    assert rows["label"][0].startswith(CATEGORIES[0])
    assert rows["share"].sum() == pytest.approx(1)
    assert rows["reproducibility"].to_list() == [0.9, 0.8, None, 0.7, 0.6]
    np.testing.assert_allclose(rows["split_half"], 1, atol=1e-6)
    np.testing.assert_allclose(rows["stability"][:4], 1)
    assert rows["stability"][4] < 0.5


def test_names_do_not_depend_on_the_order_of_items(space, videos, ratings):
    turned = assessment.Space(space.items[::-1], space.vectors[::-1])
    here = assessment.dimension_rows(space, "m", videos, ratings)
    there = assessment.dimension_rows(turned, "m", videos.reverse(), ratings.reverse())
    assert here["label"].equals(there["label"])
    forward, backward = row_of(space, videos, ratings), row_of(turned, videos.reverse(), ratings)
    assert forward["top3_27"] == backward["top3_27"]


def test_the_quality_row_scores_each_purpose_with_its_own_judgments(space, planted, videos, ratings):
    row = row_of(space, videos, ratings, scored=np.arange(N + 10, dtype=np.int32))
    held = quality.held_out(planted, judge(planted, 400, seed=1))
    assert (row["n_train"], row["n_test"], row["n_refused"]) == (600, 400, 3)
    assert row["accuracy"] == held.accuracy
    assert row["coverage"] == N / (N + 10)
    assert row["ceiling"] == 1
    assert row["share_of_ceiling"] == row["accuracy"] / row["ceiling"]
    assert 1 <= row["needed_95"] <= row["needed_99"] <= 5
    assert row["top3_34_low"] < row["top3_34"] < row["top3_34_high"]
    assert row["top3_34_chance_high"] < row["top3_34"]
    assert row["rsm_r_low"] < row["rsm_r"] < row["rsm_r_high"]
    assert (row["l1"], row["judgments_version"]) == (0.01, 7)


def test_a_held_out_judgment_about_three_clips_that_were_trained_on_is_counted_and_kept_out(space, videos, ratings):
    items = ["a", "b", "c"]
    trained = space.trained_on.select(items).unique()
    shared = space.judgments.join(space.trained_on.select("triplet_id"), on="triplet_id", how="anti")
    by_chance = shared.join(trained, on=items, how="semi").height
    assert row_of(space, videos, ratings)["n_leaked"] == by_chance
    canary = space.trained_on.head(1).drop("purpose").with_columns(triplet_id=pl.lit(77_777, dtype=pl.Int64))
    purpose = pl.DataFrame({"triplet_id": [77_777], "purpose": ["test"]})
    leaking = replace(
        space, judgments=pl.concat([space.judgments, canary]), purposes=pl.concat([space.purposes, purpose])
    )
    assert row_of(leaking, videos, ratings)["n_leaked"] == by_chance + 1


def test_what_was_not_asked_is_null(space, videos, ratings):
    train = space.purposes.filter(pl.col("purpose") == "train")
    only = assessment.learnt(space.fit, space.trained_on, space.judgments, train, "v1")
    row = row_of(only, videos, ratings.head(0))
    assert [row[c] for c in ("accuracy", "ceiling", "rsm_r", "top3_27")] == [None] * 4


def test_curves_hold_the_walk_the_loss_the_learning_curve_items_and_dimensions(space, planted):
    rows = curves.curve_rows(space, "m")
    EMBEDDING_CURVES.validate(rows.with_columns(**{k: pl.lit(v) for k, v in STAMP.items()}))
    of = {name: rows.filter(pl.col("curve") == name) for name in rows["curve"].unique()}
    assert of["l1_cross_entropy"].select("x", "y").row(0) == (0.01, 0.9)
    assert of["loss"]["x"].to_list() == [0.5, 1.0]
    assert of["accuracy_by_judgments"]["x"].to_list() == [540, 600]
    assert of["rsm_r_by_dimensions"].height == 5
    assert of["accuracy_by_item"]["x"].n_unique() == N
    by_item = of["accuracy_by_item"]
    assert (by_item["y_low"] <= by_item["y"]).all()
    assert (by_item["y"] <= by_item["y_high"]).all()


def test_features_have_no_curves(planted):
    assert curves.curve_rows(assessment.Space(np.arange(N, dtype=np.int32), planted), "m").is_empty()
