"""Media files and frames from them, also hostile ones."""

from __future__ import annotations

import hashlib
import http.server
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from affectlake.errors import InputError
from affectlake.formats import media


def grey(jpeg: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(jpeg))).mean())


def test_frames_are_evenly_spaced_and_are_those_shown_at_their_time(clip: Path) -> None:
    frames = media.sample_frames(clip, 4, 512)
    assert [f.time_s for f in frames] == pytest.approx([0.2, 0.7, 1.2, 1.7])
    assert [grey(f.jpeg) for f in frames] == pytest.approx([30, 80, 130, 180], abs=4)
    assert Image.open(io.BytesIO(frames[0].jpeg)).size == (frames[0].width, frames[0].height) == (64, 48)
    assert frames[0].sha256 == hashlib.sha256(frames[0].jpeg).hexdigest()
    assert media.sample_frames(clip, 4, 512) == frames


def test_frames_are_scaled_down_and_never_up(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    wide = make_clip(tmp_path / "wide.mp4", width=320, height=64, frames=3)
    sizes = [Image.open(io.BytesIO(f.jpeg)).size for f in media.sample_frames(wide, 1, 100)]
    assert sizes == [(100, 20)]


def test_a_clip_with_fewer_frames_gives_those_it_has(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    short = make_clip(tmp_path / "short.mp4", frames=2)
    assert len(media.sample_frames(short, 8, 64)) == 2
    assert len(media.sample_frames(make_clip(tmp_path / "one.mp4", frames=1), 8, 64)) == 1


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mov"])
def test_other_containers_are_read(tmp_path: Path, make_clip: Callable[..., Path], suffix: str) -> None:
    path = make_clip(tmp_path / f"clip{suffix}")
    assert media.probe(path).status == "present"
    assert len(media.sample_frames(path, 4, 64)) == 4


def test_a_file_cut_short_is_unreadable_and_raises_for_frames(tmp_path: Path, clip: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(clip.read_bytes()[:300])
    found = media.probe(cut)
    assert (found.status, found.duration_s) == ("unreadable", None)
    assert found.sha256
    with pytest.raises(InputError, match=r"cut\.mp4"):
        media.sample_frames(cut, 4, 64)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert media.probe(path).detail == "holds no video stream"


@pytest.fixture
def sink() -> Iterator[tuple[int, list[str]]]:
    """A local server that notes who asks it for anything."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], asked
    server.shutdown()


def test_no_media_file_makes_us_open_a_url_or_another_file(
    tmp_path: Path, clip: Path, sink: tuple[int, list[str]]
) -> None:
    port, asked = sink
    url = f"http://127.0.0.1:{port}/x.mp4"
    hostile = {
        "playlist.mp4": f"#EXTM3U\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
        "local.m3u8": f"#EXTM3U\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        "concat.mp4": f"ffconcat version 1.0\nfile '{clip}'\n",
        "web.ffconcat": f"ffconcat version 1.0\nfile '{url}'\n",
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "dash.mpd": f"<MPD><Period><AdaptationSet><BaseURL>{url}</BaseURL></AdaptationSet></Period></MPD>",
    }
    for name, text in hostile.items():
        (tmp_path / name).write_text(text)
        assert media.probe(tmp_path / name).status == "unreadable", name
    assert asked == []


def test_a_file_named_like_a_url_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert media.probe(Path("http://127.0.0.1/x.mp4")).status == "missing"


def test_limits_are_statuses(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, value, words in (
        ("MAX_PIXELS", 1000, "64 x 48 pixels"),
        ("MAX_SECONDS", 1.0, "lasts 2 s"),
        ("MAX_BYTES", 100, "the limit is 100"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(media, limit, value)
            found = media.probe(clip)
            assert found.status == "unreadable"
            assert words in (found.detail or "")
    monkeypatch.setattr(media, "MAX_FRAMES", 5)
    with pytest.raises(InputError, match="more than 5 frames"):
        media.sample_frames(clip, 2, 64)


def test_a_bomb_does_not_unpack(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    bomb = make_clip(tmp_path / "bomb.mp4", width=4096, height=4096, frames=2)
    code = (
        "import sys\nfrom pathlib import Path\nfrom affectlake.formats import media\n"
        "print(media.probe(Path(sys.argv[1])).status)\n"
        # not ru_maxrss: that remembers the process that started this one
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(bomb)], capture_output=True, text=True, check=True)
    status, kilobytes = done.stdout.split()
    assert status == "unreadable"
    assert int(kilobytes) < 500_000


def test_damaged_files_give_a_status_or_our_error_and_nothing_else(tmp_path: Path, clip: Path) -> None:
    rng, whole, path = np.random.default_rng(0), clip.read_bytes(), tmp_path / "damaged.mp4"
    seen = set()
    for _ in range(40):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, damaged.size, 20)] = rng.integers(0, 256, 20)
        path.write_bytes(damaged.tobytes())
        seen.add(media.probe(path).status)
        try:
            assert 1 <= len(media.sample_frames(path, 4, 64)) <= 4
        except InputError:
            seen.add("error")
    assert seen <= {"present", "unreadable", "error"}
    assert "unreadable" in seen
