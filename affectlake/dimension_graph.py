"""Which dimensions of different models belong together: matches, a graph over all dimensions, its communities.

What belongs here: vectors of several models in, links and nodes out. What does not: names of dimensions (``naming``).
Du et al. 2025 draw an edge where r > 0.2, find communities with Louvain's method and size the nodes by PageRank
(METHOD.md section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations_with_replacement

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake.reproducibility import correlations, match
from affectlake.tables import DIMENSION_GRAPH, DIMENSION_LINKS, unstamped

Vectors = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Items, int32[n], and their vectors, float32[n, d]."""

EDGE = 0.2
"""Two dimensions are joined where their r over common items is above this (published threshold)."""

ENOUGH_ITEMS = 4
"""Fewer common items than this say nothing about a correlation."""

SEED = 0


def links(spaces: Mapping[str, Vectors], *, edge: float = EDGE) -> pl.DataFrame:
    """Return the rows of ``dimension_links``: pairs of dimensions that are joined or matched, within and over models.

    Parameters
    ----------
    spaces : mapping of model to (int32[n], float32[n, d])
        Items and vectors; models may cover different items, each pair is compared on those that both have.
    edge : float
        Two dimensions are joined where r is above this.
    """
    rows = []
    for a, b in combinations_with_replacement(sorted(spaces), 2):
        x, y = _common(spaces[a], spaces[b])
        if len(x) < ENOUGH_ITEMS:
            continue
        r = correlations(x, y)
        partners = set() if a == b else set(zip(*(side.tolist() for side in match(x, y)[:2]), strict=True))
        for i, j in zip(*np.nonzero((r > edge) | _mask(r.shape, partners)), strict=True):
            if a != b or i < j:
                rows.append((a, int(i), b, int(j), len(x), float(r[i, j]), (i, j) in partners, bool(r[i, j] > edge)))
    return pl.DataFrame(rows, schema=unstamped(DIMENSION_LINKS), orient="row").sort(DIMENSION_LINKS.key)


def _common(a: Vectors, b: Vectors) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of the items that both models have, in the same order."""
    _, of_a, of_b = np.intersect1d(a[0], b[0], return_indices=True)
    return a[1][of_a], b[1][of_b]


def _mask(shape: tuple[int, ...], pairs: set[tuple[int, int]]) -> NDArray[np.bool_]:
    result = np.zeros(shape, bool)
    for i, j in pairs:
        result[i, j] = True
    return result


def nodes(spaces: Mapping[str, Vectors], linked: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of ``dimension_graph``: every dimension with its degree, community and PageRank.

    Parameters
    ----------
    spaces : mapping
        As in ``links``.
    linked : polars.DataFrame
        Rows of ``dimension_links``.
    """
    import networkx as nx

    names = [(model, d) for model in sorted(spaces) for d in range(spaces[model][1].shape[1])]
    number = {name: k for k, name in enumerate(names)}
    graph = nx.Graph()  # of numbers, not of names: sets of texts have another order in every process
    edges = linked.filter("edge").sort(DIMENSION_LINKS.key).select(*DIMENSION_LINKS.key, "r")
    for a, i, b, j, r in edges.iter_rows():
        graph.add_edge(number[a, i], number[b, j], weight=r)
    found = nx.community.louvain_communities(graph, weight="weight", seed=SEED) if graph else []
    found = sorted((sorted(c) for c in found), key=lambda c: (-len(c), c[0]))
    community = {node: k for k, members in enumerate(found) for node in members}
    rank = nx.pagerank(graph, weight="weight") if graph else {}
    rows = [
        (model, d, int(graph.degree(k)) if k in community else 0, community.get(k), rank.get(k))
        for k, (model, d) in enumerate(names)
    ]
    return pl.DataFrame(rows, schema=unstamped(DIMENSION_GRAPH), orient="row")
