"""Render and encode the demo's clips: real mp4 files of moving shapes, each marked SYNTHETIC.

Affect is seen in colour (one hue a planted dimension), shape (smooth when pleasant, spiky when not) and speed
(arousal). Behind the shapes moves a grating whose luminance, contrast, frequency and orientation have nothing to do
with affect.
"""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectlake.demo.space import NAMES, Truth

WIDTH, HEIGHT, RATE = 96, 72, 12
"""Pixels and frames per second."""

_Image = NDArray[np.uint8]


def write_clip(path: Path, truth: Truth, row: int, rng: np.random.Generator) -> None:
    """Encode the clip in row ``row`` of ``truth`` as H.264.

    The frames depend on ``truth`` and ``rng`` only; the bytes of the file also on the versions of PyAV and x264.
    """
    import av

    n_frames = int(rng.integers(RATE, 2 * RATE + 1))
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        # A constant quantizer: x264 with an adaptive one (crf) made other bytes of the same frames, time and again.
        stream.options = {"preset": "veryfast", "qp": "27", "threads": "1"}
        for image in _frames(truth, row, n_frames, rng):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def _frames(truth: Truth, row: int, n: int, rng: np.random.Generator) -> list[_Image]:
    weights = truth.planted[row]
    colours = [_colour(int(k)) for k in np.flatnonzero(weights)]
    sizes = 9 + 11 * weights[weights > 0]
    speed = 0.5 + 3.0 * max(0.0, float(truth.arousal[row]))
    spikes = 0.5 * float(np.clip(0.5 - truth.valence[row] / 2, 0, 1))
    centres = rng.uniform((15, 15), (WIDTH - 15, HEIGHT - 15), (len(colours), 2))
    headings = rng.uniform(0, 2 * np.pi, len(colours))
    images = []
    for frame in range(n):
        places = centres + speed * frame * np.column_stack([np.cos(headings), np.sin(headings)])
        places %= (WIDTH, HEIGHT)
        shapes = [
            (colour, _star(place, float(size), spikes, 0.05 * speed * frame))
            for colour, place, size in zip(colours, places, sizes, strict=True)
        ]
        images.append(_draw(_grating(truth.visual[row], frame), shapes))
    return images


def _colour(dimension: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(dimension / len(NAMES), 0.9, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _star(centre: NDArray[np.float64], size: float, spikes: float, turn: float) -> list[tuple[float, float]]:
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = size * (1 - spikes * (1 - np.cos(8 * angle)) / 2)
    points = centre + radius[:, None] * np.column_stack([np.cos(angle + turn), np.sin(angle + turn)])
    return [(float(x), float(y)) for x, y in points]


def _grating(visual: NDArray[np.float32], frame: int) -> _Image:
    luminance, contrast, frequency, orientation = (float(v) for v in visual)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    along = x * np.cos(np.pi * orientation) + y * np.sin(np.pi * orientation)
    wave = np.sin(2 * np.pi * (0.02 + 0.08 * frequency) * along - 0.5 * frame)
    grey = 255 * (0.25 + 0.5 * luminance) + 55 * contrast * wave
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _draw(background: _Image, shapes: list[tuple[tuple[int, int, int], list[tuple[float, float]]]]) -> _Image:
    from PIL import Image, ImageDraw

    image = Image.fromarray(background)
    pen = ImageDraw.Draw(image)
    for colour, outline in shapes:
        pen.polygon(outline, fill=colour)
    pen.rectangle((0, HEIGHT - 11, 58, HEIGHT), fill=(0, 0, 0))
    pen.text((2, HEIGHT - 11), "SYNTHETIC", fill=(255, 255, 255))
    return np.asarray(image, dtype=np.uint8)
