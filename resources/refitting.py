"""When a space is learnt again: not for every judgment that comes in, where the study lets a share of them wait.

What belongs here: what the lake says of new judgments. What does not: fitting, and what a new fit begins with
(``assets._runs``).
"""

from __future__ import annotations

import json
from functools import lru_cache

import polars as pl

from affectlake.errors import LakeError
from resources.lake import Lake
from resources.provenance import Key, Ledger, Recipe, fingerprint
from resources.study import Study

_GROWING = ("judgments", "triplets")


def few_new_judgments(recipe: Recipe, study: Study, key: Key, ledger: Ledger) -> bool:
    """Tell whether a space lacks nothing but a share of training judgments that may wait.

    True where code, settings and all other inputs are those that it was learnt with, and the training judgments that
    came since are at most ``embedding.refit_share`` of those that it was learnt from. Where the versions of then cannot
    be read any more (`affectlake maintain` keeps them for `automation.keep_days`), it is learnt again.
    """
    share, done = study.embedding.refit_share, ledger.row(recipe.name, key)
    if not share or done is None:
        return False
    versions = json.loads(str(done["source_versions"]))
    then = {table: versions[table] for table in _GROWING if versions.get(table) is not None}
    if len(then) < len(_GROWING) or fingerprint(recipe, key, study, ledger, then) != done["fingerprint"]:
        return False
    try:
        known, now = (_n_train(ledger.lake, key["model"], versions) for versions in (then, {}))
    except (OSError, pl.exceptions.PolarsError, LakeError):
        return False
    return known <= now <= (1 + share) * known


def _n_train(lake: Lake, model: str, versions: dict[str, int]) -> int:
    """Training judgments of one model in these versions of the tables, else in the newest."""
    found = [lake.open(table, versions.get(table)) for table in _GROWING]
    marks = tuple((str(delta.metadata().id), delta.version()) for delta in found if delta is not None)
    return _counted(lake.root, lake.study, model, marks)


@lru_cache(maxsize=256)
def _counted(root: str, study: str, model: str, marks: tuple[tuple[str, int], ...]) -> int:
    """The same, once for each version: every tick of the automation asks, and a version never changes."""
    lake, (of_judgments, of_triplets) = Lake(root, study), (version for _, version in marks)
    judgments = lake.scan("judgments", {"model": model}, of_judgments)
    triplets = lake.scan("triplets", version=of_triplets)
    wanted = triplets.filter(pl.col("purpose") == "train").select("triplet_id")
    return int(judgments.join(wanted, on="triplet_id", how="semi").select(pl.len()).collect().item())
