"""What the spaces predict in the brain: leaderboard, regions by models, similarity, searchlight, decoding."""

from __future__ import annotations

from typing import Any

import polars as pl

from affectlake.report.blocks import Cell, Figure, Fold, Section, Table, cell
from affectlake.report.numbers import ABSENT, coefficient, count, percent, plural, probability
from affectlake.report.regional import Points, heat, points
from affectlake.report.results import SIGNIFICANT, Results
from affectlake.scoring import searchlight_by_region


def leaderboard(results: Results) -> Section | None:
    """Models, best first, and every region by every model."""
    scores = results.table("encoding_scores")
    if scores.drop_nulls("mean_r").is_empty():
        return None
    return Section(
        "brain",
        "Which space predicts which region?",
        [_models(results, scores), matrix(results, scores), _regions(results, scores)],
    )


def _models(results: Results, scores: pl.DataFrame) -> Table:
    tested = pl.col("q").is_not_null().sum()
    found = scores.group_by("model").agg(
        pl.col("mean_r").mean(),
        pl.col("normalised_r").mean(),
        pl.col("subject").filter(pl.col("mean_r").is_not_null()).n_unique().alias("n_subjects"),
        (pl.col("q") < SIGNIFICANT).sum().alias("n_significant"),
        tested.alias("n_tested"),
        pl.col("coverage").min(),
    )
    by = {r["model"]: r for r in found.iter_rows(named=True)}
    normalised = scores["normalised_r"].null_count() < scores.height
    body = []
    for rank, model in enumerate((m for m in results.ranked if m in by), start=1):
        r, top = by[model], _top(scores.filter(pl.col("model") == model))
        row = [
            cell(rank, rank),
            cell(model + (" (control)" if model in results.facts.controls else "")),
            cell(coefficient(r["mean_r"], 3), r["mean_r"]),
            *([cell(coefficient(r["normalised_r"]), r["normalised_r"])] if normalised else []),
            cell(f"{r['n_significant']} of {r['n_tested']}", r["n_significant"]),
            cell(top),
            cell(r["n_subjects"], r["n_subjects"]),
            cell(percent(r["coverage"]), r["coverage"]),
        ]
        body.append(row)
    heads = ["#rank", "model", "#mean r", *(["#r / ceiling"] if normalised else [])]
    note = "" if normalised else " There is no ceiling: no clip was shown twice, or its repeats do not agree."
    return Table(
        "Leaderboard: cross-validated Pearson r, mean over voxels, regions and subjects. Significant: regions of a "
        "subject with q < .05 among those tested (permutations; BH-FDR over the regions of a subject and "
        f"model).{note}",
        [*heads, "#significant", "best region", "#subjects", "#coverage"],
        body,
    )


def _top(scores: pl.DataFrame) -> str:
    means = scores.group_by("roi").agg(pl.col("mean_r").mean()).drop_nulls().sort("mean_r", "roi")
    return f"{means['roi'][-1]} ({coefficient(means['mean_r'][-1])})" if means.height else ABSENT


def matrix(results: Results, scores: pl.DataFrame, name: str = "matrix") -> Figure:
    """Scores of encoding models: regions down, models across, one point a subject."""
    figure = Points(
        "mean_r",
        "r",
        "cross-validated r",
        "Scores of every region by every model, one point a subject",
        "Mean over a region's voxels of the cross-validated Pearson r.",
        "the stimuli",
    )
    return points(results, scores, name, figure)


def _regions(results: Results, scores: pl.DataFrame) -> Table:
    models = [m for m in results.ranked if m in set(scores["model"])]
    means = scores.group_by("roi", "model").agg(
        pl.col("mean_r").mean(), (pl.col("q") < SIGNIFICANT).sum().alias("k"), pl.col("mean_r").count().alias("n")
    )
    by = {(r["roi"], r["model"]): r for r in means.iter_rows(named=True)}
    body = [[cell(roi), *(_score(by.get((roi, m))) for m in models)] for roi in results.regions]
    return Table(
        "Regions by models: mean r over subjects (subjects with q < .05 / subjects scored).",
        ["region", *(f"#{m}" for m in models)],
        body,
    )


def _score(row: dict[str, Any] | None) -> Cell:
    if row is None or row["mean_r"] is None:
        return cell("not scored")
    return cell(f"{coefficient(row['mean_r'])} ({row['k']}/{row['n']})", row["mean_r"])


def similarity(results: Results) -> Section | None:
    """Similarities of spaces and of regions."""
    rows = results.drawn(results.table("rsa_scores"))
    if rows.is_empty():
        return None
    means = rows.group_by("roi", "model", "method").agg(
        pl.col("rho").mean(), (pl.col("q") < SIGNIFICANT).sum().alias("k"), pl.col("rho").count().alias("n")
    )
    means = means.sort("model", "roi", "method")
    said = [
        f"{r['model']}, {r['roi']}, {r['method']}: {coefficient(r['rho'], 3)}, {r['k']} of {plural(r['n'], 'subject')} "
        "with q < .05"
        for r in means.iter_rows(named=True)
    ]
    shown = [f"{coefficient(r['rho'])} ({r['k']}/{r['n']})" for r in means.iter_rows(named=True)]
    figure = heat(
        results,
        means,
        said,
        shown,
        "rsa",
        "Correlation of similarities of models and regions",
        "Correlation of a space's similarities with those of a region's response patterns: mean over subjects, and how "
        "many subjects have q < .05 of those scored (permutation of the clips, one-sided, BH-FDR over regions)."
        f"{results.note_on_regions}",
    )
    return Section("rsa", "Are the same clips similar?", [figure])


def searchlight(results: Results) -> Section | None:
    """Similarities of spaces and of the voxels around each voxel, averaged inside regions."""
    scores = results.lazy("searchlight_scores")
    rows = results.drawn(searchlight_by_region(scores, results.lazy("voxels")).collect())
    if rows.is_empty():
        return None
    means = rows.group_by("roi", "model").agg(
        pl.col("rho").mean(), pl.col("centres").sum(), pl.col("subject").n_unique().alias("n")
    )
    means = means.sort("model", "roi")
    said = [
        f"{r['model']}, {r['roi']}: mean {coefficient(r['rho'], 3)} over {plural(r['n'], 'subject')}, "
        f"{plural(r['centres'], 'centre')}"
        for r in means.iter_rows(named=True)
    ]
    shown = [coefficient(rho, 3) for rho in means["rho"]]
    error = scores.select(pl.col("factor_error").max()).collect().item()
    figure = heat(
        results,
        means,
        said,
        shown,
        "searchlight",
        "Searchlight: correlation of similarities of models and of the voxels around each voxel, by region",
        "Correlation of a space's similarities with those of the response patterns around each voxel, averaged over "
        "the centres that lie in a region, then over subjects. Whether one space has more than another is tested in "
        "the comparisons; where single centres lie stands on each subject's page. Low-rank factors changed a score by "
        f"at most {error:.1e} at the centres checked.{results.note_on_regions}",
    )
    return Section("searchlight", "Are they similar around each voxel?", [figure])


def decoding(results: Results) -> Section | None:
    """The reverse: what models say of the clips, read from regions."""
    rows = results.table("decoding_scores")
    if rows.is_empty():
        return None
    figure = Points(
        "identification",
        "identification accuracy",
        "identification accuracy",
        "Pairwise identification of clips from every region, one point a subject",
        "How often a clip's decoded scores correlate more with its own scores than with those of another clip of the "
        "held-out fold; chance is .5 (the line).",
        "the clips",
        chance=0.5,
    )
    return Section(
        "decoding",
        "What can be read from which region?",
        [
            points(results, rows, "decoding", figure),
            Fold(f"Every subject's numbers ({plural(rows.height, 'row')})", [_decoded(results, rows)]),
        ],
    )


def _decoded(results: Results, rows: pl.DataFrame) -> Table:
    labels = {(m, d): label for m, d, label in results.table("dimensions").select("model", "dimension", "label").rows()}
    place = {roi: k for k, roi in enumerate(results.regions)}
    body = [
        [
            cell(r["roi"]),
            cell(r["model"]),
            cell(r["subject"]),
            cell(coefficient(r["mean_r"], 3), r["mean_r"]),
            cell(probability(r["p_r"]), r["p_r"]),
            cell(coefficient(r["identification"], 3), r["identification"]),
            cell(probability(r["q"]), r["q"]),
            cell(_best_read(r, labels)),
            cell(count(r["n_voxels"]), r["n_voxels"]),
        ]
        for r in sorted(rows.iter_rows(named=True), key=lambda r: (place.get(r["roi"], len(place)), r["roi"]))
    ]
    return Table(
        "What is decoded from each region: mean over dimensions of the cross-validated r with its permutation p, "
        "pairwise identification with its q (BH-FDR over the regions of a subject and model), and the dimension that "
        "is decoded best, which was chosen by the same scores.",
        (
            "region",
            "model",
            "subject",
            "#mean r",
            "#p of r",
            "#identification",
            "#q",
            "best dimension",
            "#voxels",
        ),
        body,
    )


def _best_read(row: dict[str, Any], labels: dict[tuple[str, int], str]) -> str:
    if not row["by_dimension"]:
        return ABSENT
    best = max(row["by_dimension"], key=lambda d: (d["r"], -d["dimension"]))
    name = labels.get((row["model"], best["dimension"])) or f"dimension {best['dimension']}"
    return f"{name} ({coefficient(best['r'])})"
