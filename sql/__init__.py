"""One ``.sql`` file a question; each is a named query over the tables of the lake.

A file begins with a comment: the question, what one row is, a line for each column under ``Columns:``, and one for each
``$name`` under ``Parameters:`` where there are any. A test holds the comment against the answer.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from affectlake.errors import LakeError

Words = dict[str, str]


@dataclass(frozen=True)
class Named:
    """A named query.

    Attributes
    ----------
    name : str
    question : str
        What it answers, in one line.
    columns, parameters : dict of str to str
        What each of them is.
    text : str
        The statement with its comment.
    """

    name: str
    question: str
    columns: Words
    parameters: Words
    text: str

    def bind(self, values: Mapping[str, str]) -> dict[str, str]:
        """The values of all parameters, by name.

        Raises
        ------
        LakeError
            One is missing, or there is no such parameter.
        """
        missing = [f"--param {name}=... ({doc})" for name, doc in self.parameters.items() if name not in values]
        if missing:
            raise LakeError(f"the query {self.name!r} needs a value", remedy=f"Add {', '.join(missing)}.")
        unknown = sorted(set(values) - set(self.parameters))
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise LakeError(
                f"the query {self.name!r} has no parameter {', '.join(unknown)}", remedy=f"Its parameters: {known}."
            )
        return dict(values)


def names() -> list[str]:
    """The named queries."""
    return sorted(p.name.removesuffix(".sql") for p in files(__name__).iterdir() if p.name.endswith(".sql"))


def read(name: str) -> str:
    """The text of a named query.

    Raises
    ------
    LakeError
        There is none of that name.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise LakeError(f"there is no query named {name!r}", remedy=f"{hint}Known names: {', '.join(names())}.")
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def named(name: str) -> Named:
    """A named query with what its comment says.

    Raises
    ------
    LakeError
        There is none of that name.
    """
    text = read(name)
    head = re.match(r"(?:--[^\n]*\n)*", text)
    lines = [line.removeprefix("--").rstrip() for line in (head.group() if head else "").splitlines()]
    question = lines[0].strip().partition("?")[0] + "?"
    return Named(name, question, _words(lines, "Columns:"), _words(lines, "Parameters:"), text)


def _words(lines: list[str], title: str) -> Words:
    """The lines ``  name  what it is`` below a title; deeper lines go on with the one before."""
    found: Words = {}
    inside = False
    for line in lines:
        if not line.startswith("   "):
            inside = line.strip() == title
        elif inside and (match := re.match(r" {3}\$?(\w+) {1,}(.*)", line)):
            found[match.group(1)] = match.group(2).strip()
        elif inside and found:
            found[list(found)[-1]] += " " + line.strip()
    return found
