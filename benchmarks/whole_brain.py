"""The paper's whole brain side: five subjects, five models, 60,000 voxels, with scores, null and comparisons.

Claim (PERFORMANCE.md): less than 15 minutes on two cores, for which the literature took 100 CPUs a day. One subject is
run at full size with every model; the others are alike and are extrapolated, which is said. Voxels get the analytic p,
regions a permutation null, whose time grows with the permutations and is extrapolated too where fewer are run than
asked for. Data are random with a planted part. On a busy machine read processor seconds, with ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl
from _memory import peak_mb

RUNS, STIMULI = 61, 2180


def scene(voxels, features, rng):
    """A subject whose first tenth of the voxels follows the first model."""
    from affectlake.scoring import Scene

    run = np.minimum(np.arange(STIMULI) // 36 + 1, RUNS)
    responses = rng.standard_normal((STIMULI, voxels), dtype=np.float32)
    planted = voxels // 10
    responses[:, :planted] += features[0].astype(np.float32) @ rng.normal(0, 0.06, (features[0].shape[1], planted))
    presentations = pl.DataFrame(
        {"session": [""] * STIMULI, "run": run, "trial": range(STIMULI), "video_id": [f"v{k}" for k in range(STIMULI)]},
        schema_overrides={"run": pl.Int32, "trial": pl.Int32},
    )
    regions = [f"region{k * 360 // voxels:03d}" for k in range(voxels)]
    table = pl.DataFrame({"voxel": range(voxels), "rois": [[r] for r in regions], "status": ["used"] * voxels})
    return Scene(presentations, responses, features[0].astype(np.float32), table.cast({"voxel": pl.Int32}), 1.0)


def score(subject, vectors, null):
    """What the asset `encoding_scores` computes of one model."""
    from affectlake.encoding import cross_validate
    from affectlake.scoring import region_rows, run_rows, voxel_rows

    regions = subject.regions()
    found = cross_validate(
        vectors,
        subject.responses,
        subject.presentations["run"].to_numpy(),
        exclusive=subject.presentations["video_id"].to_numpy(),
        trials=subject.presentations["trial"].to_numpy(),
        null=null,
        groups=regions,
    )
    return region_rows(subject, regions, found, True), run_rows(regions, found), voxel_rows(subject, found, True)


def elapsed(call):
    """The result with its wall and processor seconds."""
    start = np.array([time.perf_counter(), time.process_time()])
    result = call()
    return result, np.array([time.perf_counter(), time.process_time()]) - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=60_000)
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--run-models", type=int, help="how many of them are run; the rest is extrapolated")
    parser.add_argument("--features", type=int, default=30)
    parser.add_argument("--null", type=int, default=100)
    parser.add_argument("--run-null", type=int, help="how many permutations are run; the rest is extrapolated")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()

    from affectlake.contrast import compare

    run_null = min(args.run_null or args.null, args.null)

    rng = np.random.default_rng(args.seed)
    features = [rng.gamma(0.5, size=(STIMULI, args.features)) for _ in range(args.models)]
    subject = scene(args.voxels, features, rng)
    few = np.arange(216)
    score(subject.restricted(few), features[0][few], 0)  # imports and first calls are not counted
    spent, regions, runs = [], [], []
    for m in range(args.run_models or args.models):
        plain = elapsed(lambda m=m: score(subject, features[m], 0))[1]
        (by_region, by_run, _), both = elapsed(lambda m=m: score(subject, features[m], run_null))
        spent.append(plain + (both - plain) * args.null / max(run_null, 1))
        regions.append(by_region.select("roi", "mean_r").with_columns(model=pl.lit(f"m{m}")))
        runs.append(by_run.with_columns(model=pl.lit(f"m{m}")))
        print(
            f"model {m + 1}: {plain[0]:.1f} s wall ({plain[1]:.1f} s processor) for the scores,"
            f" {both[0]:.1f} ({both[1]:.1f}) with {run_null} permutations"
        )
    everyone = [f"s{k}" for k in range(5)]
    scores = pl.concat(
        [f.with_columns(subject=pl.lit(s), metric=pl.lit("encoding")) for s in everyone for f in regions]
    )
    jitter = pl.Series("score", scores["mean_r"] + rng.normal(0, 0.01, scores.height))
    by_run = pl.concat([f.with_columns(subject=pl.lit(s)) for s in everyone for f in runs])
    compared, comparing = elapsed(lambda: compare(scores.with_columns(jitter), by_run))
    total = np.mean(spent, axis=0) * args.models * 5 + comparing
    print(
        f"{args.voxels} voxels x {args.features} features, {args.null} permutations;"
        f" {len(spent)} of {5 * args.models} pairs run"
    )
    print(f"comparisons of 5 subjects: {comparing[1]:.1f} s processor for {compared.height} rows")
    print(
        f"five subjects and {args.models} models: {total[0] / 60:.1f} min wall, {total[1] / 60:.1f} min processor,"
        " extrapolated from the pairs and permutations that were run"
    )
    peak = peak_mb() / 1024
    print(f"highest memory {peak:.2f} GiB, of it the responses {subject.responses.nbytes / 2**30:.2f}")


if __name__ == "__main__":
    main()
