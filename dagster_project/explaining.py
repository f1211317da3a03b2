"""The command ``affectlake explain``: the tree of one number's origins in the terminal, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from affectlake.tables import TABLES
from dagster_project.terminal import err, open_study, out, plain

if TYPE_CHECKING:
    from rich.tree import Tree

    from dagster_project.explain import Node
    from dagster_project.recompute import Compared, Recomputed

_FILES, _WIDTH = 3, 160
_VERDICTS = {
    "equal": "[bold green]equal[/]",
    "rounding": "[bold green]equal but for rounding[/]",
    "different": "[bold red]different[/]",
}


class TreeFormat(StrEnum):
    """How the tree is printed."""

    tree = "tree"
    json = "json"


def explain_command(
    table: Annotated[str, typer.Argument(help="A table of results.")],
    key: Annotated[list[str], typer.Argument(help="COLUMN=VALUE, as many as it takes to name one row.")],
    recompute: Annotated[bool, typer.Option("--recompute", help="Compute its partition again and compare.")] = False,
    format: Annotated[TreeFormat, typer.Option(help="How to print it.")] = TreeFormat.tree,  # noqa: A002 - the flag's name
) -> None:
    """Walk from one number back to versions, code, settings, judgments, prompts and files."""
    from dagster_project.explain import Explainer, find_row, partition_of, recipe_of, shown_row

    pairs = [word.partition("=") for word in key]
    recipe = recipe_of(table)
    if not all(name and equals for name, equals, _ in pairs):
        named = " ".join(f"{column}=..." for column in TABLES[table].key)
        raise typer.BadParameter(f"a row is named by COLUMN=VALUE; one of {table} by {named}")
    study, lake = open_study()
    row = find_row(lake, table, {name: value for name, _, value in pairs})
    explainer, partition = Explainer(study, lake), partition_of(recipe, row)
    with err.status("reading files and versions"):
        node = explainer.node(table, partition)
    outcome = None
    if recompute:
        from dagster_project import recompute as again

        with err.status("computing again, in a lake of its own"):
            outcome = again.recompute(explainer, recipe, partition)
    shown = shown_row(TABLES[table], row)
    if format is TreeFormat.json:
        sys.stdout.write(_json(shown, node, outcome) + "\n")
    else:
        out.print(_tree(shown, node, outcome))
    if outcome is not None and outcome.verdict == "different":
        raise typer.Exit(1)


def _json(row: dict[str, Any], node: Node, outcome: Recomputed | None) -> str:
    told: dict[str, Any] = {"row": row, "origin": node.plain()}
    if outcome is not None:
        told["recomputed"] = {
            "verdict": outcome.verdict,
            "tables": [t.plain() for t in outcome.tables],
            "notes": outcome.notes,
        }
    return json.dumps(told, indent=2, default=str)


def _tree(row: dict[str, Any], node: Node, outcome: Recomputed | None) -> Tree:
    from rich.tree import Tree

    tree = Tree("[bold]the row[/]")
    for name, value in row.items():
        tree.add(_cut(f"{name} = {value}"))
    _grow(tree.add(_title(node)), node)
    if outcome is not None:
        branch = tree.add(f"[bold]computed again:[/] {_VERDICTS[outcome.verdict]}")
        for table in outcome.tables:
            branch.add(plain(_compared(table)))
        for note in outcome.notes:
            branch.add(f"[yellow]{plain(note)}[/]")
    return tree


def _title(node: Node) -> str:
    again = "  [dim](as above)[/]" if node.seen else ""
    partition = "" if node.partition == "-" else rf" \[{plain(node.partition)}]"
    return f"[bold cyan]{node.table}[/]{partition} version {node.version}{again}"


def _grow(tree: Tree, node: Node) -> None:
    if node.seen:
        return
    for line in lines(node.facts):
        tree.add(line)
    for source in node.sources:
        _grow(tree.add(_title(source)), source)


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """What is known of a partition, as lines with rich's markup."""
    code = "as now" if facts["code_version"] == facts["code_now"] else f"now {facts['code_now']}"
    newest = "" if facts["newest_version"] == facts["written_as"] else f" (newest {facts['newest_version']})"
    yield f"{facts['state']}: {facts['rows']:,} rows, written as version {facts['written_as']}{newest}"
    yield f"run {facts['run_id']}, {facts['finished_at']}"
    yield f"code {facts['code_version']} ({code})"
    if facts["settings"] is not None:
        yield _cut(f"settings {_flat(facts['settings'])}")
    for answers in facts.get("judgments", ()):
        yield from _answers(answers)
    if facts.get("not_accepted"):
        yield f"not accepted: {', '.join(f'{n:,} {reason}' for reason, n in facts['not_accepted'].items())}"
    yield from _prompt(facts)
    yield from _files(facts["files"])


def _answers(found: dict[str, Any]) -> Iterator[str]:
    said = f"{found['judgments']:,} judgments of prompt version {found['prompt_version']}"
    names = ", ".join(found["answered_by"])
    cost = f", {found['tokens_in']:,} + {found['tokens_out']:,} tokens, ${found['usd']:.2f}" if found["usd"] else ""
    yield plain(f"{said}, {found['stimulus_versions']:,} stimulus versions{', by ' + names if names else ''}{cost}")


def _prompt(facts: dict[str, Any]) -> Iterator[str]:
    """The wording of today, which is told by its version; that of earlier versions is not in the code any more."""
    prompt = facts.get("prompt", {})
    older = [
        a["prompt_version"] for a in facts.get("judgments", ()) if prompt and a["prompt_version"] != prompt["version"]
    ]
    for part, text in prompt.items():
        yield f"prompt, {part}: {plain(text)}"
    if older:
        yield plain(f"asked in other words than these: {', '.join(older)}")


def _files(files: list[dict[str, Any]]) -> Iterator[str]:
    for file in files[:_FILES]:
        digest = f"sha256 {file['sha256'][:16]}" if file["sha256"] else "[red]not there[/]"
        yield f"file {plain(file['file'])} {digest}"
    if len(files) > _FILES:
        size = sum(f["bytes"] or 0 for f in files)
        yield f"... {len(files):,} files in all, {size / 1e6:,.1f} MB; --format json lists them"


def _compared(found: Compared) -> str:
    if found.verdict == "equal":
        return f"{found.table}: all {found.rows:,} rows are the same"
    parts = [f"{n:,} rows {what}" for n, what in ((found.missing, "did not come"), (found.extra, "are new")) if n]
    parts += [f"{c} by {d if isinstance(d, str) else f'{d:.3g}'}" for c, d in found.differences.items()]
    return f"{found.table}: of {found.rows:,} rows differ: {', '.join(parts)}"


def _flat(settings: Any, *, inner: bool = False) -> str:
    """Settings on one line: name=value, without what is empty."""
    if isinstance(settings, dict):
        parts = [f"{k}={_flat(v, inner=True)}" for k, v in settings.items() if v not in (None, "", [], {})]
        return f"{{{', '.join(parts)}}}" if inner else ", ".join(parts)
    if isinstance(settings, list):
        parts = [_flat(v) for v in settings if v is not None]
        return f"[{', '.join(parts)}]" if inner else "; ".join(parts)
    return str(settings)


def _cut(text: str) -> str:
    return plain(text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…")
