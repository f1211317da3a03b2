"""Frames of a clip as a judge is shown them: which of those sampled, and many of them as one picture.

What belongs here: choosing and arranging frames. What does not: taking them from a film (``formats.media``) or sending
them anywhere.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

SIDE_PX = 1024
"""Longest side of a contact sheet: the services scale larger pictures down, and then nobody knows what was seen."""

GAP_PX = 4
"""Between the frames of a sheet."""

_QUALITY = 90


def evenly(n: int, wanted: int) -> list[int]:
    """Which of ``n`` evenly spaced frames stand in the middle of each of ``wanted`` equal parts.

    Returns
    -------
    list of int
        Ascending places, each once; all of them where there are no more than wanted.
    """
    if n <= wanted:
        return list(range(n))
    return [(2 * part + 1) * n // (2 * wanted) for part in range(wanted)]


def grid(n: int) -> tuple[int, int]:
    """Columns and rows of a sheet of ``n`` frames, filled from left to right and from top to bottom."""
    columns = math.ceil(math.sqrt(n))
    return columns, math.ceil(n / columns)


def cell_size(n: int, width: int, height: int) -> tuple[int, int]:
    """Pixels that a frame of ``width`` x ``height`` pixels has on a sheet of ``n``: never more than its own."""
    columns, rows = grid(n)
    room = SIDE_PX - GAP_PX * (max(columns, rows) - 1)
    scale = min(1.0, room / (columns * width), room / (rows * height))
    return max(1, int(width * scale)), max(1, int(height * scale))


def sheet_size(n: int, width: int, height: int) -> tuple[int, int]:
    """Pixels of a sheet of ``n`` frames of ``width`` x ``height`` pixels."""
    (columns, rows), (across, down) = grid(n), cell_size(n, width, height)
    return columns * across + GAP_PX * (columns - 1), rows * down + GAP_PX * (rows - 1)


def contact_sheet(frames: Sequence[bytes]) -> bytes:
    """Frames of one clip as one picture.

    Parameters
    ----------
    frames : sequence of bytes
        JPEG files in the order of the film, all of the size of the first; at least one.

    Returns
    -------
    bytes
        A JPEG file of :func:`sheet_size`; the same frames give the same bytes with the same version of Pillow.
    """
    from PIL import Image

    pictures = [Image.open(io.BytesIO(frame)) for frame in frames]
    width, height = pictures[0].size
    columns, _ = grid(len(frames))
    across, down = cell_size(len(frames), width, height)
    sheet = Image.new("RGB", sheet_size(len(frames), width, height))
    for number, picture in enumerate(pictures):
        at = (number % columns * (across + GAP_PX), number // columns * (down + GAP_PX))
        sheet.paste(picture.convert("RGB").resize((across, down), Image.Resampling.BOX), at)
    buffer = io.BytesIO()
    sheet.save(buffer, format="JPEG", quality=_QUALITY)
    return buffer.getvalue()
