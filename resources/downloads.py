"""Files that a study fetches from elsewhere: resumed where they were cut, checked, and only then put in place.

What belongs here: bytes over HTTP. What does not: unpacking or reading them.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from affectlake.errors import InputError
from resources.settings import Settings

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector

CHUNK = 1 << 20
"""Bytes read at a time."""
SILENCE_S = 60.0
"""A connection that is silent for so long counts as cut."""
FRUITLESS = 5
"""Connections in a row that may bring nothing before it is given up; those that bring something do not count."""

Advance = Callable[[int, "int | None"], None]
"""Told the bytes that are there and, where known, the bytes in all."""


def _inside(path: Path) -> Path:
    if path.is_absolute() or ".." in path.parts or path.name == "":
        raise ValueError("must be a path inside the study's folder")
    return path


class Download(Settings):
    """One file to be fetched."""

    url: str = Field(pattern=r"^https?://\S+$")
    md5: str = Field(pattern=r"^[0-9a-f]{32}$")
    target: Annotated[Path, AfterValidator(_inside)]
    """Where it goes, relative to the study file."""
    size: int | None = Field(None, ge=0)
    """Bytes, where known: a disk that is too small is told before, and a wrong file without reading it to its end."""


def fetch(download: Download, folder: Path, advance: Advance, *, pause_s: float = 2.0) -> bool:
    """Bring one file into the study's folder.

    What has arrived is kept in ``TARGET.part``, also when the program ends, and the next call goes on from there. The
    file gets its name when all of it is there and its sum is right.

    Parameters
    ----------
    download : Download
    folder : Path
        That ``target`` is relative to.
    advance : callable
        Called as bytes arrive.
    pause_s : float
        Seconds to wait after a connection that brought nothing; twice as long each further time.

    Returns
    -------
    bool
        False where the right file was there already.

    Raises
    ------
    InputError
        The address cannot be read, another file stands at the target, the disk is too small, or what came is not what
        was announced.
    """
    target = folder / download.target
    if target.exists():
        _check(download, target, "another file is there already", "Move it away, or correct `md5` in the study file.")
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    _check_space(download, part)
    _receive_all(download, part, advance, pause_s)
    try:
        _check(
            download, part, "what came is not what was announced", "It was thrown away; try again, or tell the host."
        )
    except InputError:
        part.unlink()
        raise
    part.replace(target)
    return True


def _receive_all(download: Download, part: Path, advance: Advance, pause_s: float) -> None:
    """Connect until all is there."""
    from http.client import HTTPException

    opener, fruitless = _opener(), 0
    while True:
        before = _size(part)
        try:
            if _receive(opener, download, part, advance):
                return
            problem = "the connection was cut"
        except (OSError, HTTPException) as error:  # cut, silent, refused, no such host, an answer of HTTP
            problem = _told(download, part, error)
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless >= FRUITLESS:
            raise InputError(
                f"cannot be fetched ({problem}); {_size(part):,} bytes are kept",
                where=download.url,
                remedy="Run the same command again: it goes on from there.",
            )
        if fruitless:
            time.sleep(pause_s * 2 ** (fruitless - 1))


def _receive(opener: OpenerDirector, download: Download, part: Path, advance: Advance) -> bool:
    """Append what one connection brings; true where the file is then complete."""
    from urllib.request import Request

    there = _size(part)
    # as it is: the sum is of the file, and a compressed answer cannot be resumed
    headers = {"User-Agent": "affectlake", "Accept-Encoding": "identity"} | (
        {"Range": f"bytes={there}-"} if there else {}
    )
    request = Request(download.url, headers=headers)  # noqa: S310 - the settings and _opener allow HTTP only
    with opener.open(request, timeout=SILENCE_S) as answer:
        there, total = _place(answer, there)
        if None not in (download.size, total) and total != download.size:
            raise InputError(
                f"the host announces {total:,} bytes, the study file says {download.size:,}", where=download.url
            )
        with part.open("r+b" if there else "wb") as file:
            file.seek(there)
            file.truncate()
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                advance(file.tell(), total)
            return total is None or file.tell() >= total


def _place(answer: HTTPResponse, there: int) -> tuple[int, int | None]:
    """Where the answer's first byte belongs, and the bytes of the whole file."""
    length = answer.headers.get("Content-Length")
    if answer.status not in (200, 206):  # such as 202 of a host that wants to see a browser first
        raise OSError(f"the host answers {answer.status}")
    if answer.status != 206:  # a host that cannot resume sends everything again
        return 0, int(length) if length else None
    span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    if span.partition("-")[0] != str(there):
        raise OSError(f"asked for the bytes from {there:,} on, the host sent {span or 'others'}")
    return there, int(total) if total.isdigit() else None


def _told(download: Download, part: Path, error: Exception) -> str:
    """An error in words; one that another try cannot mend ends the whole.

    Raises
    ------
    InputError
        The host refuses the address.
    """
    code = getattr(error, "code", None)
    if code == 416:  # nothing lies behind what is there: it is too long, or complete and not yet checked
        part.unlink(missing_ok=True)
    elif isinstance(code, int) and 300 <= code < 400:
        raise InputError("the host redirects to another scheme or in a circle", where=download.url) from error
    elif isinstance(code, int) and 400 <= code < 500 and code not in (408, 425, 429):
        raise InputError(f"the host answers {code}", where=download.url, remedy="Check the address.") from error
    return f"the host answers {code}" if code else str(getattr(error, "reason", None) or error)


def _opener() -> OpenerDirector:
    """HTTP and nothing else; a redirect may not lead to another scheme (from https to http, or to a file)."""
    from urllib.parse import urlsplit
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class SameScheme(HTTPRedirectHandler):
        def redirect_request(self, req: Request, *rest: Any) -> Request | None:
            to = str(rest[-1])
            if urlsplit(to).scheme != urlsplit(req.full_url).scheme:
                raise InputError(f"the host redirects to another scheme, to {to}", where=req.full_url)
            return super().redirect_request(req, *rest)

    return build_opener(SameScheme)


def _check_space(download: Download, part: Path) -> None:
    free = shutil.disk_usage(part.parent).free
    missing = (download.size or 0) - _size(part)
    if missing > free:
        raise InputError(f"{missing:,} bytes are to come and {free:,} are free", where=str(part.parent))


def _check(download: Download, path: Path, what: str, remedy: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != download.md5:
        told = f"{what}: MD5 {found}, {download.md5} was announced ({_size(path):,} bytes)"
        raise InputError(told, where=str(path), remedy=remedy)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
