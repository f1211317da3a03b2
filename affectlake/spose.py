"""The SPoSE embedding: from odd-one-out judgments to sparse, non-negative dimensions.

What belongs here: the public names. What does not: compiled loops (``_spose_kernels``), schedules (``_spose_cpu``,
``_spose_torch``, ``_spose_reference``), matching of dimensions over runs (``reproducibility``).

The model (Zheng et al. 2019; Hebart et al. 2020; METHOD.md section 3): the similarity of two items is the dot product
of their weights, and of three items that pair is kept whose similarity wins a softmax. Weights W of shape (n, d)
minimise::

    mean(-log p(kept pair)) + l1 / n * sum(W),    W >= 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from affectlake import _spose_grow as grow
from affectlake._spose_cpu import ALIVE, State, descend, start, warm_start
from affectlake._spose_data import Floats, Ints, Judgments, judgments
from affectlake._spose_path import ENOUGH, choose_l1
from affectlake._spose_predict import accuracy, cross_entropy, embedding, objective, predict, probabilities, ties
from affectlake._spose_snapshot import Checkpoints, Snapshot, fingerprint
from affectlake.errors import DeviceError, InputError

Device = Literal["auto", "cpu", "cuda"]
Progress = Callable[[float, str], None]

__all__ = [
    "Checkpoints",
    "Snapshot",
    "Spose",
    "accuracy",
    "appearances",
    "cross_entropy",
    "fit",
    "fit_reproducible",
    "objective",
    "predict",
    "probabilities",
    "ties",
]


@dataclass(frozen=True)
class Spose:
    """A fitted embedding.

    Attributes
    ----------
    weights : float32[n_items, d]
        Non-negative weights; dimensions without a weight above 0.1 are left out, the others stand by share, largest
        first. An item that no judgment contains has a row of zeros.
    l1 : float
        The penalty used.
    seed : int
    history : dict
        ``loss``: mean training cross-entropy along the fit (nats); ``path``: where l1 was chosen, one record a
        penalty tried with its ``cross_entropy``, ``accuracy`` (held-out training judgments) and ``dimensions``.
    lacks : tuple of str
        What the judgments do not support, in sentences; empty where nothing is amiss.
    position_intercepts : float32[3]
        Preference for the first, second and third place shown (log odds, mean zero); zeros where not fitted.
    reproducibility, reproducibility_low, reproducibility_high : float64[d] or None
        Mean r of each dimension with its best match in every run, with its 95 % confidence interval (Fisher z);
        None for a single run.
    runs : tuple of float32[n_items, d_run]
        The runs' own weights, where several were made.
    """

    weights: Floats
    l1: float
    seed: int
    history: dict[str, Any] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    position_intercepts: Floats = field(default_factory=lambda: np.zeros(3, np.float32))
    reproducibility: NDArray[np.float64] | None = None
    reproducibility_low: NDArray[np.float64] | None = None
    reproducibility_high: NDArray[np.float64] | None = None
    runs: tuple[Floats, ...] = ()

    @property
    def share(self) -> NDArray[np.float64]:
        """Part of the total weight that each dimension holds, float64[d], summing to 1."""
        sums = self.weights.sum(axis=0, dtype=np.float64)
        return np.asarray(sums / sums.sum() if sums.size else sums)


def fit(
    triplets: ArrayLike,
    n_items: int,
    *,
    dimensions: int = 100,
    l1: float | Literal["auto"] = "auto",
    seed: int = 0,
    weights: ArrayLike | None = None,
    probabilities: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    positions: ArrayLike | None = None,
    reference: bool = False,
    epochs: int = 500,
    device: Device = "auto",
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Spose:
    """Learn an embedding from odd-one-out judgments.

    The same seed gives the same bits on one machine, for any number of threads and any order of the rows. With fewer
    than 500 judgments an item a random start misses weak dimensions; they are grown from the residuals then, guarded by
    a held-out tenth of ``triplets``. That, and position intercepts, are fitted on the processor.

    Parameters
    ----------
    triplets : int[n, 3]
        Items of each judgment, 0-based, the odd one last.
    n_items : int
        Number of items, judged or not.
    dimensions : int
        Dimensions to start from; what the data do not need is pruned.
    l1 : float or "auto"
        Sparsity penalty. "auto" chooses it by the likelihood of a held-out tenth of ``triplets``.
    seed : int
    weights : float[m, d], optional
        An earlier embedding to start from, for the first m <= n_items items; further items start at random.
        ``dimensions`` is then its number of columns.
    probabilities : float[n, 3], optional
        Probability that each column is the odd one (soft labels); certain judgments, (0, 0, 1), where not given.
    counts : float[n], optional
        How often each row was judged; once where not given.
    positions : int[n, 3], optional
        Place (0, 1, 2) at which each column was presented. Given, three position intercepts are fitted along.
    reference : bool
        Follow the published program's schedule (METHOD.md section 3): weights from N(0.1, 0.01), Adam at 0.001,
        batches of 100, ``epochs`` passes, soft penalty on negative weights, absolute values at the end. Needs ``l1``.
    epochs : int
        Passes of the published schedule; without ``reference`` the length follows from the data.
    device : {"auto", "cpu", "cuda"}
    progress : callable, optional
        Called with the share done (0..1) and a short text.
    checkpoints : Checkpoints, optional
        Keeps snapshots of the fit on the processor; one of the same judgments and settings is gone on with, to the
        bits that the whole fit would have had.

    Returns
    -------
    Spose

    Raises
    ------
    InputError
        An array has a wrong shape or impossible values, or ``reference`` without a number for ``l1``.
    DeviceError
        "cuda" was asked for and is not there.
    """
    data = judgments(triplets, n_items, probabilities=probabilities, counts=counts, positions=positions)
    _check_settings(dimensions, l1, reference=reference)
    first = None if weights is None else _check_weights(weights, n_items)
    say = progress or (lambda done, text: None)
    lacks = _lacks(data)
    if not len(data):
        return Spose(np.zeros((n_items, 0), np.float32), 0.0 if l1 == "auto" else l1, seed, lacks=lacks)
    if reference:
        from affectlake._spose_reference import published

        state, history = published(data, dimensions, float(l1), seed, epochs, say)
        return _finished(state, float(l1), seed, history, lacks)
    if resolve_device(device) == "cuda" and _batched_alike(data):
        from affectlake import _spose_torch

        states, chosen, history = _spose_torch.fit_many(data, dimensions, l1, [seed], say, weights=first)
        return _finished(states[0], chosen, seed, history, lacks)
    return _fit_cpu(data, dimensions, l1, seed, first, lacks, say, checkpoints)


def _batched_alike(data: Judgments) -> bool:
    """Whether the graphics card's engine does all that these judgments need: no growth, no position intercepts."""
    return not grow.scarce(data) and len(data.positions) == 1


def _fit_cpu(
    data: Judgments,
    dimensions: int,
    l1: float | Literal["auto"],
    seed: int,
    first: Floats | None,
    lacks: tuple[str, ...],
    say: Progress,
    checkpoints: Checkpoints | None = None,
) -> Spose:
    belongs_to = "" if checkpoints is None else fingerprint(data, (dimensions, l1, seed), first)
    begun = None if checkpoints is None else checkpoints.load(seed)
    if begun is None or begun.belongs_to != belongs_to:
        begun = _begin(data, dimensions, l1, seed, first, belongs_to, lambda x, text: say(0.5 * x, text))
    before = 0.5 if l1 == "auto" else 0.0
    fitting = np.random.default_rng()
    fitting.bit_generator.state = begun.rng
    state = begun.state

    def keep(state: State, losses: Sequence[float]) -> None:
        if checkpoints is not None:
            checkpoints.save(replace(begun, losses=tuple(losses), state=state.copy()))

    losses = descend(
        state, data, begun.l1, fitting, warm=begun.warm, done=begun.losses, keep=keep,
        say=lambda x, loss: say(before + (1 - before) * x, f"training cross-entropy {loss:.4f}"),
    )  # fmt: skip
    unseen = appearances(data.triplets, data.n_items) == 0
    state.weights[unseen] = 0
    history: dict[str, Any] = {"path": begun.path} if begun.path or l1 == "auto" else {}
    return _finished(state, begun.l1, seed, history | {"loss": losses}, lacks)


def _begin(
    data: Judgments,
    dimensions: int,
    l1: float | Literal["auto"],
    seed: int,
    first: Floats | None,
    belongs_to: str,
    say: Progress,
) -> Snapshot:
    """Choose l1 and the weights that the descent starts from."""
    choosing, fitting = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    path: list[dict[str, float]] = []
    if l1 == "auto":
        choice = choose_l1(data, dimensions, choosing, say=say)
        if grow.scarce(data) and first is None:
            choice = grow.refine_l1(data, dimensions, choice.l1, choosing, say=say)
        l1, path = choice.l1, choice.path
    state, warm = start(data.n_items, dimensions, fitting), False
    if first is not None:
        state, warm = warm_start(first, data.n_items, fitting), True
    elif grow.scarce(data):
        state, warm = grow.fit(data, dimensions, l1, fitting, say=lambda x, text: None), True
    return Snapshot(seed, belongs_to, l1, path, warm, (), dict(fitting.bit_generator.state), state)


def _finished(state: State, l1: float, seed: int, history: dict[str, Any], lacks: tuple[str, ...]) -> Spose:
    if not np.isfinite(state.weights).all():
        raise InputError("the fit diverged", where="spose.fit", remedy="Report this: it should not happen")
    return Spose(prune(state.weights), l1, seed, history, lacks, state.intercepts.copy())


def prune(weights: Floats) -> Floats:
    """Keep dimensions with a weight above 0.1 (published rule), sorted by total weight, largest first."""
    kept = weights[:, weights.max(axis=0, initial=0) > ALIVE]
    order = np.argsort(-kept.sum(axis=0, dtype=np.float64), kind="stable")
    return np.ascontiguousarray(kept[:, order], np.float32)


def fit_reproducible(
    triplets: ArrayLike,
    n_items: int,
    *,
    dimensions_kept: int = 30,
    seeds: int = 10,
    dimensions: int = 100,
    l1: float | Literal["auto"] = "auto",
    seed: int = 0,
    method: Literal["refit", "greedy"] = "refit",
    starts: Sequence[ArrayLike] | None = None,
    probabilities: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    positions: ArrayLike | None = None,
    device: Device = "auto",
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> Spose:
    """Learn several embeddings from different seeds and keep the dimensions that come back.

    Parameters
    ----------
    triplets : int[n, 3]
        Items of each judgment, the odd one last.
    n_items : int
    dimensions_kept : int
        At most so many dimensions are kept: the most reproducible ones.
    seeds : int
        Number of runs; l1 is chosen once, by the first of them.
    dimensions, l1, probabilities, counts, positions, device, progress, checkpoints
        As in ``fit``.
    seed : int
        The runs take the seeds ``seed``, ``seed + 1``, ...
    method : {"refit", "greedy"}
        "greedy" is the published recipe (METHOD.md section 3): the dimensions of all runs, none that correlates above
        0.4 with one kept before, the most reproducible ones. "refit" fits the dimensions so kept once more, together:
        they come from different runs and have not seen each other (``benchmarks/spose_reproducibility.py``).
    starts : sequence of float[m, d_run], optional
        What the runs of an earlier training ended with (``runs``), in their order, for the first m <= n_items items:
        each run goes on from its own, so that runs stay independent of each other. Fitted on the processor.

    Returns
    -------
    Spose
        With ``reproducibility`` and its interval for each dimension, and the runs' own weights in ``runs``.

    Raises
    ------
    InputError
        As ``fit``; or fewer than two seeds, or not one start a seed.
    """
    from affectlake import reproducibility as matching

    if seeds < 2:
        raise InputError(f"{seeds} run cannot show what is reproducible", remedy="Use at least 2 seeds, better 10")
    if starts is not None and len(starts) != seeds:
        raise InputError(f"{len(starts)} starts do not serve {seeds} runs", remedy="Give one start a seed, or none")
    say = progress or (lambda done, text: None)
    data = judgments(triplets, n_items, probabilities=probabilities, counts=counts, positions=positions)
    _check_settings(dimensions, l1, reference=False)
    firsts = [None] * seeds if starts is None else [_check_weights(w, n_items) for w in starts]
    lacks = _lacks(data)
    if not len(data):
        return Spose(np.zeros((n_items, 0), np.float32), 0.0 if l1 == "auto" else l1, seed, lacks=lacks)
    where = resolve_device(device) if starts is None else "cpu"
    runs = _runs(data, dimensions, l1, seed, firsts, where, lacks, say, checkpoints)
    first = runs[0]
    found = [r.weights for r in runs]
    weights = matching.greedy(found, dimensions_kept).weights
    history, intercepts = dict(first.history), np.stack([r.position_intercepts for r in runs]).mean(axis=0)
    if method == "refit" and weights.shape[1]:
        refit = _fit_cpu(data, weights.shape[1], first.l1, seed, weights, lacks, lambda done, text: None)
        weights, history["refit"], intercepts = refit.weights, refit.history["loss"], refit.position_intercepts
    scores = matching.reproducibility(weights, found)
    if weights.shape[1] < dimensions_kept:
        lacks = (*lacks, f"only {weights.shape[1]} of the {dimensions_kept} dimensions asked for were found")
    return Spose(
        weights, first.l1, seed, history, lacks, intercepts,
        reproducibility=scores.r, reproducibility_low=scores.low, reproducibility_high=scores.high, runs=tuple(found),
    )  # fmt: skip


def _runs(
    data: Judgments,
    dimensions: int,
    l1: float | Literal["auto"],
    seed: int,
    firsts: Sequence[Floats | None],
    device: str,
    lacks: tuple[str, ...],
    say: Progress,
    checkpoints: Checkpoints | None,
) -> list[Spose]:
    """All runs, one for each of ``firsts``: the first chooses l1, the others share it, one thread each."""
    from concurrent.futures import ThreadPoolExecutor

    import numba

    seeds = len(firsts)
    if device == "cuda" and _batched_alike(data):
        from affectlake import _spose_torch

        states, chosen, history = _spose_torch.fit_many(data, dimensions, l1, [seed + k for k in range(seeds)], say)
        return [_finished(s, chosen, seed + k, history, lacks) for k, s in enumerate(states)]
    first = _fit_cpu(data, dimensions, l1, seed, firsts[0], lacks, lambda x, text: say(x / seeds, text), checkpoints)
    done = 1

    def one(k: int) -> Spose:
        nonlocal done
        result = _fit_cpu(data, dimensions, first.l1, seed + k, firsts[k], lacks, lambda x, text: None, checkpoints)
        done += 1
        say(done / seeds, f"run {done} of {seeds}: {result.weights.shape[1]} dimensions")
        return result

    with ThreadPoolExecutor(min(seeds - 1, int(numba.get_num_threads()))) as pool:
        return [first, *pool.map(one, range(1, seeds))]


def appearances(triplets: ArrayLike, n_items: int) -> Ints:
    """Count the judgments that contain each item, int32[n_items]."""
    return np.bincount(np.asarray(triplets).ravel(), minlength=n_items).astype(np.int32)


def resolve_device(device: Device) -> Literal["cpu", "cuda"]:
    """Return "cuda" where it is asked for, or free to choose, and there; else "cpu"."""
    if device == "cpu":
        return "cpu"
    if device not in ("auto", "cuda"):
        raise InputError(f"unknown device {device!r}", remedy="Use auto, cpu or cuda")
    import importlib.util
    from pathlib import Path

    # torch takes seconds to import; where the kernel driver shows no NVIDIA device there is nothing to ask it.
    there = Path("/proc/driver/nvidia").exists() or Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists()
    if there and importlib.util.find_spec("torch"):
        import torch

        if torch.cuda.is_available():
            return "cuda"
    if device == "cuda":
        raise DeviceError("no CUDA device is there", where="spose.fit", remedy='Use device="auto" or "cpu"')
    return "cpu"


def _check_weights(weights: ArrayLike, n_items: int) -> Floats:
    w = embedding(weights)
    if len(w) > n_items or not w.shape[1] or (w < 0).any():
        raise InputError(
            f"cannot start from weights of shape {w.shape} for {n_items} items",
            remedy="Give non-negative weights of at most n_items items and at least one dimension",
        )
    return w


def _check_settings(dimensions: int, l1: float | str, *, reference: bool) -> None:
    if dimensions < 1:
        raise InputError(f"dimensions is {dimensions}", remedy="Start from at least one, better from 100")
    if l1 == "auto":
        if reference:
            raise InputError("the published program has no automatic l1", remedy="Give one; its README uses l1=0.008")
    elif isinstance(l1, str) or not np.isfinite(l1) or l1 < 0:
        raise InputError(f"l1 is {l1!r}", remedy='Give a number that is not negative, or "auto"')


def _lacks(data: Judgments) -> tuple[str, ...]:
    """Say what the judgments cannot support."""
    seen = appearances(data.triplets, data.n_items)
    result = []
    if not len(data):
        result.append("there is no judgment, so there is no dimension")
    elif len(data) < ENOUGH:
        result.append(f"{len(data)} judgments are too few to choose l1 by held-out likelihood")
    unseen = int((seen == 0).sum())
    if unseen and len(data):
        result.append(f"{unseen} of {data.n_items} items stand in no judgment: their weights are zero")
    rare = int(((seen > 0) & (seen < FEW)).sum())
    if rare:
        result.append(f"{rare} of {data.n_items} items stand in fewer than {FEW} judgments: their weights are unsure")
    return tuple(result)


FEW = 20
"""An item in fewer judgments than this has its weights named unsure."""
