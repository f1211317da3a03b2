"""Media files: facts about them and frames from them. They come from anywhere, so they are opened with limits.

A file that calls itself a video may be a play list that fetches URLs, or a few kilobytes that unpack to gigabytes.
Files are therefore opened by path, with a list of containers and without network, decoded by one thread, and refused
beyond the limits below.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from affectlake.errors import InputError

MAX_PIXELS = 4096 * 2304
"""Largest picture decoded: a film in 4K."""
MAX_SECONDS = 3600.0
MAX_FRAMES = 250_000
MAX_BYTES = 4 * 2**30

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegvideo,mpegts,asf,flv,ogg,gif"
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Probe:
    """What a media file is.

    Attributes
    ----------
    status : str
        ``present``, ``missing`` or ``unreadable``.
    detail : str or None
        Why it is not present.
    sha256 : str or None
        Of the file's bytes, hexadecimal; null where there is no file.
    duration_s, frame_rate : float or None
        Seconds; frames per second.
    width, height : int or None
        Pixels.
    """

    status: str
    detail: str | None = None
    sha256: str | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    width: int | None = None
    height: int | None = None


def probe(path: Path) -> Probe:
    """Facts about a media file; its first frame is decoded, so that a broken file shows.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Probe
        Never raises for what is wrong with the file: that is a status with a detail.
    """
    if not path.is_file():
        return Probe("missing", "there is no such file")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            return Probe("unreadable", f"has {size} bytes, the limit is {MAX_BYTES}")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Probe("unreadable", f"cannot be read: {error.strerror}")
    try:
        with _opened(path) as (container, stream):
            duration = _duration(container, stream)
            next(_decoded(container, stream))
            rate = stream.average_rate or stream.guessed_rate
            codec = stream.codec_context
            return Probe(
                "present", None, digest, duration, float(rate) if rate else None, int(codec.width), int(codec.height)
            )
    except InputError as error:
        return Probe("unreadable", error.what, digest)
    except StopIteration:
        return Probe("unreadable", "holds no frame that can be decoded", digest)


class Frame(NamedTuple):
    """A frame as it is kept."""

    time_s: float
    """From the first frame, seconds."""
    sha256: str
    """Of the JPEG bytes, hexadecimal."""
    width: int
    """Pixels."""
    height: int
    jpeg: bytes


def sample_frames(path: Path, n: int, side_px: int) -> list[Frame]:
    """Frames of a clip, evenly spaced over its length.

    Parameters
    ----------
    path : Path
        Media file.
    n : int
        Frames wanted: those shown in the middle of each of ``n`` equal parts of the clip.
    side_px : int
        Longest side in pixels; larger frames are scaled down, smaller ones left.

    Returns
    -------
    list of Frame
        In the order of the clip; fewer than ``n`` where the clip has fewer.

    Raises
    ------
    InputError
        The file is no video, holds no frame that can be decoded, or exceeds a limit.
    """
    times = _frame_times(path)
    wanted = _evenly_spaced(times, n)
    sampled = []
    with _opened(path) as (container, stream):
        for frame in _decoded(container, stream):
            if frame.pts is None or frame.pts < wanted[0]:
                continue
            sampled.append(_kept(frame, float((frame.pts - times[0]) * stream.time_base), side_px))
            wanted = [pts for pts in wanted if pts > frame.pts]
            if not wanted:
                break
    if not sampled:
        raise InputError("holds no frame that can be decoded", where=str(path))
    return sampled


def _frame_times(path: Path) -> list[int]:
    """Presentation times of all frames, sorted, in units of the stream's time base; read without decoding."""
    with _opened(path) as (container, stream):
        _duration(container, stream)
        times = set()
        for packet in _guarded(container.demux(stream), path):
            if packet.pts is not None and packet.size:
                times.add(int(packet.pts))
            if len(times) > MAX_FRAMES:
                raise InputError(f"has more than {MAX_FRAMES} frames", where=str(path))
        if not times:
            raise InputError("holds no frames with times", where=str(path))
        return sorted(times)


def _evenly_spaced(times: list[int], n: int) -> list[int]:
    """Of sorted frame times, those on screen in the middle of each of ``n`` equal parts; each once."""
    last = times[-1] - times[-2] if len(times) > 1 else 1
    length = times[-1] + last - times[0]
    chosen, at = [], 0
    for part in range(n):
        middle = times[0] + Fraction(2 * part + 1, 2 * n) * length
        while at + 1 < len(times) and times[at + 1] <= middle:
            at += 1
        chosen.append(times[at])
    return sorted(set(chosen))


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """A container and its first video stream, within the limits."""
    import av

    try:
        container = av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"cannot be opened as a video ({_reason(error)})", where=str(path)) from None
    with container:
        if not container.streams.video:
            raise InputError("holds no video stream", where=str(path))
        stream = container.streams.video[0]
        codec = stream.codec_context
        if codec is None:
            raise InputError("has a video codec that is not supported", where=str(path))
        _check_pixels(codec.width, codec.height, path)
        # the decoder itself refuses a larger picture than its header promised; one thread holds one frame, not many
        codec.options = {"max_pixels": str(MAX_PIXELS)}
        codec.thread_type, codec.thread_count = "NONE", 1
        yield container, stream


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    path = Path(container.name)
    for frame in _guarded(container.decode(stream), path):
        _check_pixels(frame.width, frame.height, path)
        yield frame


def _guarded(source: Iterator[Any], path: Path) -> Iterator[Any]:
    """Items of a decoder; its errors become ours."""
    import av

    try:
        yield from source
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"cannot be decoded ({_reason(error)})", where=str(path)) from None


def _check_pixels(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(f"is {width} x {height} pixels, the limit is {MAX_PIXELS} in all", where=str(path))


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds, where the file says so; refuses what is longer than the limit."""
    seconds = None
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1e6
    if seconds is not None and seconds > MAX_SECONDS:
        raise InputError(f"lasts {seconds:.0f} s, the limit is {MAX_SECONDS:.0f} s", where=container.name)
    return seconds


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)[:200]


def _kept(frame: Any, time_s: float, side_px: int) -> Frame:
    scale = min(1.0, side_px / max(frame.width, frame.height))
    width, height = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    # scaled while still in the codec's colour space: the full-size RGB picture is never made
    image = frame.to_image(width=width, height=height, interpolation="AREA")
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_JPEG_QUALITY)
    jpeg = buffer.getvalue()
    return Frame(time_s, hashlib.sha256(jpeg).hexdigest(), width, height, jpeg)
