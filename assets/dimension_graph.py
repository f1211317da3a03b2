"""Stage 4, over all models: which dimensions of their spaces belong together."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from affectlake import judged
from assets._work import Work
from assets.recipes import DIMENSION_GRAPH
from resources.io_manager import LakeResource


def dimension_graph(
    context: dg.AssetExecutionContext, lake: LakeResource, embeddings: pl.LazyFrame
) -> Iterator[dg.MaterializeResult[Any]]:
    """Match the dimensions of every two models, and draw the graph over all of them."""
    from affectlake.dimension_graph import links, nodes

    work = Work(context, DIMENSION_GRAPH, lake)
    rows = embeddings.filter(pl.col("model").is_in(work.study.model_names)).collect()
    spaces = {
        str(model): (space["item"].to_numpy(), judged.vectors(space)) for (model,), space in rows.group_by("model")
    }
    linked = links(spaces)
    yield work.result("dimension_graph", work.stamped(nodes(spaces, linked)))
    yield work.result("dimension_links", work.stamped(linked))
