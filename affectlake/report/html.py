"""From blocks to HTML text: templates, escaping, and the rule that nothing is ever fetched.

Every text goes through Jinja2's autoescape. Data for the page's script stands in a JSON block in which no character
can end the block. The page's policy names the scripts by their hashes and forbids every request.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

_FAVICON = re.compile(r"<link[^>]*favicon[^>]*>")
_RANDOM = re.compile(r"div_viewer-([0-9a-f]{32})")
_SCRIPT = re.compile(r"<script[^>]*>(.*?)</script>", re.DOTALL)


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("affectlake.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json_block"] = json_block
    return environment


def render(template: str, *, frames: tuple[str, ...] = (), **context: Any) -> str:
    """A page from its template; ``frames`` are the documents inside it, whose scripts its policy lets run."""
    from markupsafe import Markup

    style, script = _asset("report.css"), _asset("report.js")
    scripts = [script, *(text for document in frames for text in _SCRIPT.findall(document))]
    page = _environment().get_template(template)
    return str(page.render(**context, style=Markup(style), script=Markup(script), policy=policy(scripts)))  # noqa: S704 - our own files


def policy(scripts: list[str]) -> str:
    """Content security policy: these scripts, inline styles, pictures inside the page, and no request at all."""
    hashes = sorted({base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts})
    allowed = " ".join(f"'sha256-{h}'" for h in hashes)
    ours = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {allowed}; {ours}"


def json_block(data: object) -> Any:
    """Data as JSON that may stand inside a ``script`` element whatever texts it holds."""
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - no character is left that could end the block


def offline(document: str) -> str:
    """A document of nilearn's without its link to an icon elsewhere, and the same every time."""
    for name in set(_RANDOM.findall(document)):
        document = document.replace(name, "slices")
    return _FAVICON.sub("", document)


@cache
def appearance() -> str:
    """Hash of the templates, the style and the script, which decide how the pages look."""
    digest = hashlib.blake2b(digest_size=8)
    for folder in ("templates", "static"):
        for file in sorted(files("affectlake.report").joinpath(folder).iterdir(), key=lambda f: f.name):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _asset(name: str) -> str:
    return files("affectlake.report").joinpath("static", name).read_text(encoding="utf-8")
