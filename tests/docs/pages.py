"""The fenced blocks of a page, and the shell script that a reader who copies them types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md")

_FENCE = re.compile(r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: the line of its fence, its language, the file that it is, and its text."""

    line: int
    language: str
    title: str | None
    text: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        line = text[: match.start()].count("\n") + 1
        yield Block(line, match["language"], match["title"], match["text"])


def script(page: Path, done: frozenset[str] = frozenset()) -> str:
    """One terminal for the whole page: files with a title are written, commands are run, each announced by its line.

    Lines in ``done`` are left out.
    """
    steps = ["set -euo pipefail"]
    for block in blocks(page):
        if block.title:
            steps.append(f"cat > '{block.title}' <<'END-OF-FILE'\n{block.text}END-OF-FILE")
        elif block.language == "bash":
            left = [line for line in block.text.splitlines() if line not in done]
            steps += [f"echo '== {page.name}:{block.line}' >&2", *left]
    return "\n".join(steps)


def commands(page: Path) -> frozenset[str]:
    """Every line of the page's shell blocks."""
    return frozenset(line for b in blocks(page) if b.language == "bash" for line in b.text.splitlines())
