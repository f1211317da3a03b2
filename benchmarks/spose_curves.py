"""Draw how many planted dimensions ``fit`` finds by the number of judgments, their noise and the number of items.

Planted spaces (30 dimensions, about 3 an item; 10 dimensions where there are 200 items) answer by the softmax of the
model; a share of the answers, the noise, is replaced by a guess. No setting is given to ``fit``. Every point is one
fit. Points that the CSV file holds already are not measured again; the figure is drawn from it.

    python benchmarks/spose_curves.py docs/figures/recovery.csv docs/figures/recovery.svg
"""

from __future__ import annotations

import csv
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from affectlake import spose
from tests.affectlake._planted import judge, plant, recovered

NOISE = (0.0, 0.2, 0.4)
SIZES = {
    200: (5_000, 20_000, 60_000, 200_000),
    2180: (400_000, 1_000_000, 3_000_000),
    10_000: (2_000_000, 5_000_000),
}
SEED = 611
COLUMNS = ("items", "planted", "judgments", "noise", "found", "mean_r", "kept", "processor_s")


def measure(n: int, n_judgments: int, noise: float) -> tuple[float, ...]:
    """Fit one planted space: planted dimensions with r >= .9, mean r, dimensions kept, processor seconds."""
    d = 10 if n == 200 else 30
    planted = plant(n, d, active=3.0 if n == 200 else 3.2, scale=0.65, seed=SEED)
    answers = judge(planted, n_judgments, seed=SEED + 1)
    rng = np.random.default_rng(SEED + 2)
    guessed = rng.random(len(answers)) < noise
    answers[guessed] = rng.permuted(answers[guessed], axis=1)
    begin = time.process_time()
    fitted = spose.fit(answers, n, device="cpu")
    r = recovered(fitted.weights, planted)
    took = round(time.process_time() - begin, 1)
    return n, d, n_judgments, noise, int((r >= 0.9).sum()), round(float(r.mean()), 3), fitted.weights.shape[1], took


def measured(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(",".join(COLUMNS) + "\n")
    with file.open() as lines:
        return list(csv.DictReader(lines))


def complete(file: Path) -> None:
    """Measure what the file lacks, a line at a time."""
    have = {(int(p["items"]), int(p["judgments"]), float(p["noise"])) for p in measured(file)}
    for n, budgets in SIZES.items():
        for n_judgments in budgets:
            for noise in NOISE:
                if (n, n_judgments, noise) not in have:
                    point = measure(n, n_judgments, noise)
                    print(*(f"{c}={v}" for c, v in zip(COLUMNS, point, strict=True)), flush=True)
                    with file.open("a") as lines:
                        lines.write(",".join(map(str, point)) + "\n")


def draw(points: list[dict[str, str]], file: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "recovery"
    import matplotlib.pyplot as plt

    sizes = sorted({int(p["items"]) for p in points})
    figure, panels = plt.subplots(1, len(sizes), figsize=(3.4 * len(sizes), 3.2), sharey=True, squeeze=False)
    for panel, n in zip(panels[0], sizes, strict=True):
        for noise, colour in zip(NOISE, ("#1b5e8c", "#c9771e", "#8c2f5a"), strict=True):
            here = sorted(
                (int(p["judgments"]), int(p["found"]) / int(p["planted"]))
                for p in points
                if int(p["items"]) == n and float(p["noise"]) == noise
            )
            if here:
                panel.plot(*zip(*here, strict=True), marker="o", ms=4, color=colour, label=f"{noise:.0%} guesses")
        panel.set(xscale="log", xlabel="judgments", title=f"{n:,} items", ylim=(-0.03, 1.05))
        panel.set_xticks(SIZES[n], [f"{b / 1e6:g} M" if b >= 1e6 else f"{b / 1e3:g} k" for b in SIZES[n]])
        panel.minorticks_off()
    panels[0][0].set_ylabel("planted dimensions found (r ≥ .9)")
    panels[0][0].legend(frameon=False, fontsize=8)
    figure.suptitle("Synthetic: judgments of planted spaces, one fit a point", fontsize=9)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})


def main() -> None:
    points, figure = Path(sys.argv[1]), Path(sys.argv[2])
    complete(points)
    draw(measured(points), figure)


if __name__ == "__main__":
    main()
