"""When a space is learnt again: not for every judgment that comes in, where the study lets a share of them wait.

What belongs here: what the lake says of new judgments. What does not: fitting, and what a new fit begins with
(``assets._runs``).
"""

from __future__ import annotations

import json

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
        known, now = _n_train(ledger.lake, key, then), _n_train(ledger.lake, key, {})
    except (OSError, pl.exceptions.PolarsError, LakeError):
        return False
    return known <= now <= (1 + share) * known


def _n_train(lake: Lake, key: Key, versions: dict[str, int]) -> int:
    """Count the training judgments of one model."""
    judgments, triplets = (lake.scan(t, key if t == "judgments" else {}, versions.get(t)) for t in _GROWING)
    wanted = triplets.filter(pl.col("purpose") == "train").select("triplet_id")
    return int(judgments.join(wanted, on="triplet_id", how="semi").select(pl.len()).collect().item())
