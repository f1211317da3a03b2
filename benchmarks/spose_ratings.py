"""Claim: the paper's two human models come out of the same ratings, 7.1 million simulated judgments each.

Cowen and Keltner's ratings of the 2,180 clips; the odd one out by the cosine of the rating vectors (ties dropped); nine
tenths of the judgments learn, one tenth tests; the 66 clips of validation are judged in full and no judgment among
three of them is learnt from. Prints held-out accuracy and r of the predicted with the measured similarities of these
66, beside what the paper reports (read off its figures): category about .973 and .96, dimension about .921 and .94.

    python benchmarks/spose_ratings.py [--judgments 7100000] [--seeds 10] [category] [dimension]
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from affectlake import spose, triplets
from affectlake.quality import held_out
from affectlake.similarity import measured_rsm, predicted_rsm
from affectlake.similarity_fit import rsm_fit

DATA = Path(__file__).parents[2] / "shared" / "data" / "cowen-keltner"
COLUMNS = {"category": slice(1, 35), "dimension": slice(35, 49)}
PAPER = {"category": (0.973, 0.96), "dimension": (0.921, 0.94)}
VALIDATION, SEED = 66, 0


def ratings(scale: str, folder: Path) -> np.ndarray:
    """Rating vectors of the paper's clips, float64[2180, 34 or 14]."""
    table = pl.read_csv(folder / "CowenKeltnerEmotionalVideos.csv.gz", infer_schema_length=None)
    clip = table[table.columns[0]].cast(pl.String).str.extract(r"(\d+)", 1).cast(pl.Int64)
    wanted = pl.read_csv(folder / "stimuli.csv")["stimID"]
    rows = table.filter(clip.is_in(wanted.implode()))
    return rows[rows.columns[COLUMNS[scale]]].to_numpy().astype(np.float64)


def judged(vectors: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """The odd one of each set put last; sets whose two most similar pairs tie are left out."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = (unit @ unit.T).astype(np.float32)
    a, b, c = sets.T
    z = np.stack([cosine[b, c], cosine[a, c], cosine[a, b]], axis=1)
    ordered = np.sort(z, axis=1)
    turn = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[z.argmax(axis=1)]
    return np.take_along_axis(sets, turn, axis=1)[ordered[:, 2] > ordered[:, 1]].astype(np.int32)


def report(scale: str, n: int, seeds: int, folder: Path) -> None:
    vectors = ratings(scale, folder)
    items = np.sort(np.random.default_rng(SEED).choice(len(vectors), VALIDATION, replace=False))
    sets = triplets.sample(len(vectors), n, seed=SEED)
    answers = judged(vectors, sets[~np.isin(sets, items).all(axis=1)])
    test, train = np.split(answers, [len(answers) // 10])
    begin, cpu = time.perf_counter(), time.process_time()
    fitted = spose.fit_reproducible(train, len(vectors), seeds=seeds, device="cpu")
    took = f"{time.perf_counter() - begin:.0f} s on the wall, {time.process_time() - cpu:.0f} processor s"
    full = judged(vectors, items[np.array(list(combinations(range(VALIDATION), 3)))])
    measured = measured_rsm(np.searchsorted(items, full), VALIDATION)
    score, fit = held_out(fitted.weights, test), rsm_fit(predicted_rsm(fitted.weights[items]), measured)
    accuracy, r = PAPER[scale]
    print(
        f"{scale}: {len(train):,} judgments, {seeds} seeds, {fitted.weights.shape[1]} dimensions kept: accuracy "
        f"{score.accuracy:.4f} [{score.low:.4f}, {score.high:.4f}] (paper about {accuracy:.3f}), r of the {VALIDATION} "
        f"clips' similarities {fit.value:.3f} [{fit.low:.3f}, {fit.high:.3f}] (paper {r}); {took}, "
        f"reproducibility {np.min(fitted.reproducibility):.2f} to {np.max(fitted.reproducibility):.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("scales", nargs="*", default=["category", "dimension"])
    parser.add_argument("--judgments", type=int, default=7_100_000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", type=Path, default=DATA)
    given = parser.parse_args()
    for scale in given.scales:
        report(scale, given.judgments, given.seeds, given.data)


if __name__ == "__main__":
    main()
