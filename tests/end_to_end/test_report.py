"""The report as its reader meets it: files opened from disk in a browser that lets nothing out."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

import sql
from affectlake.report import Results, pages
from affectlake.report.numbers import coefficient, probability
from assets.report import results_of, write_report
from dagster_project.planning import State, survey
from dagster_project.reporting import current_report
from resources.query import query

from .conftest import Finished

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "</script><script>window.stolen = 1</script><img src=http://127.0.0.1:9/x onerror='window.stolen = 2'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as program:
        running = program.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


class Reader:
    """A page that notes what goes wrong in it and what it asks for."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.page = browser.new_page(**options)
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.problems.append(str(e)))
        self.page.on("request", lambda r: self.asked.append(r.url))

    def open(self, path: Path) -> Any:
        self.page.goto(path.as_uri())
        return self.page

    def marks(self, figure: str) -> list[str]:
        """What the marks of a figure say."""
        found: list[str] = self.page.eval_on_selector_all(
            f"#{figure} [role=graphics-symbol][aria-label]", "marks => marks.map(m => m.getAttribute('aria-label'))"
        )
        return found


@pytest.fixture
def reader(browser: Any) -> Iterator[Reader]:
    found = Reader(browser)
    yield found
    found.page.close()


@pytest.fixture(scope="module")
def hostile(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The study with captions that would like to run, and with its frames shown."""
    folder = tmp_path_factory.mktemp("hostile") / "study"
    shutil.copytree(finished.folder, folder)
    study = Finished(folder, finished.outcome)
    captions = study.lake.read("captions").with_columns(text=pl.lit(HOSTILE))
    study.lake.overwrite("captions", captions)
    study.edit("media_root: stimuli/media,", "media_root: stimuli/media, show: thumbnails,")
    write_report(study.study, study.lake)
    return study


def site(finished: Finished) -> Path:
    return finished.folder / "report"


def test_every_page_opens_without_an_error_and_asks_for_nothing(finished: Finished, reader: Reader) -> None:
    pages = finished.lake.read("report")["file"].to_list()
    models, subjects = finished.study.model_names, finished.study.subjects
    assert set(pages) == {
        "index.html",
        "dimensions.html",
        *(f"subject-{s}.html" for s in subjects),
        *(f"judge-{m}.html" for m in models),
        *(f"dimensions-{m}.html" for m in models),
    }
    for file in pages:
        page = reader.open(site(finished) / file)
        assert "SYNTHETIC" in page.locator("body").inner_text()[:200]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    reader.page.goto((site(finished) / "index.html").as_uri())
    reader.page.locator("summary", has_text="interactive").click()
    reader.page.frame_locator("iframe").locator("canvas").wait_for()
    assert reader.problems == []
    assert [a for a in reader.asked if not a.startswith(("file:", "data:", "about:"))] == []


CUT_OFF = """
() => [...document.querySelectorAll('.chart svg text')].filter(text => {
  const left = text.getBoundingClientRect().left;
  for (let e = text.ownerSVGElement; e !== document.body; e = e.parentElement)
    if (getComputedStyle(e).overflowX !== 'visible' && left < e.getBoundingClientRect().left - 1) return true;
  return left < 0;
}).map(text => text.textContent)
"""


def test_no_label_is_cut_off_where_the_fonts_are_wider_than_those_it_was_laid_out_in(
    finished: Finished, reader: Reader
) -> None:
    for file in finished.lake.read("report")["file"]:
        assert reader.open(site(finished) / file).evaluate(CUT_OFF) == [], file


def test_every_link_leads_somewhere(finished: Finished, reader: Reader) -> None:
    ids = {}
    links = set()
    for file in finished.lake.read("report")["file"]:
        page = reader.open(site(finished) / file)
        ids[file] = set(page.eval_on_selector_all("[id]", "all => all.map(e => e.id)"))
        hrefs = page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))")
        links |= {(h.partition("#")[0] or file, h.partition("#")[2]) for h in hrefs}
    assert all(file in ids and (not place or place in ids[file]) for file, place in links)


def test_the_points_of_the_matrix_are_the_scores_of_the_table(finished: Finished, reader: Reader) -> None:
    reader.open(site(finished) / "index.html")
    said = {
        f"{r['model']}, {r['roi']}, {r['subject']}: r {coefficient(r['mean_r'], 3)}, q {probability(r['q'])}, "
        f"n {r['n_stimuli']} presentations"
        for r in finished.lake.read("encoding_scores").iter_rows(named=True)
    }
    marks = [m for m in reader.marks("matrix") if "presentations" in m]
    assert set(marks) == said
    assert len(marks) == len(said)


def test_points_stand_where_their_numbers_are(finished: Finished, reader: Reader) -> None:
    reader.open(site(finished) / "subject-sub-01.html")
    places = reader.page.eval_on_selector_all(
        "#scores-by-region [role=graphics-symbol][aria-label*=', sub-01:']",
        "all => all.map(m => [m.getAttribute('aria-label'), m.getAttribute('transform')])",
    )
    of = [
        (float(label.split("r ")[-1].split(",")[0].replace("\u2212", "-")), float(re.findall(r"[\d.]+", place)[0]))
        for label, place in places
        if label.startswith("planted,")
        for label in [label.partition(": ")[2]]
    ]
    frame = pl.DataFrame(of, schema=["r", "x"], orient="row")
    assert frame.height == finished.lake.read("encoding_scores")["roi"].n_unique()
    assert frame.select(pl.corr("r", "x")).item() > 0.9999


def test_the_other_figures_say_the_numbers_of_their_tables(finished: Finished, reader: Reader) -> None:
    reader.open(site(finished) / "index.html")
    quality = finished.lake.read("embedding_quality")
    for model, accuracy, ceiling in quality.select("model", "accuracy", "ceiling").iter_rows():
        marks = reader.marks("accuracy")
        assert any(m.startswith(f"{model}, held-out accuracy: {coefficient(accuracy, 3)}") for m in marks)
        assert any(m.startswith(f"{model}, noise ceiling: {coefficient(ceiling, 3)}") for m in marks)
    dimensions = finished.lake.read("dimensions").drop_nulls("reproducibility")
    assert len([m for m in reader.marks("reproducibility") if "reproducibility" in m]) == dimensions.height
    parts = finished.lake.read("variance_partition")
    assert len([m for m in reader.marks("variance") if "R\u00b2" in m and "sub-" in m]) == parts.height
    rsa = finished.lake.read("rsa_scores").group_by("model", "roi", "method").agg(pl.col("rho").mean())
    wanted = [f"{m}, {roi}, {how}: {coefficient(rho, 3)}" for m, roi, how, rho in rsa.iter_rows()]
    assert all(any(mark.startswith(w) for mark in reader.marks("rsa")) for w in wanted)
    decoded = finished.lake.read("decoding_scores")
    assert {m for m in reader.marks("decoding") if "presentations" in m} == {
        f"{r['model']}, {r['roi']}, {r['subject']}: identification accuracy {coefficient(r['identification'], 3)}, "
        f"q {probability(r['q'])}, n {r['n_stimuli']} presentations"
        for r in decoded.iter_rows(named=True)
    }
    around = around_voxels(finished).group_by("model", "roi").agg(pl.col("rho").mean(), pl.col("centres").sum())
    assert {m for m in reader.marks("searchlight") if "centres" in m} == {
        f"{r['model']}, {r['roi']}: mean {coefficient(r['rho'], 3)} over 2 subjects, {r['centres']:,} centres"
        for r in around.iter_rows(named=True)
    }
    reader.open(site(finished) / "subject-sub-02.html")
    assert reader.page.locator("#searchlight img[alt*='searchlight r']").count() == around["model"].n_unique()
    runs = finished.lake.read("run_scores").filter(pl.col("subject") == "sub-02")
    assert len([m for m in reader.marks("runs") if ", run " in m]) == runs.height


def around_voxels(finished: Finished) -> pl.DataFrame:
    """Searchlight scores averaged inside each subject's regions, by the numbers that comparisons are made of."""
    voxels = finished.lake.read("voxels").select("subject", "voxel", "rois").explode("rois").rename({"rois": "roi"})
    scores = finished.lake.read("searchlight_scores").join(voxels.drop_nulls(), on=["subject", "voxel"])
    return scores.group_by("subject", "model", "roi").agg(
        pl.col("rho").cast(pl.Float64).mean(), pl.len().alias("centres")
    )


def test_a_judges_page_says_the_numbers_of_the_query(finished: Finished, reader: Reader) -> None:
    named = sql.named("judges")
    known = query(finished.lake, finished.study, named.text).filter(model="planted").row(0, named=True)
    reader.open(site(finished) / "judge-planted.html")
    marks = {m.partition(",")[0]: m.rpartition(": ")[2] for m in reader.marks("place-shares")}
    for place in ("first", "second", "third"):
        assert float(marks[f"shown {place}"].split()[0]) == pytest.approx(known[f"{place}_place"], abs=6e-4)
    itself = {m.partition(",")[0]: m.rpartition(": ")[2] for m in reader.marks("self-agreement")}
    for mark, column in {
        "another order": "consistency",
        "same order": "repeatability",
        "noise ceiling": "ceiling",
    }.items():
        assert float(itself[mark].split()[0]) == pytest.approx(known[column], abs=6e-4)
    assert f"p {probability(known['place_p'])}".replace("p .", "p = .") in reader.page.locator("#places").inner_text()


def test_the_leaderboard_is_the_mean_of_the_scores(finished: Finished, reader: Reader) -> None:
    page = reader.open(site(finished) / "index.html")
    rows = page.eval_on_selector_all(
        "#brain table >> nth=0", "t => [...t[0].tBodies[0].rows].map(r => [...r.cells].map(c => c.textContent))"
    )
    means = dict(finished.lake.read("encoding_scores").group_by("model").agg(pl.col("mean_r").mean()).iter_rows())
    assert [(r[1], r[2]) for r in rows] == [
        (m, coefficient(v, 3)) for m, v in sorted(means.items(), key=lambda item: -item[1])
    ]


def test_a_script_in_a_caption_stays_text(hostile: Finished, reader: Reader) -> None:
    page = reader.open(site(hostile) / "dimensions-planted.html")
    assert page.evaluate("window.stolen") is None
    assert page.locator(".clip p").first.text_content() == HOSTILE
    assert HOSTILE in page.locator(".ranked li").first.inner_text()
    page.locator(".clip button").first.click()
    assert reader.problems == []
    assert [a for a in reader.asked if not a.startswith(("file:", "data:"))] == []


def test_pages_are_whole_without_javascript(finished: Finished, browser: Any) -> None:
    reader = Reader(browser, java_script_enabled=False)
    page = reader.open(site(finished) / "index.html")
    assert page.locator("#matrix svg").is_visible()
    assert page.locator("#brain table").first.is_visible()
    assert page.locator("#maps img").first.is_visible()
    page = reader.open(site(finished) / "dimensions-planted.html")
    assert page.locator(".clip").count() == finished.lake.read("embeddings", {"model": "planted"}).height
    assert page.locator(".dimension svg").first.is_visible()
    page.close()


def test_marks_tables_and_roses_are_reached_by_keys(finished: Finished, reader: Reader) -> None:
    page = reader.open(site(finished) / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.locator("#matrix [tabindex='0']").focus()
    first = page.locator("#tip").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tip").inner_text() not in ("", first)
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    head = page.locator("#brain table th", has_text="mean r").first
    head.locator("button").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert page.locator("#brain table").first.locator("tbody tr").first.inner_text().split()[1] == "scrambled"
    page = reader.open(site(finished) / "dimensions-planted.html")
    page.locator(".clip button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".clip .rose svg[role=img]").get_attribute("aria-label")


def test_clips_are_searched_and_a_link_finds_a_hidden_one(finished: Finished, reader: Reader) -> None:
    page = reader.open(site(finished) / "dimensions-planted.html")
    captions = dict(finished.lake.read("captions").select("video_id", "text").iter_rows())
    word = captions["clip001"].split()[3].lower()
    page.get_by_label("Search the clips").fill(word)
    page.locator(".search output", has_text="of").wait_for()
    shown = page.eval_on_selector_all(".clip:not([hidden])", "all => all.map(c => c.textContent.toLowerCase())")
    assert shown
    assert all(word in text for text in shown)
    page.get_by_label("Search the clips").fill("no clip says this")
    page.locator(".search output", has_text="0 of").wait_for()
    page.evaluate("location.hash = 'clip-clip002'")
    page.locator("#clip-clip002").wait_for()


def test_every_picture_table_and_section_is_named_for_those_who_do_not_see(finished: Finished, reader: Reader) -> None:
    for file in finished.lake.read("report")["file"]:
        page = reader.open(site(finished) / file)
        assert page.locator("h1").count() == 1
        assert page.locator("main, nav, header, footer").count() == 4
        assert page.locator("table:not(:has(caption))").count() == 0
        assert page.locator("table thead th:not([scope=col]), tbody tr > th:not([scope=row])").count() == 0
        assert page.locator("img:not([alt])").count() == 0
        assert page.locator(".chart > [role=group]:not([aria-label])").count() == 0
        levels = page.eval_on_selector_all("main h2, main h3, main h4", "all => all.map(h => +h.tagName[1])")
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("file", ["index.html", "subject-sub-01.html", "dimensions.html", "dimensions-planted.html"])
def test_axe_finds_nothing_that_keeps_anybody_out(finished: Finished, browser: Any, file: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install -e '.[dev]'")
    page = browser.new_page(bypass_csp=True)  # axe runs inside the page, which lets no script in
    page.goto((site(finished) / file).as_uri())
    found = axe.Axe().run(page).response["violations"]
    page.close()
    assert [(v["id"], v["help"], v["nodes"][0]["html"]) for v in found] == []


def test_a_control_is_never_the_best_model_of_a_region(finished: Finished) -> None:
    results = results_of(finished.study, finished.lake)
    _, _, html = next(iter(pages(replace(results, facts=replace(results.facts, controls=("planted",))))))
    best = html.partition("The best model of each region against")[2].partition("</table>")[0]
    assert "human-category" in best
    assert "planted" not in best


def test_clips_are_shown_as_the_study_allows(finished: Finished, hostile: Finished, reader: Reader) -> None:
    results = results_of(finished.study, finished.lake)
    text = finished.lake.read("captions")["text"][0]
    for show, seen in (("ids", False), ("captions", True)):
        facts = replace(results.facts, show=show, subjects=(), models=("planted",))
        shown = {file: html for file, _, html in pages(Results(facts, results.tables))}
        assert (text in shown["dimensions-planted.html"]) is seen
        assert "data:image/jpeg" not in shown["dimensions-planted.html"]
    page = reader.open(site(hostile) / "dimensions-planted.html")
    assert page.locator(".ranked img[src^='data:image/jpeg']").count() > 0


def test_the_same_tables_give_the_same_files(finished: Finished, hostile: Finished) -> None:
    page = "subject-sub-01.html"  # shows neither captions nor frames, which differ between the two
    assert (site(finished) / page).read_bytes() == (site(hostile) / page).read_bytes()


def test_files_that_were_deleted_or_changed_are_written_again(bare: Finished) -> None:
    page = site(bare) / "index.html"
    before = page.read_bytes()
    page.write_text("something else")
    (site(bare) / "dimensions.html").unlink()
    assert current_report(bare.study, bare.lake) == page
    assert page.read_bytes() == before
    assert (site(bare) / "dimensions.html").exists()


def test_the_report_is_stale_when_what_it_shows_changes_and_not_of_itself(copy: Finished) -> None:
    assert behind(copy) == set()
    copy.edit("media_root: stimuli/media,", "media_root: stimuli/media, show: ids,")
    assert behind(copy) == {"report"}
    copy.edit("show: ids,", "")
    copy.edit("null: 99", "null: 49")
    assert behind(copy) == {
        "encoding_scores",
        "rsa_scores",
        "decoding_scores",
        "variance_partition",
        "comparisons",
        "report",
    }


def behind(study: Finished) -> set[str]:
    return {recipe.name for recipe, _, state in survey(study.study, study.lake) if state is not State.CURRENT}


@pytest.fixture
def bare(finished: Finished, tmp_path: Path) -> Finished:
    """A study that has clips and one space, and nothing else."""
    folder = tmp_path / "bare"
    shutil.copytree(finished.folder / "stimuli", folder / "stimuli")
    (folder / "study.yaml").write_text(
        "name: bare\nstimuli: {manifest: stimuli/videos.csv}\nmodels:\n"
        "  - {name: space, agent: features, file: stimuli/planted.npy, ids: stimuli/planted_ids.txt}\n"
    )
    study = Finished(folder, Finished(folder, finished.outcome).run())
    assert study.outcome.failed == {}
    assert study.outcome.blocked == []
    return study


def test_a_study_without_brains_judgments_or_ratings_has_a_report(bare: Finished) -> None:
    assert set(bare.lake.read("report")["file"]) == {"index.html", "dimensions.html", "dimensions-space.html"}
    text = (site(bare) / "index.html").read_text()
    assert "neither brains nor judgments" in text
    assert "SYNTHETIC" not in text
    assert bare.run().computed == []


def metadata(finished: Finished, table: str, partition: str | None = None) -> dict[str, Any]:
    """What the user interface shows of the newest computation of a table's partition."""
    with dg.DagsterInstance.from_config(str(finished.folder / ".dagster")) as instance:
        asked = dg.AssetRecordsFilter(dg.AssetKey(table), asset_partitions=[partition] if partition else None)
        record = instance.fetch_materializations(asked, limit=1).records[0]
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_dagster_shows_where_the_report_is_and_how_many_pages_it_has(finished: Finished) -> None:
    shown = metadata(finished, "report")
    assert shown["report"] == str(site(finished) / "index.html")
    assert shown["dagster/row_count"] == finished.lake.read("report").height
    sources = json.loads(finished.lake.read("report")["source_versions"][0])
    assert set(sources) >= {"encoding_scores", "dimensions", "comparisons"}


def test_dagster_shows_the_headline_of_scores_and_spaces(finished: Finished) -> None:
    scores = finished.lake.read("encoding_scores", {"subject": "sub-01", "model": "planted"})
    shown = metadata(finished, "encoding_scores", "planted|sub-01")
    assert shown["mean_r"] == pytest.approx(scores["mean_r"].mean())
    assert shown["regions_significant"] == scores.filter(pl.col("q") < 0.05).height
    assert shown["by_region"].startswith("![cross-validated r by region](data:image/png;base64,")
    assert len(shown["by_region"]) < 50_000, "it lives in the event log"
    quality = finished.lake.read("embedding_quality", {"model": "planted"})
    assert metadata(finished, "embedding_quality", "planted")["accuracy"] == quality["accuracy"][0]


def test_dagster_shows_a_picture_of_every_table_that_has_something_to_see(finished: Finished) -> None:
    wanted = {
        **dict.fromkeys(["videos", "captions", "ratings", "dimension_graph", "dimension_links", "comparisons"]),
        **dict.fromkeys(["judgments", "embeddings", "dimensions", "embedding_quality", "embedding_curves"], "planted"),
        **dict.fromkeys(["responses", "voxels", "roi_timeseries", "variance_partition"], "sub-01"),
        **dict.fromkeys(["encoding_scores", "run_scores", "voxel_scores", "rsa_scores"], "planted|sub-01"),
    }
    for table, partition in wanted.items():
        pictures = [v for v in metadata(finished, table, partition).values() if str(v).startswith("![")]
        assert pictures, table
        assert all(re.fullmatch(r"!\[[\w ,.()-]+\]\(data:image/png;base64,[\w+/=]+\)", p) for p in pictures), table
        assert all(len(p) < 100_000 for p in pictures), f"{table}: it lives in the event log"
