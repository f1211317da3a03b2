"""One ``.sql`` file a question; each is a named query over the tables of the lake."""

from __future__ import annotations

from importlib.resources import files

from affectlake.errors import LakeError


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
        raise LakeError(f"there is no query named {name!r}", remedy=f"Known names: {', '.join(names())}.")
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
