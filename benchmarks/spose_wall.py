"""Claim: from millions of judgments to a fitted embedding in seconds, and to thirty reproducible dimensions in minutes.

Every case runs in a process of its own, from the interpreter's start to the fitted embedding with ``l1="auto"``, on
judgments of a planted space that was not used for tuning. Prints wall clock, processor time and peak memory, what was
found of the planted space, and how long the published program's step (plain PyTorch, one thread, beside it) would take
for one single pass over the same judgments. Compiled code comes from numba's cache, as in a user's second fit.

    python benchmarks/spose_wall.py [1M 5M 10x5M 10x12M]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _memory import peak_mb

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.affectlake._planted import judge, plant

N, D, SEED = 2180, 30, 909
CASES = {
    # name: judgments, seeds, goals
    "1M": (1_000_000, 1, "8 s on one core, 98.5 % of the true space's accuracy, 29 of 30, 28-34 kept"),
    "5M": (5_000_000, 1, "30 s, 99.5 % of the true space's accuracy, 1 GB"),
    "10x5M": (5_000_000, 10, "120 s on two cores, 3 GB"),
    "10x12M": (12_000_000, 10, "4 GB"),
}


def child(file: str, seeds: int) -> None:
    """Fit what ``file`` holds and say what it cost and where the weights are."""
    import numba

    numba.set_num_threads(1 if seeds == 1 else 2)
    from affectlake import spose

    triplets = np.load(file)
    if seeds == 1:
        fitted = spose.fit(triplets, N, device="cpu")
    else:
        fitted = spose.fit_reproducible(triplets, N, seeds=seeds, dimensions_kept=D, device="cpu")
    np.save(file + ".weights.npy", fitted.weights)
    print(json.dumps({"cpu_s": time.process_time(), "peak_gb": peak_mb() / 1024, "l1": fitted.l1}))


def published_pass_s(triplets: np.ndarray) -> float:
    """Processor time that one pass of the published program over ``triplets`` would take, from its steady rate."""
    import torch
    from _spose_reference_program import Program

    torch.set_num_threads(1)
    return len(triplets) / Program(N, 100, 0.008).rate(triplets[:400_000], 100)


def report(name: str, folder: Path) -> None:
    from spose_recovery import true_accuracy

    from affectlake import spose
    from tests.affectlake._planted import recovered

    n, seeds, goals = CASES[name]
    planted = plant(N, D, seed=SEED)
    file = folder / f"{n}.npy"
    if not file.exists():
        np.save(file, judge(planted, n, seed=SEED + 1))
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--child", str(file), str(seeds)], capture_output=True, text=True, check=True
    )
    wall = time.perf_counter() - begin
    cost = json.loads(done.stdout.splitlines()[-1])
    weights, test = np.load(f"{file}.weights.npy"), judge(planted, 100_000, seed=SEED + 2)
    r, share = recovered(weights, planted), spose.accuracy(weights, test) / true_accuracy(planted, test)
    passed = published_pass_s(np.load(file, mmap_mode="r")[:400_000]) * n / 400_000
    print(
        f"{name:7s} wall {wall:6.1f} s, processor {cost['cpu_s']:6.1f} s, peak {cost['peak_gb']:.2f} GB; "
        f"{(r >= 0.9).sum()} of {D} planted at r >= .9, mean {r.mean():.3f}, {weights.shape[1]} kept, accuracy "
        f"{share:.1%} of the true space's; one pass of the published program: {passed:,.0f} processor s\n"
        f"        goal: {goals}",
        flush=True,
    )


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2], int(sys.argv[3]))
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or CASES:
            report(name, Path(folder))


if __name__ == "__main__":
    main()
