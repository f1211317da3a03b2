"""What pages are built of: sections that hold texts, tables, figures, pictures, frames and folds."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

_LONG = 40
"""Rows that a page shows at once."""


@dataclass(frozen=True)
class Text:
    """A paragraph, under a heading of its own where it has one."""

    text: str
    heading: str = ""
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Cell:
    """A table's cell: what is read, and what it is sorted by."""

    text: str
    key: float | str | None = None
    href: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first column heads its row.

    Attributes
    ----------
    caption : str
    columns : sequence of str
        Heads; one that begins with ``#`` stands over numbers, which are set to the right.
    rows : sequence of sequence of Cell
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    kind: ClassVar[str] = "table"

    @property
    def long(self) -> bool:
        """Whether it gets a box to search it and scrolls by itself."""
        return len(self.rows) > _LONG

    @property
    def heads(self) -> list[tuple[str, bool]]:
        """Each column's head, and whether it stands over numbers."""
        return [(c.removeprefix("#"), c.startswith("#")) for c in self.columns]


@dataclass(frozen=True)
class Figure:
    """A figure in SVG: its name for those who do not see it, and a caption that says how to read it."""

    id: str
    label: str
    svg: str
    caption: str
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True)
class Picture:
    """A picture of pixels."""

    title: str
    alt: str
    uri: str
    kind: ClassVar[str] = "picture"

    @classmethod
    def png(cls, title: str, alt: str, data: bytes) -> Picture:
        """A PNG inside the page."""
        return cls(title, alt, "data:image/png;base64," + base64.b64encode(data).decode())


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side with one caption."""

    pictures: Sequence[Picture]
    caption: str
    kind: ClassVar[str] = "pictures"


@dataclass(frozen=True)
class Frame:
    """A document of another program inside the page; it needs JavaScript."""

    title: str
    document: str
    kind: ClassVar[str] = "frame"


@dataclass(frozen=True)
class Fold:
    """Blocks that open when they are asked for."""

    summary: str
    blocks: Sequence[Any]
    kind: ClassVar[str] = "fold"


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    id: str
    title: str
    blocks: Sequence[Any]


def cell(value: object, key: float | str | None = None, href: str = "") -> Cell:
    """A cell of anything that has a text."""
    return Cell(str(value), key, href)


def sections(found: Iterable[Section | None]) -> list[Section]:
    """Those that have something to show."""
    return [section for section in found if section is not None and section.blocks]
