"""Searchlight RSA beside an implementation that forms the stimuli x stimuli matrix at each centre.

Claim (PERFORMANCE.md): about 340 voxels a sphere, 2,180 stimuli, five models in one pass: at least 30 times as fast
on a sample of centres, scores within 1e-3.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _memory import peak_mb


def per_centre(models, responses, members):
    """What published code does: correlation matrix, triangle, correlation with each model's triangle."""
    upper = np.triu_indices(len(responses), 1)
    triangle = np.corrcoef(responses[:, members])[upper]
    return [np.corrcoef(triangle, model[upper])[0, 1] for model in models]


def model_rsms(n, count, rng):
    """Similarities as an embedding of 30 dimensions has them: of the odd-one-out kind, full rank."""
    rsms = []
    for _ in range(count):
        weights = rng.gamma(0.5, size=(n, 30))
        product = np.exp(weights @ weights.T / 10)
        share = np.zeros((n, n))
        for k in rng.choice(n, 40, replace=False):  # the softmax over a sample of third items
            share += product / (product + product[:, k][:, None] + product[:, k][None])
        rsms.append(share / 40)
    return np.stack(rsms)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stimuli", type=int, default=2180)
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--side", type=int, default=8, help="the brain is a cube of side ** 3 voxels; 39: 59,319")
    parser.add_argument("--centres", type=int, default=4, help="centres that the peer scores")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()

    import torch
    from threadpoolctl import threadpool_limits

    from affectlake._searchlight import _Light

    rng = np.random.default_rng(args.seed)
    models = model_rsms(args.stimuli, args.models, rng)
    axis = np.arange(args.side)
    ijk = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    space = rng.standard_normal((args.stimuli, 20), dtype=np.float32)
    responses = rng.standard_normal((args.stimuli, len(ijk)), dtype=np.float32)
    for start in range(0, len(ijk), 4096):
        part = responses[:, start : start + 4096]
        part += 0.3 * space @ rng.standard_normal((20, part.shape[1]), dtype=np.float32)
    start = time.process_time()
    light = _Light(models, responses, ijk, 3, "cube", 2, torch.device("cpu"))
    factors, error = light.factored(0)
    factoring = time.process_time() - start
    inner = np.flatnonzero(((ijk >= 3) & (ijk < args.side - 3)).all(1))
    wall = time.perf_counter()
    limits = threadpool_limits(1)  # both sides on one core; ours takes a centre a core
    score = light.fast(factors)
    centre = np.median([seconds(lambda c=c: score(light.neighbours(int(c)))) for c in rng.choice(inner, 200)])
    wall = (time.perf_counter() - wall) / 200
    chosen = rng.choice(inner, args.centres, replace=False)
    scores = np.stack([score(light.neighbours(int(c))) for c in chosen], axis=1)
    exact, spent = [], []
    for c in chosen:
        members = (np.abs(ijk - ijk[c]) <= 3).all(1)
        spent.append(seconds(lambda m=members: exact.append(per_centre(models, responses, m))))
    limits.unregister()
    peer, exact = np.median(spent), np.array(exact).T
    peak = peak_mb() / 1024
    print(f"{args.stimuli} stimuli, {args.models} models, cubes of 343 voxels; median processor seconds a centre")
    print(f"affectlake {centre:.4f}, and {factoring:.1f} s once for the models (ranks {factors.ranks})")
    print(f"per centre {peer:.4f}")
    print(f"ratio      {peer / centre:.1f}")
    print(
        f"error that the factors report: {error.max():.1e};"
        f" at {args.centres} centres {np.abs(scores - exact).max():.1e}"
    )
    print(f"60,000 centres: {wall * 60_000 / 60:.1f} min of one core, extrapolated from 200 centres")
    print(f"highest memory of the process: {peak:.2f} GiB, of it {responses.nbytes / 2**30:.2f} the responses as given")


def seconds(call):
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
