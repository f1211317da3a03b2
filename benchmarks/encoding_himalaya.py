"""Nested ridge encoding beside himalaya's RidgeCV: time, share of equal predictions, memory.

Claim (PERFORMANCE.md): 30 features at least 100 times, 1,000 features at least 2.5 times as fast, predictions equal to
1e-3 on at least 99 % of targets. Both sides choose among the same penalties in the same inner folds by the same rule.
Run it with ``OMP_NUM_THREADS=1`` for one core; on a busy machine compare processor seconds.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _memory import peak_mb

RUNS, PER_RUN, FOLDS = 61, 36, 6


def simulate(features, targets, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(RUNS * PER_RUN, features))
    y = rng.standard_normal((len(x), targets), dtype=np.float32)
    narrow, half = x.astype(np.float32), targets // 2
    for start in range(0, half, 2048):  # in blocks: the peak of memory must be the fit's
        part = y[:, start : min(start + 2048, half)]
        part += narrow @ (
            rng.standard_normal((features, part.shape[1]), dtype=np.float32) * np.float32(0.3 / features**0.5)
        )
    return x, y, np.repeat(np.arange(RUNS), PER_RUN)


def himalaya(x, y, fold, folds, alphas):
    """Held-out predictions of the first ``folds`` outer folds."""
    import torch
    from himalaya.backend import set_backend
    from himalaya.ridge import RidgeCV
    from sklearn.preprocessing import StandardScaler

    set_backend("torch")
    predicted = np.full(y.shape, np.nan, dtype=np.float32)
    for held in range(folds):
        train = fold != held
        scale, mean = StandardScaler().fit(x[train]), y[train].mean(0)
        inner = [(np.flatnonzero(fold[train] != g), np.flatnonzero(fold[train] == g)) for g in np.unique(fold[train])]
        model = RidgeCV(alphas=alphas, cv=inner, fit_intercept=True, solver_params={"n_targets_batch": 5000})
        to = lambda a: torch.as_tensor(np.asarray(a, dtype=np.float32))  # noqa: E731
        model.fit(to(scale.transform(x[train])), to(y[train] - mean))
        predicted[~train] = np.asarray(model.predict(to(scale.transform(x[~train])))) + mean
    return predicted


def timed(call):
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--targets", type=int, default=2000)
    parser.add_argument("--peer-targets", type=int, help="targets that himalaya fits; time is scaled to all")
    parser.add_argument("--peer-folds", type=int, default=1, help="outer folds that himalaya runs; time is scaled to 6")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()

    from affectlake.encoding import ALPHAS, cross_validate

    x, y, runs = simulate(args.features, args.targets, args.seed)
    cross_validate(x[:72], y[:72, :2], runs[:72] * 2 + np.arange(72) % 2)  # imports and first calls are not counted
    base = peak_mb()
    observed, wall, cpu = timed(lambda: cross_validate(x, y, runs))
    grown = (peak_mb() - base) * 2**20
    fold = observed.fold_by_run[runs]
    peer_targets = min(args.peer_targets or args.targets, args.targets)
    every = args.targets // peer_targets
    some = np.ascontiguousarray(y[:, ::every])
    theirs, peer_wall, peer_cpu = timed(lambda: himalaya(x, some, fold, args.peer_folds, ALPHAS))
    scale = FOLDS / args.peer_folds * args.targets / some.shape[1]
    done = fold < args.peer_folds
    mine = cross_validate(x, some, runs, predicted=True)
    off = np.abs(theirs[done] - mine.predicted[done]).max(0)
    equal = (off < 1e-3).mean()
    print(f"{args.features} features x {args.targets} targets, {len(x)} rows, {FOLDS} nested folds")
    print(f"affectlake {wall:8.2f} s wall {cpu:8.2f} s processor; beyond data {grown / y.nbytes:.2f} x the responses")
    print(
        f"himalaya   {peer_wall * scale:8.2f} s wall {peer_cpu * scale:8.2f} s processor"
        f" ({args.peer_folds} of {FOLDS} outer folds and {some.shape[1]} targets run, scaled)"
    )
    print(f"ratio      {peer_wall * scale / wall:8.1f}   wall {peer_cpu * scale / cpu:8.1f}   processor")
    print(f"targets with predictions equal to 1e-3: {equal:.2%}")
    if equal < 1:
        gaps = [
            near_tie(x, some[:, k], fold, mine.alpha[: args.peer_folds, k], ALPHAS) for k in np.flatnonzero(off >= 1e-3)
        ]
        print(f"the others: the next best penalty's error is at most {max(gaps):.1e} relative above the chosen one's")


def near_tie(x, y, fold, chosen, alphas):
    """Least relative distance of the inner error of a neighbouring penalty from the chosen one's, in float64."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    nearest = np.inf
    for held, alpha in enumerate(chosen):
        train = fold != held
        scale = StandardScaler().fit(x[train])
        k = int(np.argmin(np.abs(np.log(alphas / alpha))))
        errors = {}
        for a in range(max(0, k - 1), min(len(alphas), k + 2)):
            inner = []
            for g in np.unique(fold[train]):
                fit, test = train & (fold != g), fold == g
                model = Ridge(alphas[a]).fit(scale.transform(x[fit]), y[fit].astype(float))
                inner.append(((y[test] - model.predict(scale.transform(x[test]))) ** 2).mean())
            errors[a] = np.mean(inner)
        nearest = min(nearest, *(abs(e / errors[k] - 1) for a, e in errors.items() if a != k))
    return nearest


if __name__ == "__main__":
    main()
