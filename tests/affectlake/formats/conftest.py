"""Small real video files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


def write_clip(path: Path, *, frames: int = 20, width: int = 64, height: int = 48, fps: int = 10) -> Path:
    """A clip whose frames get brighter: frame i is grey 10 + 10 i."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            grey = np.full((height, width, 3), min(10 + 10 * i, 250), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def make_clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; see its README."""
    folder = Path(__file__).parents[4] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real data are not here: {folder}")
    return folder


@pytest.fixture(scope="session")
def cowen_keltner(shared_data: Path) -> Path:
    return shared_data / "cowen-keltner"
