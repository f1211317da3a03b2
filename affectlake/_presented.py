"""From the data of a run to one response a presentation: whatever the format, the same rules.

What belongs here: which presentations count, blocks, z-scores. What does not: where data and presentations come from
(``timeseries.py``, ``roiseries.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from affectlake import _bold
from affectlake.exclusions import Exclusions

Repeats = Literal["first", "all"]
"""Which presentations of a clip and its duplicates are kept."""


def mark_kept(
    shown: pl.DataFrame, duplicate_of: Mapping[str, str], exclusions: Exclusions, repeats: Repeats
) -> pl.DataFrame:
    """Resolve duplicates to their canonical clip and mark the presentations that are kept: the first of each, or all.

    The others stay in the frame until blocks are cut: they end the block before them as any presentation does.
    """
    resolved = shown.with_columns(shown=pl.col("video_id"), video_id=pl.col("video_id").replace(dict(duplicate_of)))
    resolved = resolved.sort("run", "onset_s", maintain_order=True)
    resolved = resolved.with_columns(kept=pl.col("video_id").is_first_distinct() | pl.lit(repeats == "all"))
    for source, name in resolved.filter(~pl.col("kept")).select("source", "shown").iter_rows():
        exclusions.add(source, "duplicate_presentation", name)
    return resolved


def respond(
    data: NDArray[np.float32],
    shown: pl.DataFrame,
    tr_s: float,
    shift_s: float,
    rest_s: float,
    despike: bool,
    exclusions: Exclusions,
) -> tuple[pl.DataFrame, NDArray[np.float32]]:
    """One run's presentations that have a response, and the responses, z-scored over the run.

    Parameters
    ----------
    data : ndarray of float32, shape (n_volumes, n_voxels)
        Changed in place where ``despike`` is asked for.
    shown : DataFrame
        From `mark_kept`, of this run.
    tr_s, shift_s, rest_s : float
        Repetition time, haemodynamic delay and rest that belongs to a block, in seconds.
    despike : bool
        Clip to +- 3 standard deviations first.
    exclusions : Exclusions
        Gets presentations after the run's end and the only one of a run.

    Returns
    -------
    presentations : DataFrame
    responses : ndarray of float32, shape (n_presentations, n_voxels)
    """
    if despike:
        _bold.despike(data)
    onset, duration = shown["onset_s"].to_numpy(), shown["duration_s"].to_numpy()
    blocks = _bold.block_volumes(onset, duration, len(data), tr_s, shift_s, rest_s)
    inside, kept = blocks[:, 0] < blocks[:, 1], shown["kept"].to_numpy()
    for source, name in shown.filter(kept & ~inside).select("source", "video_id").iter_rows():
        exclusions.add(source, "outside_run", name)
    shown, blocks = shown.filter(kept & inside), blocks[kept & inside]
    if shown.height == 1:
        # Against what would one presentation be standardized?
        exclusions.add(shown["source"][0], "only_presentation_of_run", shown["video_id"][0])
        shown, blocks = shown.clear(), blocks[:0]
    values = _bold.block_means(data, blocks)
    _bold.standardize(values)
    return shown, values
