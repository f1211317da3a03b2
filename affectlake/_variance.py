"""Variance partitioning: what each feature space explains alone and what spaces share."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from affectlake._encoding_inputs import ALPHAS, features_matrix, group_members, same_rows
from affectlake.errors import InputError

if TYPE_CHECKING:
    import polars as pl

Float = npt.NDArray[np.float64]

MOST_SPACES = 4  # 15 models; five spaces would be 31


def variance_partition(
    spaces: Mapping[str, npt.ArrayLike],
    responses: npt.ArrayLike,
    runs: npt.ArrayLike,
    *,
    banded: bool = False,
    groups: Mapping[str, npt.ArrayLike] | None = None,
    folds: int = 6,
    alphas: npt.ArrayLike = ALPHAS,
    candidates: int = 50,
    exclusive: npt.ArrayLike | None = None,
    trials: npt.ArrayLike | None = None,
    gap: int = 0,
    seed: int = 0,
    device: str = "auto",
) -> pl.DataFrame:
    """Divide cross-validated explained variance into what each feature space explains alone and what spaces share.

    A model is fitted on every subset of the spaces. Inclusion and exclusion over their R2 gives the part of each
    subset: the variance that exactly its members share. Parts add up to the R2 of all spaces together.
    Cross-validation makes R2 an estimate that may fall below zero, and so may a part.

    Parameters
    ----------
    spaces : dict of str to float[n, p]
        Two to four feature spaces of the same rows.
    banded : bool
        Give each space its own penalty in joint models (banded ridge), at ``candidates`` times the cost. Without it a
        large space can crowd out a small one.
    groups : dict of str to int[k] or bool[v], optional
        Targets to average over; default all, under the name ``all``.
    responses, runs, folds, alphas, candidates, exclusive, trials, gap, seed, device
        As in `cross_validate`.

    Returns
    -------
    polars.DataFrame
        One row a group and part: ``group``, ``set`` (all spaces joined by +), ``part`` (the spaces that share it,
        joined by +), ``r2`` (mean over the group's targets of the part), ``joint_r2`` (of a model on exactly the
        spaces of ``part``).

    Raises
    ------
    InputError
        There are fewer than two or more than four spaces, or as in `cross_validate`.

    Notes
    -----
    Commonality analysis as in de Heer et al. 2017 (J. Neurosci. 37:6539, "Variance partitioning").
    """
    import polars as pl

    from affectlake.encoding import cross_validate

    names = list(spaces)
    if not 2 <= len(names) <= MOST_SPACES:
        raise InputError(
            f"{len(names)} feature spaces were given", where="variance_partition", remedy="Give two, three or four"
        )
    subsets = [s for k in range(1, len(names) + 1) for s in combinations(names, k)]
    blocks = {name: features_matrix(spaces[name], name) for name in names}
    for name in names[1:]:
        same_rows(blocks[names[0]], blocks[name])
    r2: dict[frozenset[str], Float] = {}
    for subset in subsets:
        joint = np.hstack([blocks[name] for name in subset])
        labels = np.concatenate([np.full(blocks[name].shape[1], name) for name in subset])
        fitted = cross_validate(
            joint,
            responses,
            runs,
            folds=folds,
            alphas=alphas,
            bands=labels if banded and len(subset) > 1 else None,
            candidates=candidates,
            exclusive=exclusive,
            trials=trials,
            gap=gap,
            seed=seed,
            device=device,
        )
        r2[frozenset(subset)] = fitted.r2.astype(np.float64)
    parts = {subset: _part(frozenset(subset), frozenset(names), r2) for subset in subsets}
    targets = next(iter(r2.values())).size
    chosen = {g: group_members(g, m, targets) for g, m in groups.items()} if groups else {"all": np.arange(targets)}
    return pl.DataFrame(
        [
            {
                "group": group,
                "set": "+".join(names),
                "part": "+".join(subset),
                "r2": float(parts[subset][index].mean()),
                "joint_r2": float(r2[frozenset(subset)][index].mean()),
            }
            for group, index in chosen.items()
            for subset in subsets
        ]
    )


def _part(subset: frozenset[str], everything: frozenset[str], r2: Mapping[frozenset[str], Float]) -> Float:
    """Variance that exactly ``subset`` shares: inclusion and exclusion, starting from what the others explain."""
    others = everything - subset
    part = np.zeros_like(next(iter(r2.values())))
    for k in range(len(subset) + 1):
        for chosen in combinations(sorted(subset), k):
            joint = others | frozenset(chosen)
            if joint:
                part -= (-1) ** k * r2[joint]
    return part
