"""What a reader of frames or of whole clips is shown: which media of a clip, and the version of them.

What belongs here: media as they are sent, and where they come from. What does not: the shape in which a service wants
them (``openai``, ``anthropic``) and how a picture is made (:mod:`affectlake.contactsheets`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import mimetypes
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.contactsheets import GAP_PX, SIDE_PX, contact_sheet, evenly, sheet_size
from affectlake.counterhash import counter_hash
from affectlake.errors import AgentError
from affectlake.formats.videos import media_path
from affectlake.prompts import LABELS, MEDIA_INSTRUCTION, SHOWN_AS
from resources.agents.captions import unnumbered
from resources.agents.local import digest, rows_by_item
from resources.agents.protocol import IntArray, Stimuli
from resources.study import ServiceModel, Study

LARGEST_CLIP_BYTES = 32 * 2**20
"""Larger clips are not sent: three of them, in base64, are what servers take in one request at most."""

_CLIPS_AT_ONCE = 128
"""Clips whose frames stand in memory while their pictures are made."""


@dataclass(frozen=True, slots=True)
class Medium:
    """A picture or a film as it is sent."""

    kind: Literal["image", "video"]
    mime: str
    sha256: str
    """Of the bytes that are sent."""
    path: Path
    bytes: int
    width: int
    """Pixels, of a picture or of a frame of a film."""
    height: int
    what: str
    """What it shows of its clip, for readers."""
    seconds: float = 0.0
    """Of a film."""

    @property
    def tokens(self) -> int:
        """Input tokens by rule of thumb: Anthropic's for pictures, Qwen2-VL's for films (two frames a second)."""
        pixels = self.width * self.height
        return math.ceil(pixels / _PIXELS_PER_TOKEN if self.kind == "image" else self.seconds * pixels / _PATCH_PIXELS)

    def __str__(self) -> str:
        size = f"{self.bytes:,} bytes, {self.width} x {self.height} px"
        return f"[{self.what}: {self.mime}, {size}, sha256 {self.sha256}]"

    def base64(self) -> str:
        """The bytes that are sent, in base64.

        Raises
        ------
        AgentError
            The file is not what it was when the questions were planned.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise AgentError(f"cannot be read ({error.strerror})", where=str(self.path), remedy=_CHANGED) from None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise AgentError("is not the file that was looked at", where=str(self.path), remedy=_CHANGED)
        return base64.b64encode(content).decode("ascii")


_PIXELS_PER_TOKEN = 750
_PATCH_PIXELS = 28 * 28
"""Of two frames at a time."""

_CHANGED = "Run again: clips are looked at anew, and what shows this one is asked anew."


class ShownMedia(ABC):
    """The media of the study's clips as agents see them; a duplicate shows those of its canonical clip.

    Parameters
    ----------
    shown : polars.DataFrame
        Columns ``item`` and ``media_sha256`` of the clips that can be shown, sorted by item.
    contents : sequence of str
        64 bits of what each of them shows, hexadecimal.
    """

    def __init__(self, shown: pl.DataFrame, contents: Sequence[str]) -> None:
        self.items: IntArray = shown["item"].to_numpy()
        self._shown, self._row = shown, rows_by_item(self.items)
        self._hash = np.array([int(content, 16) for content in contents], dtype=np.uint64)

    def versions(self, triplets: IntArray) -> pl.Series:
        """Version of what is shown for each triplet: a hash of the content of its own three clips' media.

        Parameters
        ----------
        triplets : int32 array of shape (n, 3)
            Sorted items.

        Returns
        -------
        polars.Series of String
            Named ``stimulus_version``.
        """
        hashes = counter_hash(0, *self._hash[self._row[triplets]].T)
        return pl.Series("stimulus_version", [f"{h:016x}" for h in hashes.tolist()], dtype=pl.String)

    def sizes(self, triplets: IntArray) -> npt.NDArray[np.int64]:
        """Bytes of the text of each question, int64[n]."""
        return np.full(len(triplets), len(MEDIA_INSTRUCTION.encode()))

    @abstractmethod
    def prepare(self, items: IntArray, progress: Callable[[int, int], None]) -> None:
        """Have the media of ``items`` ready to be sent."""

    @abstractmethod
    def clip(self, item: int, label: str) -> tuple[str, tuple[Medium, ...]]:
        """The line that stands before one item's media, and these, in order; :meth:`prepare` came before."""

    def question(self, row: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, tuple[Medium, ...]], ...]]:
        """The text of a question, and what stands before it."""
        items = [row[place] for place in row["presented"]]
        return MEDIA_INSTRUCTION, tuple(self.clip(item, label) for item, label in zip(items, LABELS, strict=True))

    def numbered(self, questions: pl.DataFrame) -> pl.DataFrame:
        """``questions`` with no numbers of captions: none is shown."""
        return unnumbered(questions)


class ShownFrames(ShownMedia):
    """Frames of each clip, evenly spaced, one by one or as one contact sheet.

    Raises
    ------
    AgentError
        No clip of the study has frames.
    """

    def __init__(self, settings: ServiceModel, stimuli: Stimuli, study: Study) -> None:
        sampled, side = study.stimuli.frames, study.stimuli.frame_side_px
        self._as, self._wanted = settings.layout, settings.frames or sampled
        self._frames = stimuli.frames.filter((pl.col("sampled") == sampled) & (pl.col("side_px") == side))
        facts = self._frames.select("media_sha256", "frame", "sha256", "width", "height").collect()
        facts = facts.sort("media_sha256", "frame").group_by("media_sha256", maintain_order=True).agg(pl.all())
        shown = _listed(stimuli.videos).join(facts, on="media_sha256", maintain_order="left")
        if shown.is_empty():
            raise AgentError(
                "no clip of the study has frames",
                where=f"model {settings.name}",
                remedy="They are taken from the files under `stimuli.media_root`.",
            )
        contents = [[names[i] for i in evenly(len(names), self._wanted)] for names in shown["sha256"].to_list()]
        # the bytes of a sheet follow from its frames and these
        arranged = f"sheet {SIDE_PX} {GAP_PX}" if self._as == "sheet" else self._as
        hashes = [digest(arranged, *names) for names in contents]
        super().__init__(shown, hashes)
        self._folder = tempfile.TemporaryDirectory(prefix="affectlake-frames-")
        self._sent: dict[str, tuple[int, tuple[Medium, ...]]] = {}

    def prepare(self, items: IntArray, progress: Callable[[int, int], None]) -> None:
        """Write the pictures of ``items`` to a folder of this run, where memory does not have to hold them."""
        rows = self._shown[self._row[items]].unique("media_sha256", maintain_order=True)
        names = [name for name in rows["media_sha256"] if name not in self._sent]
        for start in range(0, len(names), _CLIPS_AT_ONCE):
            wanted = names[start : start + _CLIPS_AT_ONCE]
            read = self._frames.filter(pl.col("media_sha256").is_in(wanted)).collect().sort("media_sha256", "frame")
            for (name,), frames in read.group_by("media_sha256"):
                chosen = frames[evenly(frames.height, self._wanted)]
                file = rows.filter(media_sha256=name)["file"][0]
                self._sent[str(name)] = chosen.height, tuple(self._pictures(chosen, json.dumps(file)))
            progress(min(start + _CLIPS_AT_ONCE, len(names)), len(names))

    def _pictures(self, chosen: pl.DataFrame, file: str) -> Iterable[Medium]:
        if self._as == "separate":
            for frame in chosen.iter_rows(named=True):
                yield self._kept(frame["jpeg"], frame["width"], frame["height"], f"{file} at {frame['time_s']:.2f} s")
            return
        size = sheet_size(chosen.height, chosen["width"][0], chosen["height"][0])
        times = ", ".join(f"{time:.2f}" for time in chosen["time_s"])
        yield self._kept(contact_sheet(chosen["jpeg"].to_list()), *size, f"{file} at {times} s")

    def _kept(self, jpeg: bytes, width: int, height: int, what: str) -> Medium:
        name = hashlib.sha256(jpeg).hexdigest()
        path = Path(self._folder.name) / f"{name}.jpg"
        path.write_bytes(jpeg)
        return Medium("image", "image/jpeg", name, path, len(jpeg), width, height, what)

    def clip(self, item: int, label: str) -> tuple[str, tuple[Medium, ...]]:
        """How the pictures of one item are announced, and they themselves."""
        n, pictures = self._sent[self._shown["media_sha256"][int(self._row[item])]]
        return SHOWN_AS[self._as].format(label=label, n=n), pictures


class ShownClips(ShownMedia):
    """Whole clips, as their files are.

    Raises
    ------
    AgentError
        No clip of the study has a film that can be sent.
    """

    def __init__(self, settings: ServiceModel, stimuli: Stimuli, study: Study) -> None:
        if study.stimuli.media_root is None:
            raise AgentError("there are no clips to see", where=f"model {settings.name}")
        root = study.resolve(study.stimuli.media_root)
        shown = _listed(stimuli.videos).filter(pl.col("status") == "present")
        paths = [media_path(file, root, name) for file, name in shown.select("file", "video_id").iter_rows()]
        small = [path.is_file() and path.stat().st_size <= LARGEST_CLIP_BYTES for path in paths]
        shown = shown.filter(pl.Series(small, dtype=pl.Boolean))
        if shown.is_empty():
            raise AgentError(
                f"no clip of the study has a film of at most {LARGEST_CLIP_BYTES // 2**20} MiB",
                where=f"model {settings.name}",
                remedy="Check `stimuli.media_root`, or show frames: `input: frames`.",
            )
        super().__init__(shown, [digest("whole", name) for name in shown["media_sha256"]])
        self._sent: dict[int, tuple[Medium, ...]] = {}
        kept = [path for path, ok in zip(paths, small, strict=True) if ok]
        for path, row in zip(kept, shown.iter_rows(named=True), strict=True):
            kind = mimetypes.guess_type(path.name)[0] or "video/mp4"
            size, seconds = (row["width"] or 0, row["height"] or 0), row["duration_s"] or 0.0
            what = f"{json.dumps(row['file'])}, {seconds:.2f} s"
            film = Medium("video", kind, row["media_sha256"], path, path.stat().st_size, *size, what, seconds)
            self._sent[row["item"]] = (film,)

    def prepare(self, items: IntArray, progress: Callable[[int, int], None]) -> None:
        """Nothing: the files are where they are."""

    def clip(self, item: int, label: str) -> tuple[str, tuple[Medium, ...]]:
        """How the film of one item is announced, and it itself."""
        return SHOWN_AS["whole"].format(label=label), self._sent[item]


def _listed(videos: pl.DataFrame) -> pl.DataFrame:
    """The clips of the study, sorted by item, with the media that each of them shows."""
    listed = videos.filter(pl.col("status") != "left").select("item", of=pl.coalesce("duplicate_of", "video_id"))
    media = videos.select("video_id", "file", "status", "duration_s", "width", "height", media_sha256="sha256")
    return listed.join(media, left_on="of", right_on="video_id").rename({"of": "video_id"}).sort("item")
