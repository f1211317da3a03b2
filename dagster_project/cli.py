"""The command ``affectlake``. Parses words, calls, prints; exit codes are 0 done, 1 failed, 2 wrong use.

Heavy imports stand inside the commands, so that ``affectlake query`` answers at once.
"""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from affectlake.errors import AffectlakeError
from dagster_project import backfilling, explaining, exporting, querying, tending
from dagster_project.terminal import Format, check_keys, err, open_study, out, plain, print_rows, table_of

if TYPE_CHECKING:
    import polars as pl

    from resources.lake import Lake
    from resources.study import Study

app = typer.Typer(
    help="Whose space of emotion does the brain share? Triplet judgments, embeddings and fMRI encoding in a lakehouse.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
START, COMPUTE, RESULTS, UPKEEP = "Start", "Compute", "Results", "Upkeep"
study_app = typer.Typer(help="Write and check study files.", no_args_is_help=True)
app.add_typer(study_app, name="study", rich_help_panel=START)
judgments_app = typer.Typer(help="Look at what judges were asked and what they said.", no_args_is_help=True)
app.add_typer(judgments_app, name="judgments", rich_help_panel=RESULTS)


class Kind(StrEnum):
    """Study files to start from."""

    demo = "demo"
    blank = "blank"
    cowen_keltner = "cowen-keltner"
    alice = "alice"
    haxby = "haxby"
    horikawa2020 = "horikawa2020"


class Engine(StrEnum):
    """What computes partitions: this process, or a Ray cluster."""

    here = "here"
    ray = "ray"


def main() -> None:
    """Run the command; errors of ours are one line on the error stream and exit code 1."""
    try:
        app()
    except AffectlakeError as error:
        err.print(f"[bold red]error:[/] {plain(str(error))}", highlight=False)
        sys.exit(1)


@app.command(rich_help_panel=START)
def demo() -> None:
    """Write the synthetic demo study, bring it up to date and show its scores."""
    from affectlake.errors import StudyError
    from resources.study import DEFAULT_STUDY, STUDY_VARIABLE

    if os.environ.get(STUDY_VARIABLE):
        raise StudyError(f"{STUDY_VARIABLE} is set", remedy="The demo is written to studies/demo; unset it first.")
    if not DEFAULT_STUDY.exists():
        study_new(DEFAULT_STUDY.parent, Kind.demo)
    run()


@study_app.command("new")
def study_new(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")],
    kind: Annotated[Kind, typer.Option(help="What to start from.")] = Kind.blank,
    data: Annotated[Path | None, typer.Option(help="Folder that holds alice/ or haxby/, for these kinds.")] = None,
) -> None:
    """Write FOLDER/study.yaml; the demo's clips, ratings and scans are generated beside it, as are alice's passages."""
    import studies
    from affectlake.errors import StudyError

    if (kind in (Kind.alice, Kind.haxby)) != (data is not None):
        raise typer.BadParameter("the kinds alice and haxby, and no other, need --data")
    target = folder / "study.yaml"
    if target.exists():
        raise StudyError("is there already", where=str(target), remedy="Choose another folder, or delete it first.")
    folder.mkdir(parents=True, exist_ok=True)
    if kind is Kind.demo:
        _write_demo(folder)
    if data is not None:
        (_write_alice if kind is Kind.alice else _write_haxby)(folder, data)
    if kind is Kind.horikawa2020:
        from affectlake.horikawa import write_horikawa2020

        write_horikawa2020(folder)
    target.write_text(studies.template(kind.value).read_text(encoding="utf-8"), encoding="utf-8")
    out.print(f"wrote {target}")


def _write_demo(folder: Path) -> None:
    from rich.progress import Progress

    from affectlake.demo import write_demo

    with Progress(console=err, transient=True) as bars:
        task = bars.add_task("generating SYNTHETIC clips, ratings and scans", total=None)
        write_demo(folder, progress=lambda done, total: bars.update(task, completed=done, total=total))


def _write_alice(folder: Path, data: Path) -> None:
    from affectlake.passages import write_alice

    passages, left_out = write_alice(folder, data)
    out.print(f"wrote {passages} passages", highlight=False)
    for source, reason, what, n in left_out.frame("passages").select("source", "reason", "what", "n").iter_rows():
        out.print(f"  left out: {n} x {reason} of {what} in {Path(source).name}", highlight=False)


def _write_haxby(folder: Path, data: Path) -> None:
    from affectlake.haxby import write_haxby

    out.print(f"wrote {write_haxby(folder, data)} blocks", highlight=False)


@study_app.command("check")
def study_check() -> None:
    """Read the study file and say what it holds, what is missing on disk, and what to do about it."""
    from affectlake.errors import StudyError

    study, lake = open_study()
    absent = [(key, study.resolve(path)) for key, path in study.files() if not study.resolve(path).exists()]
    lake.open("materializations")
    out.print(f"study {study.name}{' (SYNTHETIC)' if study.synthetic else ''}: {study.path}", highlight=False)
    out.print(f"  models: {', '.join(study.model_names) or 'none'}", highlight=False)
    out.print(f"  subjects: {', '.join(study.subjects) or 'none'}", highlight=False)
    out.print(f"  lake: {lake.root}", highlight=False)
    if absent:
        listed = "; ".join(f"{key}: {path}" for key, path in absent)
        raise StudyError(f"names what is not there: {listed}", where=str(study.path), remedy="Correct the paths.")
    out.print("every file that it names is there")


@study_app.command("fetch")
def study_fetch() -> None:
    """Download the files that the study file lists under `downloads`; goes on where it was cut, and checks sums."""
    from dagster_project.fetching import fetch_all
    from resources.study import load_study

    study = load_study()
    fetched, there = fetch_all(study, err)
    out.print(f"fetched {fetched} files; {there} were there already", highlight=False)


@app.command(rich_help_panel=COMPUTE)
def run(
    select: Annotated[list[str] | None, typer.Option(help="Table to bring up to date, with what it needs.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Only this subject.")] = None,
    engine: Annotated[Engine, typer.Option(help="Where partitions are computed.")] = Engine.here,
    address: Annotated[str, typer.Option(help="Head node of the Ray cluster.", envvar="RAY_ADDRESS")] = "auto",
) -> None:
    """Compute what is missing or stale, and show the scores."""
    from dagster_project.reporting import current_report
    from dagster_project.runner import bring_up_to_date, selected

    study, lake = open_study()
    selection = selected(study, select or (), model or (), subject or ())
    try:
        cluster = address if engine is Engine.ray else None
        outcome = bring_up_to_date(study, lake, selection, err, ray_address=cluster)
    except KeyboardInterrupt:
        err.print("stopped; what was finished is kept, and running again goes on from there")
        raise typer.Exit(1) from None
    _show_scores(study, lake)
    if (page := current_report(study, lake)) is not None:
        out.print(f"report: {page}", highlight=False)
    err.print(f"{len(outcome.computed)} runs; {outcome.current} of {outcome.all} partitions are current")
    for line in outcome.pending:
        err.print(f"[bold]pending:[/] {plain(line)}; run again to collect, or leave it to the sensor collect_batches")
    if outcome.waiting:
        err.print(f"{outcome.waiting} partitions wait for pending batches")
    for name, problem in outcome.failed.items():
        err.print(f"[bold red]failed:[/] {plain(name)}: {plain(problem)}", highlight=False)
    if outcome.blocked:
        shown = ", ".join(outcome.blocked[:3]) + (", ..." if len(outcome.blocked) > 3 else "")
        err.print(f"{len(outcome.blocked)} partitions wait for what failed: {plain(shown)}", highlight=False)
    if outcome.failed or outcome.blocked:
        raise typer.Exit(1)


@app.command(rich_help_panel=COMPUTE)
def cost(
    model: Annotated[str, typer.Option(help="A model behind a service.")],
    format: Annotated[Format, typer.Option(help="How to print the rows.")] = Format.table,  # noqa: A002 - the flag's name
) -> None:
    """Say what the missing questions of a model will cost, before any is asked; plans them if need be."""
    from affectlake.errors import LakeError
    from dagster_project import asking
    from dagster_project.planning import Selection
    from dagster_project.runner import bring_up_to_date
    from resources.agents.service.batches import pending

    study, lake = open_study()
    study.model(model)
    outcome = bring_up_to_date(study, lake, Selection(frozenset({"captions", "triplets"})), err)
    for name, problem in outcome.failed.items():
        raise LakeError(f"the questions cannot be planned: {problem}", where=name)
    sent = pending(lake, model).collect().height
    print_rows(asking.cost_table(asking.cost(study, lake, model), sent), format)


@judgments_app.command("show")
def judgments_show(triplet: Annotated[int, typer.Argument(help="A triplet_id of the table `triplets`.")]) -> None:
    """Print one question as its judges saw it, with all that they answered."""
    from dagster_project import asking

    study, lake = open_study()
    for line in asking.show(study, lake, triplet):
        out.print(line, markup=False, highlight=False)


@app.command(rich_help_panel=RESULTS)
def report() -> None:
    """Bring the report and what it shows up to date, and print where it is."""
    from affectlake.errors import LakeError
    from dagster_project.planning import Selection
    from dagster_project.reporting import current_report
    from dagster_project.runner import bring_up_to_date

    study, lake = open_study()
    outcome = bring_up_to_date(study, lake, Selection(frozenset({"report"})), err)
    for name, problem in outcome.failed.items():
        err.print(f"[bold red]failed:[/] {plain(name)}: {plain(problem)}", highlight=False)
    page = current_report(study, lake)
    if page is None:
        raise LakeError("there is no report yet", remedy="Nothing that it shows could be computed; see what failed.")
    out.print(str(page), highlight=False, markup=False)
    if outcome.failed:
        raise typer.Exit(1)


@app.command(rich_help_panel=RESULTS)
def maps(
    folder: Annotated[Path, typer.Argument(help="Where the files go; one folder a subject.")],
    model: Annotated[list[str] | None, typer.Option(help="Only this model.")] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Only this subject.")] = None,
    pictures: Annotated[bool, typer.Option("--pictures", help="Draw r and rho too, as PNG.")] = False,
) -> None:
    """Write every voxel's scores as NIfTI images in the subjects' own spaces."""
    from dagster_project.maps import write_maps

    study, lake = open_study()
    check_keys(study, model or (), subject or ())
    written = 0
    models, subjects = model or study.model_names, subject or study.subjects
    for path in write_maps(study, lake, folder, models, subjects, pictures=pictures):
        written += 1
        err.print(str(path), markup=False, highlight=False)
    out.print(f"wrote {written} files to {folder}", markup=False, highlight=False)


@app.command(rich_help_panel=COMPUTE)
def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, start nothing: for others to look at, no daemon.")
    ] = False,
) -> None:
    """Serve the Dagster user interface of the study on this machine only."""
    from dagster_project.launcher import DAEMON_ENVIRONMENT
    from dagster_project.runner import HOME_VARIABLE, prepare_home
    from resources.study import STUDY_VARIABLE

    study, _ = open_study()
    os.environ.update(DAEMON_ENVIRONMENT)
    os.environ[HOME_VARIABLE] = str(prepare_home(study))
    os.environ[STUDY_VARIABLE] = str(study.path)
    workspace = Path(__file__).parent.parent / "workspace.yaml"
    program = ["dagster_webserver", "--read-only"] if read_only else ["dagster", "dev"]
    command = [sys.executable, "-m", *program, "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, command)  # noqa: S606 - a list of our own words, no shell


@app.command(rich_help_panel=START)
def doctor() -> None:
    """Say what this machine offers and which versions are installed."""
    from importlib.metadata import version

    from resources.device import available

    for package in ("affectlake", "dagster", "polars", "deltalake", "torch", "nilearn"):
        out.print(f"{package:12} {version(package)}", highlight=False)
    out.print(f"{'devices':12} {', '.join(available())}", highlight=False)
    out.print(f"{'cores':12} {os.cpu_count()}", highlight=False)


def _show_scores(study: Study, lake: Lake) -> None:
    """The two tables that a run ends with: how good the embeddings are, and what they predict."""
    if lake.open("embedding_quality") is None:
        return
    import sql
    from resources.query import query

    note = " (SYNTHETIC data)" if study.synthetic else ""
    quality = query(lake, study, sql.read("quality"))
    if quality.height:
        out.print(table_of(_short(quality), f"Embeddings of {study.name}{note}"))
    scores = query(lake, study, sql.read("regions"))
    if scores.height:
        title = f"Encoding of {study.name}{note}: mean r over subjects (subjects with q < .05 / scored)"
        out.print(table_of(_by_region(scores), title))


def _short(quality: pl.DataFrame) -> pl.DataFrame:
    """What fits a terminal."""
    import polars as pl

    interval = pl.format("{} [{}, {}]", *(_digits(f"accuracy{s}") for s in ("", "_low", "_high")))
    return quality.select(
        "model",
        "coverage",
        pl.col("n_dimensions").alias("dims"),
        interval.alias("accuracy [95 % CI]"),
        "ceiling",
        "chance",
        pl.col("rsm_r").alias("RSM r"),
        pl.col("top3_27").alias("top-3 of 27"),
        pl.col("n_refused").alias("refused"),
    )


def _digits(column: str) -> pl.Expr:
    """Numbers with three digits behind the point, which stand in line; no zero is negative."""
    import polars as pl

    return pl.col(column).map_elements(lambda value: f"{value:z.3f}", return_dtype=pl.String)


def _by_region(scores: pl.DataFrame) -> pl.DataFrame:
    """Regions down, models across, best first on both sides."""
    import polars as pl

    best = (
        scores.group_by("model").agg(pl.col("mean_r").mean()).sort("mean_r", descending=True, nulls_last=True)["model"]
    )
    regions = scores.group_by("roi").agg(pl.col("mean_r").max()).sort("mean_r", descending=True, nulls_last=True)["roi"]
    cell = pl.format("{} ({}/{})", _digits("mean_r"), "n_significant", "n_subjects").fill_null("not scored")
    wide = scores.with_columns(cell=cell).pivot("model", index="roi", values="cell", aggregate_function="first")
    order = pl.DataFrame({"roi": regions})
    return order.join(wide, on="roi", how="left", maintain_order="left").select("roi", *best.to_list())


for _name, _command, _panel in (
    ("backfill", backfilling.backfill_command, COMPUTE),
    ("query", querying.query_command, RESULTS),
    ("explain", explaining.explain_command, RESULTS),
    ("export", exporting.export_command, RESULTS),
    ("maintain", tending.maintain_command, UPKEEP),
    ("forget", tending.forget_command, UPKEEP),
):
    app.command(_name, rich_help_panel=_panel)(_command)
