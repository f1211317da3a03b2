"""Writes ``docs/tables.md`` from the contracts in ``affectlake/tables.py``: ``python docs/make_tables.py``."""

from __future__ import annotations

from pathlib import Path

from affectlake.tables import TABLES, Column, Table

TARGET = Path(__file__).with_name("tables.md")

HEAD = """# The tables

One Delta table each, in a folder of its name under the lake's root. This page is made from the contracts in
`affectlake/tables.py` by `python docs/make_tables.py`; what is written to a table is checked against it first.
Types are polars'. A column may be empty (null) only where it says so, and no number is ever NaN.

Tables of results say of each row which code computed it (`code_version`) and from which Delta versions of its sources
(`source_versions`); [reading the results](results.md) says how to go back to them.

"""


def page() -> str:
    """The page as Markdown."""
    contents = "".join(f"- [`{t.name}`](#{t.name}): {t.doc}\n" for t in TABLES.values())
    return HEAD + contents + "".join(_section(t) for t in TABLES.values())


def _section(table: Table) -> str:
    facts = [f"Key: {_names(table.key)}."]
    if table.partition_by:
        facts.append(f"Partitioned by {_names(table.partition_by)}.")
    replaced = "A partition is" if table.partition_by else "The table is"
    facts.append("Rows are only added." if table.append else f"{replaced} replaced as a whole.")
    facts += [f"Always: `{condition}`." for _, condition in table.constraints]
    head = f"\n## {table.name}\n\n{table.doc} {' '.join(facts)}\n\n| column | type | what it is |\n|---|---|---|\n"
    return head + "".join(_row(c) for c in table.columns)


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f"`{c}`" for c in columns)


def _row(column: Column) -> str:
    may_be = "; may be empty" if column.nullable else ""
    text = column.doc.replace("|", "\\|")
    return f"| `{column.name}` | {_type(column)} | {text}{may_be} |\n"


def _type(column: Column) -> str:
    return str(column.dtype).replace("Datetime(time_unit='us', time_zone='UTC')", "Datetime (UTC)").replace("|", "\\|")


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
