import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from affectlake.dimension_graph import links, nodes
from affectlake.tables import DIMENSION_GRAPH, DIMENSION_LINKS

ITEMS = np.arange(60, dtype=np.int32)


@pytest.fixture(scope="module")
def spaces():
    """Model b is a with its dimensions turned round and fewer items; model c has nothing to do with either."""
    rng = np.random.default_rng(0)
    a = (rng.random((60, 4)) * (rng.random((60, 4)) < 0.4)).astype(np.float32)
    return {"b": (ITEMS[10:], a[10:, ::-1]), "a": (ITEMS, a), "c": (ITEMS, np.eye(60, 2, dtype=np.float32))}


def stamped(frame):
    return frame.with_columns(code_version=pl.lit("c"), source_versions=pl.lit("{}"))


def test_partners_are_found_over_the_items_that_both_models_have(spaces):
    found = DIMENSION_LINKS.validate(stamped(links(spaces)))
    pairs = found.filter(pl.col("matched") & (pl.col("model_a") == "a") & (pl.col("model_b") == "b"))
    assert pairs.select("dimension_a", "dimension_b").rows() == [(0, 3), (1, 2), (2, 1), (3, 0)]
    assert pairs["r"].to_list() == pytest.approx([1] * 4)
    assert pairs["n_items"].to_list() == [50] * 4


def test_no_dimension_is_linked_with_itself_and_edges_are_above_the_threshold(spaces):
    found = links(spaces, edge=0.1)
    same = found.filter(pl.col("model_a") == pl.col("model_b"))
    assert (same["dimension_a"] < same["dimension_b"]).all()
    assert not same["matched"].any()
    assert (found.filter("edge")["r"] > 0.1).all()
    assert (found.filter(~pl.col("edge"))["r"] <= 0.1).all()


def test_every_dimension_is_a_node_and_isolated_ones_have_no_community(spaces):
    linked = links(spaces)
    found = DIMENSION_GRAPH.validate(stamped(nodes(spaces, linked)))
    assert found.group_by("model").len().sort("model")["len"].to_list() == [4, 4, 2]
    joined = found.filter(pl.col("degree") > 0)
    assert joined["pagerank"].sum() == pytest.approx(1)
    assert found.filter(pl.col("degree") == 0)["community"].null_count() == (found["degree"] == 0).sum() > 0
    pair = {tuple(r) for r in joined.filter(pl.col("model") == "a").select("dimension", "community").rows()}
    turned = {(3 - d, c) for d, c in joined.filter(pl.col("model") == "b").select("dimension", "community").rows()}
    assert pair == turned


def test_the_order_of_models_and_items_does_not_matter(spaces):
    order = np.random.default_rng(1).permutation(60)
    turned = {m: (spaces[m][0], spaces[m][1]) for m in reversed(spaces)} | {"a": (ITEMS[order], spaces["a"][1][order])}
    first, second = nodes(spaces, links(spaces)), nodes(turned, links(turned))
    assert first.drop("pagerank").equals(second.drop("pagerank"))


def test_communities_are_the_same_in_every_process(spaces):
    code = (
        "import numpy as np; from affectlake.dimension_graph import links, nodes;"
        "x = np.random.default_rng(0).random((30, 12)).astype(np.float32);"
        "s = {'a': (np.arange(30), x[:, :6]), 'b': (np.arange(30), x[:, 6:])};"
        "print(nodes(s, links(s, edge=0.05)).write_csv())"
    )
    root = Path(__file__).parents[2]
    said = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=root, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1


def test_models_without_common_items_are_not_compared():
    spaces = {"a": (ITEMS[:20], np.eye(20, 3, dtype=np.float32)), "b": (ITEMS[20:], np.eye(40, 3, dtype=np.float32))}
    found = links(spaces)
    assert found.filter(pl.col("model_a") != pl.col("model_b")).is_empty()
    assert nodes(spaces, found).height == 6


def test_without_models_there_is_nothing():
    assert nodes({}, links({})).is_empty()
