"""What an object store's refusals mean, in a line that says what is missing.

Credentials, region and endpoint come from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_REGION``, ``AWS_ENDPOINT_URL``, ...) and are read there by delta-rs and polars themselves; nothing of this project
holds them. Commits need no lock beside the store: they are conditional writes, which S3 and its kin offer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from affectlake.errors import LakeError

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
_KEYS = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_METADATA_SERVICE = r"169\.254\.|/latest/api/token|/latest/meta-data|[Cc]redentials? (?:provider|not)"


def is_object_store(address: str) -> bool:
    """True where an address is not a folder of this machine."""
    return "://" in address


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Raise what an object store refuses inside as one line; what a folder of this machine refuses as it is.

    Raises
    ------
    LakeError
        The store cannot be reached, has no such bucket, or refuses the credentials.
    """
    try:
        yield
    except OSError as error:
        if not is_object_store(address):
            raise
        raise _explained(str(error), address) from None


def _explained(text: str, address: str) -> LakeError:
    bucket = address.split("://", 1)[1].split("/", 1)[0]
    found = re.search(r"<Code>(\w+)</Code>", text)
    code = found[1] if found else ""
    if code == "NoSuchBucket":
        return LakeError(
            f"there is no bucket {bucket!r} at {_endpoint()}",
            where=address,
            remedy=f"Create it, or correct AFFECTLAKE_LAKE or {ENDPOINT_VARIABLE}.",
        )
    if "URL scheme is not allowed" in text:
        return LakeError(
            f"{_endpoint()} is not encrypted",
            where=address,
            remedy="Use https, or set AWS_ALLOW_HTTP=true for a server on this machine.",
        )
    if re.search(_METADATA_SERVICE, text):
        return LakeError(
            "there are no credentials in the environment", where=address, remedy=f"{_KEYS}, or AWS_PROFILE."
        )
    if "403 Forbidden" in text or "lacked the necessary privileges" in text:
        return LakeError(
            f"{_endpoint()} refuses these credentials ({code or '403 Forbidden'})",
            where=address,
            remedy=f"{_KEYS} of a user who may read, write, list and delete in the bucket.",
        )
    if "error sending request" in text:
        return LakeError(
            f"nothing answers at {_endpoint()}",
            where=address,
            remedy=f"Check {ENDPOINT_VARIABLE}, and that the server runs.",
        )
    return LakeError(" ".join(re.sub(r"\x1b\[\d+m↳?", "", text).split())[:400], where=address)


def _endpoint() -> str:
    return os.environ.get(ENDPOINT_VARIABLE) or os.environ.get(f"{ENDPOINT_VARIABLE}_S3") or "Amazon S3"
