"""Brings a study up to date: plans with the lake's ledger, computes in Dagster runs of this process, draws progress.

Runs go into the instance of ``DAGSTER_HOME``, so that the user interface shows them.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import dagster as dg
import polars as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from affectlake.errors import AffectlakeError, LakeError
from dagster_project.definitions import build_definitions
from dagster_project.interrupts import Interrupts
from dagster_project.launcher import alive
from dagster_project.planning import Batch, Selection, State, next_batch, stages, state, survey
from dagster_project.terminal import check_keys
from resources.agents.service.batches import open_batches, told
from resources.lake import Lake
from resources.progress import Advance, in_terminal
from resources.provenance import Key, Ledger, Recipe, partition_name
from resources.study import Study

HOME_VARIABLE = "DAGSTER_HOME"
HOST_TAG, PROCESS_TAG = "affectlake/host", "affectlake/process"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Outcome:
    """What came of bringing a study up to date."""

    computed: list[Batch] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    """Batches that services have not answered yet, in words."""
    waiting: int = 0
    """Partitions that wait for those."""
    current: int = 0
    all: int = 0


def prepare_home(study: Study) -> Path:
    """The Dagster home: what the environment names, else ``.dagster`` beside the study; gets the shipped settings."""
    home = Path(os.environ.get(HOME_VARIABLE) or study.folder / ".dagster").resolve()
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_text(files("dagster_project").joinpath("dagster.yaml").read_text(encoding="utf-8"))
    return home


class Engine(Protocol):
    """What computes batches."""

    width: int
    """Partitions that it computes at the same time."""

    def run(self, batch: Batch) -> dict[str, str]:
        """Compute one batch; returns what went wrong, by name."""
        ...

    def stop(self) -> None:
        """Give up what is going on."""
        ...


def bring_up_to_date(
    study: Study, lake: Lake, selection: Selection, console: Console, *, ray_address: str | None = None
) -> Outcome:
    """Compute what is missing or stale of the selection, and nothing else; on a Ray cluster where one is named."""
    lake.prepare()
    with Interrupts() as interrupts, dg.DagsterInstance.from_config(str(prepare_home(study))) as instance:
        fail_dead_runs(instance)
        _say_what_is_waited_for(instance, console)
        launcher: Engine = Launcher(study, instance, interrupts=interrupts)
        if ray_address is not None:
            from dagster_project.ray_engine import RayLauncher

            launcher = RayLauncher(study, lake.root, instance, ray_address)
        with bars_on(console) as bars:
            task = bars.add_task("looking for what is new", total=None)
            return compute(
                study,
                lake,
                selection,
                launcher,
                lambda done, n, what="": bars.update(task, description=what, completed=done, total=n),
            )


def compute(study: Study, lake: Lake, selection: Selection, engine: Engine, advance: Advance) -> Outcome:
    """Compute with ``engine`` what is missing or stale of the selection, upstream first; a failure stops nothing else.

    ``advance`` is told how many partitions of how many are done, and of what.
    """
    outcome = Outcome()
    ledger = Ledger(lake)
    for stage in stages(selection.recipes(study)):
        wanted = selection.keys(stage[0], study)
        if not stage[0].dimensions and (selection.models or selection.subjects) and not selection.tables:
            wanted = wanted if stage[0].name not in ("comparisons", "report") else []
        if engine.width > 1:
            advance(0, len(wanted), _describe(stage, {}))
            for done, _ in enumerate(_at_the_same_time(stage, wanted, study, lake, engine, outcome), start=1):
                advance(done, len(wanted), _describe(stage, {}))
            continue
        for done, key in enumerate(wanted):
            advance(done, len(wanted), _describe(stage, key))
            ledger = _run_partition(stage, key, study, ledger, engine, outcome)
        advance(len(wanted), len(wanted), _describe(stage, {}))
    outcome.pending = told(open_batches(lake).filter(pl.col("model").is_in(study.model_names)))
    states = [s for _, _, s in survey(study, lake, selection)]
    outcome.current, outcome.all = states.count(State.CURRENT), len(states)
    return outcome


def _at_the_same_time(
    stage: list[Recipe], wanted: Sequence[Key], study: Study, lake: Lake, launcher: Engine, outcome: Outcome
) -> Iterator[None]:
    """Bring the partitions of one stage up to date side by side; yields as each is done."""
    ledger = Ledger(lake)
    with ThreadPoolExecutor(launcher.width) as threads:
        tasks = [threads.submit(_run_partition, stage, key, study, ledger, launcher, outcome) for key in wanted]
        try:
            for task in as_completed(tasks):
                task.result()
                yield
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            launcher.stop()
            raise


def _run_partition(
    stage: list[Recipe], key: Key, study: Study, ledger: Ledger, launcher: Engine, outcome: Outcome
) -> Ledger:
    """Compute what one partition of a stage lacks; returns the ledger as it is then, read again after runs only."""
    remaining = list(stage)
    while (batch := next_batch(remaining, key, study, ledger)) is not None:
        problems = launcher.run(batch)
        ledger = ledger.read_again()
        if problems:
            outcome.failed |= problems
        else:
            outcome.computed.append(batch)
        remaining = [r for r in remaining if r not in batch.recipes]
        if _waits(key, ledger.lake) and any(r.may_wait for r in batch.recipes):
            # what is computed from its judgments would be computed from a part of them
            outcome.waiting += len(remaining)
            remaining = []
    for recipe in remaining:
        if state(recipe, key, study, ledger) is State.BLOCKED:
            if _waits(key, ledger.lake):
                outcome.waiting += 1
            else:
                outcome.blocked.append(Batch((recipe,), key).name)
    return ledger


def _waits(key: Key, lake: Lake) -> bool:
    """Whether batches of the partition's model are pending."""
    return "model" in key and key["model"] in set(open_batches(lake)["model"])


def _describe(stage: list[Recipe], key: Key) -> str:
    names = ", ".join(r.name for r in stage)
    return f"{names} [{partition_name(key)}]" if key else names


class Launcher:
    """Runs batches as Dagster runs of this process.

    ``root`` names another lake than the study's own; ``without_pools`` those whose slots something else hands out.
    """

    width = 1

    def __init__(
        self,
        study: Study,
        instance: dg.DagsterInstance,
        root: str = "",
        interrupts: Interrupts | None = None,
        without_pools: frozenset[str] = frozenset(),
    ) -> None:
        self.instance = instance
        self.interrupts = interrupts
        self.job = build_definitions(study, root, without_pools).resolve_implicit_global_asset_job_def()
        self.tags = {HOST_TAG: socket.gethostname(), PROCESS_TAG: str(os.getpid())}

    def run(self, batch: Batch) -> dict[str, str]:
        """Run one batch; returns what went wrong, by name.

        Raises
        ------
        KeyboardInterrupt
            The user stopped it.
        """
        result = self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(t) for t in batch.tables],
            partition_key=partition_name(batch.key) if batch.key else None,
            run_config=_QUIET,
            raise_on_error=False,
            tags=self.tags,
        )
        if self.interrupts is not None:
            self.interrupts.check()
        return {} if result.success else _problems(result, batch.key)

    def stop(self) -> None:
        """Nothing goes on beside the caller."""


def _problems(result: dg.ExecuteInProcessResult, key: Key) -> dict[str, str]:
    """What went wrong in each failed step: the message of our own error where there is one, else class and text."""
    found: dict[str, str] = {}
    for event in result.all_events:
        if not event.is_step_failure or event.step_failure_data.error is None:
            continue
        error = event.step_failure_data.error
        while error.cause is not None:
            error = error.cause
        text = error.message.strip()
        name, _, message = text.partition(": ")
        name = name.rpartition(".")[2]
        if name.startswith("DagsterExecutionInterruptedError"):
            raise KeyboardInterrupt
        ours = {cls.__name__ for cls in _family(AffectlakeError)}
        step = f"{event.step_key} [{partition_name(key)}]" if key else str(event.step_key)
        found[step] = message if name in ours else f"{text} (run {result.run_id})"
    return found or {"run": f"ended without a result (run {result.run_id})"}


def _family(cls: type[AffectlakeError]) -> Iterator[type[AffectlakeError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _family(child)


def fail_dead_runs(instance: dg.DagsterInstance) -> int:
    """Mark this host's runs whose process is gone as failed and free their pool slots; returns how many there were."""
    dead = 0
    started = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING]))
    for run in started:
        process = run.tags.get(PROCESS_TAG)
        if run.tags.get(HOST_TAG) == socket.gethostname() and process and not alive(int(process)):
            instance.report_run_failed(run, "the process that computed it is gone")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
            dead += 1
    return dead


def _say_what_is_waited_for(instance: dg.DagsterInstance, console: Console) -> None:
    """Name the runs that hold a pool: ours wait until they are done."""
    for pool in sorted(instance.event_log_storage.get_concurrency_keys()):
        for slot in instance.event_log_storage.get_concurrency_info(pool).claimed_slots:
            console.print(f"waiting for pool {pool}, held by run {slot.run_id}", highlight=False)


@contextmanager
def bars_on(console: Console) -> Iterator[Progress]:
    """Bars that vanish when they are done; what runs inside draws its progress on them."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars, in_terminal(bars):
        yield bars


def selected(study: Study, tables: Iterable[str], models: Iterable[str], subjects: Iterable[str]) -> Selection:
    """What somebody asked to have brought up to date.

    Raises
    ------
    LakeError
        Nothing computes one of the tables; the message names those that can be asked for.
    StudyError
        The study has no such model or subject.
    """
    selection = Selection(frozenset(tables), frozenset(models), frozenset(subjects))
    known = {t for r in Selection().recipes(study) for t in r.outputs}
    unknown = sorted(selection.tables - known)
    if unknown:
        raise LakeError(
            f"nothing of this study computes {', '.join(unknown)}", remedy=f"Choose among {', '.join(sorted(known))}."
        )
    check_keys(study, selection.models, selection.subjects)
    return selection
