"""How the loopback judge sees media: what a request shows of each clip, and what it keeps by uuid, as vLLM does."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

_LINE = re.compile(r"Video ([ABC])\b.*:$")


class CacheMissError(Exception):
    """Media were named that are not kept."""


def shown(body: dict[str, Any], kept: dict[str, str]) -> dict[str, str] | None:
    """The media of each label in base64, one after the other; None for a request without media.

    Raises
    ------
    CacheMissError
        A part has neither data nor a uuid that is known.
    """
    content = body["input"][0]["content"] if isinstance(body.get("input"), list) else None
    content = content or (body["messages"][-1]["content"] if "messages" in body else None)
    if not isinstance(content, list):
        return None
    found: dict[str, str] = defaultdict(str)
    label = ""
    for part in content:
        if part["type"] in ("text", "input_text"):
            line = _LINE.match(part["text"])
            label = line[1] if line else ""
        else:
            found[label] += _data(part, kept)
    return dict(found)


def media(body: dict[str, Any]) -> Iterator[bytes]:
    """The media of a request as files; those that are only named are left out."""
    content = body["input"][0]["content"] if "input" in body else body["messages"][-1]["content"]
    for part in content:
        if part["type"] not in ("text", "input_text") and part.get(part["type"], True) is not None:
            yield base64.b64decode(_data(part, {}), validate=True)


def _data(part: dict[str, Any], kept: dict[str, str]) -> str:
    if part["type"] == "image":
        return str(part["source"]["data"])
    if part["type"] == "input_image":
        return str(part["image_url"]).partition("base64,")[2]
    given, uuid = part[part["type"]], part.get("uuid")
    if given is None:
        if uuid not in kept:
            raise CacheMissError(uuid)
        return kept[uuid]
    data = str(given["url"]).partition("base64,")[2]
    if uuid:
        kept[uuid] = data
    return data
