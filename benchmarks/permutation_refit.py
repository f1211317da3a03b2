"""The permutation null beside refitting scikit-learn's Ridge for each permutation, and beside the cost of X'Y alone.

Claim (PERFORMANCE.md): at least 150 times as fast as refitting, at least half of the rate at which X'Y is computed.
The peer refits the six outer folds with the same penalties, one a target, and is timed on few permutations.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from encoding_himalaya import simulate, timed


def refit(x, y, fold, alpha, permutations):
    """Mean r over folds of each permutation, by scikit-learn."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    scores = []
    for order in permutations:
        xp, r = x[order], np.zeros(y.shape[1])
        for f in range(fold.max() + 1):
            train = fold != f
            scale = StandardScaler().fit(xp[train])
            prediction = Ridge(alpha[f]).fit(scale.transform(xp[train]), y[train]).predict(scale.transform(xp[~train]))
            p, t = prediction - prediction.mean(0), y[~train] - y[~train].mean(0)
            r += (~train).mean() * (p * t).sum(0) / np.sqrt((p * p).sum(0) * (t * t).sum(0))
        scores.append(r)
    return np.array(scores)


def product_alone(x, y, repeats=20):
    """Processor seconds of one X'Y in float32."""
    import torch

    a, b = torch.as_tensor(x, dtype=torch.float32).T.contiguous(), torch.as_tensor(y)
    stacked = a.repeat(8, 1)
    stacked @ b
    start = time.process_time()
    for _ in range(repeats):
        stacked @ b
    return (time.process_time() - start) / repeats / 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--targets", type=int, default=2000)
    parser.add_argument("--permutations", type=int, default=200)
    parser.add_argument("--peer-permutations", type=int, default=2)
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()

    from affectlake._encoding_splits import make_plan, permutations
    from affectlake.encoding import cross_validate

    x, y, runs = simulate(args.features, args.targets, args.seed)
    observed, wall0, cpu0 = timed(lambda: cross_validate(x, y, runs))
    observed, wall0, cpu0 = timed(lambda: cross_validate(x, y, runs))
    count = args.permutations
    everyone = {"all": np.arange(args.targets)}
    mine, wall, cpu = timed(lambda: cross_validate(x, y, runs, null=count, groups=everyone))
    wall, cpu = (wall - wall0) / count, (cpu - cpu0) / count
    plan = make_plan(x, y, runs, folds=6, gap=0, exclusive=None, trials=None, nested=True)
    orders = list(permutations(plan, args.peer_permutations, 0))
    theirs, peer_wall, peer_cpu = timed(
        lambda: refit(x[plan.order], y[plan.order].astype(float), plan.fold, observed.alpha, orders)
    )
    peer_wall, peer_cpu = peer_wall / len(orders), peer_cpu / len(orders)
    difference = np.abs(theirs.mean(1) - mine.group_null["all"][: len(orders)]).max()
    bound = product_alone(x, y)
    print(f"{args.features} features x {args.targets} targets, {len(x)} rows, 6 folds; milliseconds a permutation")
    print(f"affectlake {wall * 1e3:9.2f} wall {cpu * 1e3:9.2f} processor")
    print(f"refitting  {peer_wall * 1e3:9.2f} wall {peer_cpu * 1e3:9.2f} processor")
    print(f"ratio      {peer_wall / wall:9.1f} wall {peer_cpu / cpu:9.1f} processor")
    print(f"X'Y alone  {bound * 1e3:9.2f} processor: {bound / cpu:.0%} of its rate is reached")
    print(f"largest difference of the mean null score: {difference:.1e}")


if __name__ == "__main__":
    main()
