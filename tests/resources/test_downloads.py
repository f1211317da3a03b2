"""Files come whole and right or not at all: a real server on this machine that cuts, lies and redirects."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from affectlake.errors import InputError, StudyError
from dagster_project.cli import app
from resources.downloads import Download, fetch
from resources.study import load_study

CONTENT = np.random.default_rng(0).bytes(3_000_001)


@dataclass
class Host:
    """What the server does; ``asked`` are the ranges that clients asked for."""

    cut_after: list[int] = field(default_factory=list)
    """Bytes after which each of the next connections is cut."""
    ranges: bool = True
    refuse: int = 0
    redirect: str = ""
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        if self.refuse or self.redirect:
            request.send_response(self.refuse or 302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(CONTENT):
            request.send_response(416)
            request.end_headers()
            return
        request.send_response(206 if wanted and self.ranges else 200)
        request.send_header("Content-Length", str(len(CONTENT) - start))
        if wanted and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        request.end_headers()
        stop = start + self.cut_after.pop(0) if self.cut_after else None
        request.wfile.write(CONTENT[start:stop])


@pytest.fixture
def host() -> Iterator[Host]:
    state = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/file")
                self.end_headers()
            else:
                state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/file"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def described(host: Host, **changes: object) -> Download:
    md5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    return Download.model_validate({"url": host.url, "md5": md5, "target": "data/scans.h5"} | changes)


def bring(host: Host, folder: Path, **changes: object) -> bool:
    return fetch(described(host, **changes), folder, lambda done, total: None, pause_s=0.01)


def test_a_file_arrives_whole_with_its_progress_and_is_not_fetched_twice(host: Host, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    assert fetch(described(host, size=len(CONTENT)), tmp_path, lambda *told: seen.append(told))
    assert (tmp_path / "data/scans.h5").read_bytes() == CONTENT
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["scans.h5"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not bring(host, tmp_path)
    assert len(host.asked) == 1


def test_cut_connections_are_taken_up_where_they_were_cut(host: Host, tmp_path: Path) -> None:
    host.cut_after = [1_000_000, 7, 1_500_000]
    assert bring(host, tmp_path)
    assert host.asked == ["", "bytes=1000000-", "bytes=1000007-", "bytes=2500007-"]
    assert (tmp_path / "data/scans.h5").read_bytes() == CONTENT


def test_a_later_call_goes_on_where_the_program_was_stopped(host: Host, tmp_path: Path) -> None:
    host.cut_after = [2_000_000] + [0] * 5
    with pytest.raises(InputError, match=r"2,000,000 bytes are kept.*goes on from there"):
        bring(host, tmp_path)
    assert not (tmp_path / "data/scans.h5").exists()
    assert bring(host, tmp_path)
    assert host.asked[-1] == "bytes=2000000-"
    assert (tmp_path / "data/scans.h5").read_bytes() == CONTENT


def test_a_host_that_cannot_resume_sends_everything_again(host: Host, tmp_path: Path) -> None:
    host.ranges, host.cut_after = False, [500_000]
    assert bring(host, tmp_path)
    assert (tmp_path / "data/scans.h5").read_bytes() == CONTENT


def test_leftovers_longer_than_the_file_are_thrown_away(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/scans.h5.part").write_bytes(CONTENT + b"more")
    assert bring(host, tmp_path)
    assert (tmp_path / "data/scans.h5").read_bytes() == CONTENT


def test_a_wrong_sum_leaves_nothing_behind(host: Host, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not what was announced: MD5 .*0{32}"):
        bring(host, tmp_path, md5="0" * 32)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_wrong_size_is_told_before_the_file_is_read(host: Host, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"announces 3,000,001 bytes, the study file says 12"):
        bring(host, tmp_path, size=12)


def test_a_file_that_does_not_fit_the_disk_is_not_begun(host: Host, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are free"):
        bring(host, tmp_path, size=10**18)
    assert host.asked == []


def test_another_file_at_the_target_is_not_overwritten(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/scans.h5").write_text("mine")
    with pytest.raises(InputError, match="another file is there already"):
        bring(host, tmp_path)
    assert (tmp_path / "data/scans.h5").read_text() == "mine"


def test_a_redirect_is_followed_within_its_scheme_only(host: Host, tmp_path: Path) -> None:
    assert bring(host, tmp_path, url=host.url.replace("/file", "/moved"))
    for elsewhere in ("file:///etc/hostname", "https://127.0.0.1/file", "ftp://127.0.0.1/file"):
        host.redirect = elsewhere
        with pytest.raises(InputError, match="redirects to another scheme"):
            bring(host, tmp_path, target="other.h5")


def test_an_address_that_is_not_there_is_told_at_once(host: Host, tmp_path: Path) -> None:
    host.refuse = 404
    with pytest.raises(InputError, match="answers 404"):
        bring(host, tmp_path)
    assert len(host.asked) == 1


@pytest.mark.parametrize("code", [503, 202])
def test_a_host_in_trouble_is_tried_again_and_then_given_up(code: int, host: Host, tmp_path: Path) -> None:
    host.refuse = code
    with pytest.raises(InputError, match=f"the host answers {code}"):
        bring(host, tmp_path)
    assert len(host.asked) == 5


@pytest.mark.parametrize(
    "wrong",
    [{"url": "file:///etc/passwd"}, {"target": "../x.h5"}, {"target": "/x.h5"}, {"md5": "abc"}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_the_study_file_cannot_ask_for_other_places(
    wrong: dict[str, str], host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = described(host).model_dump(mode="json", exclude_none=True)
    study = {"name": "s", "stimuli": {"manifest": "v.csv"}, "downloads": [right | wrong]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    with pytest.raises(StudyError, match=next(iter(wrong))):
        load_study(tmp_path / "study.yaml")


def test_the_command_brings_what_the_study_lists(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = described(host).model_dump(mode="json", exclude_none=True)
    study = {"name": "s", "stimuli": {"manifest": "v.csv"}, "downloads": [right, right | {"target": "again.h5"}]}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    monkeypatch.setenv("AFFECTLAKE_STUDY", str(tmp_path / "study.yaml"))
    (tmp_path / "again.h5").write_bytes(CONTENT)
    done = CliRunner().invoke(app, ["study", "fetch"])
    assert done.exit_code == 0, done.output
    assert "fetched 1 files; 1 were there already" in done.output
    assert (tmp_path / "data/scans.h5").read_bytes() == CONTENT


def test_the_shipped_study_lists_the_five_subjects_scans() -> None:
    study = load_study(Path(__file__).parents[2] / "studies" / "horikawa2020.yaml")
    assert study.brain is not None
    assert [str(d.target) for d in study.downloads] == [
        str(p) for s in study.subjects for _, p in study.brain.paths(s) if p.suffix == ".h5"
    ]
