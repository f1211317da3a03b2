"""The pages of the site: an overview, a page for each subject and each judge, all dimensions, a page for each model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from affectlake.judge_measures import Measures
from affectlake.report import brains, browser, contrasts, dimensions, glass, judges, quality, records, subject
from affectlake.report.blocks import Fold, Frame, Section, sections
from affectlake.report.html import render
from affectlake.report.numbers import coefficient, count, plural
from affectlake.report.results import Results

OVERVIEW = "index.html"


def pages(results: Results) -> Iterator[tuple[str, str, str]]:
    """Write the pages one by one.

    Parameters
    ----------
    results : Results

    Yields
    ------
    (file, title, html)
        HTML text that needs nothing but itself; links lead to the other pages, which may be absent.
    """
    yield _overview(results)
    for name in results.facts.subjects:
        yield _subject(results, name)
    for judge in results.judges:
        yield _judge(results, judge)
    if results.with_pages:
        yield _dimensions(results)
    for model in results.with_pages:
        yield _browser(results, model)


def n_pages(results: Results) -> int:
    """How many pages there will be."""
    models = len(results.with_pages)
    return 1 + len(results.facts.subjects) + len(results.judges) + models + bool(models)


def _page(results: Results, file: str, title: str, found: list[Section], **more: Any) -> tuple[str, str, str]:
    template = more.pop("template", "page.html.j2")
    context = {"lead": "", "figures": [], **more}
    html = render(
        template,
        frames=tuple(_frames(found)),
        title=title,
        here=file,
        facts=results.facts,
        menu=_menu(results),
        sections=found,
        **context,
    )
    return file, title, html


def _frames(found: list[Section]) -> Iterator[str]:
    for section in found:
        for block in section.blocks:
            inner = block.blocks if isinstance(block, Fold) else [block]
            yield from (b.document for b in inner if isinstance(b, Frame))


def _menu(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    menu = [("Report", [("Overview", OVERVIEW)])]
    if results.facts.subjects:
        menu.append(("Subjects", [(s, f"subject-{s}.html") for s in results.facts.subjects]))
    if results.judges:
        menu.append(("Judges", [(m.model, judges.page_of(m.model)) for m in results.judges]))
    if results.with_pages:
        links = [(m, f"dimensions-{m}.html") for m in results.with_pages]
        menu.append(("Dimensions", [("All models", "dimensions.html"), *links]))
    return menu


def _overview(results: Results) -> tuple[str, str, str]:
    found = sections(
        (
            brains.leaderboard(results),
            glass.regions(results),
            contrasts.comparisons(results),
            brains.similarity(results),
            brains.searchlight(results),
            contrasts.variance(results),
            brains.decoding(results),
            judges.overview(results),
            quality.quality(results),
            quality.training(results),
            quality.reproducibility(results),
            dimensions.meaning(results),
            records.methods(results),
            records.left_out(results),
            records.provenance(results),
        )
    )
    return _page(results, OVERVIEW, "Overview", found, lead=_lead(results), figures=_facts(results))


def _facts(results: Results) -> list[tuple[str, str]]:
    clips = results.table("videos").filter((pl.col("status") != "left") & pl.col("duplicate_of").is_null()).height
    judgments = results.table("embedding_quality")["n_train"].sum()
    found = [("clips", count(clips)), ("models", count(len(results.facts.models)))]
    if judgments:
        found.append(("training judgments", count(int(judgments))))
    if results.facts.subjects:
        found += [("subjects", count(len(results.facts.subjects))), ("regions", count(len(results.regions)))]
    return found


def _lead(results: Results) -> str:
    """The main result in two sentences, or what there is instead."""
    scores = results.table("encoding_scores").drop_nulls("mean_r")
    best = results.best
    if best is None:
        return "This study has no models yet."
    if scores.is_empty():
        quality_rows = results.table("embedding_quality").filter(pl.col("model") == best).drop_nulls("accuracy")
        if quality_rows.is_empty():
            return "This study has neither brains nor judgments: its spaces and their dimensions are shown."
        return (
            f"{best} has the space that predicts held-out judgments best "
            f"({coefficient(quality_rows['accuracy'][0], 3)}). This study has no brain responses."
        )
    mine = scores.filter(pl.col("model") == best)
    regions = mine.group_by("roi").agg(pl.col("mean_r").mean()).sort(["mean_r", "roi"], descending=[True, False])
    among = " of the models that are no controls" if results.facts.controls else ""
    return (
        f"Over {plural(mine['subject'].n_unique(), 'subject')} and {plural(regions.height, 'region')}, {best} predicts "
        f"the brain best{among} (mean cross-validated r {coefficient(mine['mean_r'].mean())}), "  # type: ignore[arg-type]
        f"and {regions['roi'][0]} best of all (r {coefficient(regions['mean_r'][0])}). "
        f"{_controls_ahead(results, scores, best)}Whether that is more than another model's is a matter of the "
        "comparisons below."
    )


def _controls_ahead(results: Results, scores: pl.DataFrame, best: str) -> str:
    """Controls that predict better than the best model of interest: the reader must know before anything else."""
    ahead = [m for m in results.ranked[: results.ranked.index(best)] if m in results.facts.controls]
    said = [f"{m} (r {coefficient(scores.filter(pl.col('model') == m)['mean_r'].mean())})" for m in ahead]  # type: ignore[arg-type]
    return f"But a control predicts it better: {', '.join(said)}. " if said else ""


def _subject(results: Results, name: str) -> tuple[str, str, str]:
    found = subject.of(results, name)
    return _page(results, f"subject-{name}.html", f"Subject {name}", found, figures=subject.facts(results, name))


def _judge(results: Results, found: Measures) -> tuple[str, str, str]:
    return _page(
        results,
        judges.page_of(found.model),
        f"Judge {found.model}",
        judges.of(results, found),
        lead=judges.lead(found),
        figures=judges.facts(found),
    )


def _dimensions(results: Results) -> tuple[str, str, str]:
    found = sections((dimensions.graph(results), dimensions.index(results)))
    return _page(results, "dimensions.html", "Dimensions of all models", found)


def _browser(results: Results, model: str) -> tuple[str, str, str]:
    shown = browser.of(results, model)
    return _page(
        results,
        f"dimensions-{model}.html",
        f"Dimensions of {model}",
        shown.sections,
        template="browser.html.j2",
        figures=shown.figures,
        browser=shown,
    )
