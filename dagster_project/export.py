"""Results as files that other programs read: spaces, judgments, similarities, scores, maps, methods, citation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.citation import citation
from affectlake.errors import LakeError
from affectlake.formats import derivatives
from affectlake.formats.spaces import write_rdm, write_space
from affectlake.formats.things import write_triplets
from affectlake.tables import TABLES
from resources.brains import BidsBrain
from resources.lake import Lake
from resources.methods import methods_text, versions
from resources.study import Study

SCORES = (
    "embedding_quality",
    "dimensions",
    "encoding_scores",
    "run_scores",
    "rsa_scores",
    "decoding_scores",
    "comparisons",
    "variance_partition",
)
"""Tables that are small enough for a spreadsheet."""

BY_VOXEL = ("voxel_scores", "searchlight_scores")
"""Tables that are not."""

TRIPLET_FILES = {"train": "train_90.txt", "test": "test_10.txt"}
"""Names by which SPoSE, VICE and their kin look for them; the other purposes are files of their own name."""

Written = Iterator[str]
"""What was written, one line for a person each."""


def export(study: Study, lake: Lake, folder: Path, parts: list[str]) -> Written:
    """Write parts of a study's results into an empty or new folder.

    Raises
    ------
    LakeError
        The folder is not empty, or there is nothing to write.
    """
    if folder.exists() and any(folder.iterdir()):
        raise LakeError("is not empty", where=str(folder), remedy="Name a new folder; nothing is written over.")
    if lake.scan("embeddings").head(1).collect().is_empty():
        raise LakeError("holds no embeddings yet", where=lake.root, remedy="Compute them with `affectlake run`.")
    for part in parts:
        yield from PARTS[part](study, lake, folder)


def _spaces(study: Study, lake: Lake) -> Iterator[tuple[str, pl.DataFrame, npt.NDArray[np.float32]]]:
    """Every model of the study that has a space: name, rows in item order, and vectors."""
    for model in study.model_names:
        rows = lake.scan("embeddings", {"model": model}).collect().sort("item")
        if rows.height:
            yield model, rows, np.array(rows["vector"].to_list(), dtype=np.float32)


def _embeddings(study: Study, lake: Lake, folder: Path) -> Written:
    for model, rows, vectors in _spaces(study, lake):
        named = lake.scan("dimensions", {"model": model}).sort("dimension").collect()["label"].to_list()
        write_space(folder / "embeddings" / model, rows["video_id"].to_list(), vectors, named)
        yield f"embeddings/{model}: {vectors.shape[0]} clips x {vectors.shape[1]} dimensions"


def _judgments(study: Study, lake: Lake, folder: Path) -> Written:
    """Judgments as SPoSE reads them: 0-based rows of the model's space, the odd one last."""
    from affectlake.triplets import purposes

    planned = lake.read("triplets")
    for model, rows, _ in _spaces(study, lake):
        place = dict(zip(rows["item"].to_list(), range(rows.height), strict=True))
        answers = lake.scan("judgments", {"model": model})
        learnt = rows["prompt_version"].drop_nulls().unique().to_list()
        if learnt:
            answers = answers.filter(pl.col("prompt_version").is_in(learnt))
        frame = answers.select("triplet_id", "a", "b", "c", "odd").sort("triplet_id").collect()
        if frame.is_empty():
            continue
        numbered = _odd_last(frame, place).with_columns(purpose=purposes(frame["triplet_id"].to_numpy(), planned))
        usable = numbered.drop_nulls(["x", "y", "odd"])
        for (purpose,), found in usable.group_by("purpose", maintain_order=True):
            name = TRIPLET_FILES.get(str(purpose), f"{purpose}.txt")
            target = folder / "embeddings" / model / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_triplets(target, found.select("x", "y", "odd").to_numpy())
            yield f"embeddings/{model}/{name}: {found.height:,} judgments"
        if lost := numbered.height - usable.height:
            yield f"embeddings/{model}: {lost:,} judgments name clips without a vector and were left out"


def _odd_last(frame: pl.DataFrame, place: dict[int, int]) -> pl.DataFrame:
    """Rows of the space instead of items: x and y were kept together, odd was not."""
    first = pl.when(pl.col("odd") == pl.col("a")).then("b").otherwise("a")
    second = pl.when(pl.col("odd") == pl.col("c")).then("b").otherwise("c")
    return frame.select(
        expression.replace_strict(place, default=None, return_dtype=pl.Int32).alias(name)
        for name, expression in {"x": first, "y": second, "odd": pl.col("odd")}.items()
    )


def _rdms(study: Study, lake: Lake, folder: Path) -> Written:
    from affectlake.rsa import brain_rsm
    from affectlake.similarity import predicted_rsm

    for model, rows, vectors in _spaces(study, lake):
        learnt = study.model(model).agent != "features"
        if not learnt and vectors.shape[1] < 2:
            yield f"rdms: {model} has one dimension, of which there are no correlations"
            continue
        measure = "1 - predicted similarity" if learnt else "correlation"
        apart = 1 - np.asarray(predicted_rsm(vectors) if learnt else brain_rsm(vectors), dtype=np.float64)
        np.fill_diagonal(apart, 0)
        about = {"model": model, "study": study.name}
        write_rdm(folder / "rdms" / model, apart, rows["video_id"].to_list(), measure, about)
        yield f"rdms/{model}: {len(apart)} x {len(apart)}, {measure}"


def _scores(study: Study, lake: Lake, folder: Path) -> Written:
    """Each table as Parquet, and as CSV with lists as JSON, of the study's present models and subjects."""
    target = folder / "scores"
    for name in (*SCORES, *BY_VOXEL):
        frame = _present(study, lake.read(name))
        if frame.is_empty():
            continue
        target.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(target / f"{name}.parquet")
        if name in SCORES:
            _flat(frame).write_csv(target / f"{name}.csv")
        yield f"scores/{name}: {frame.height:,} rows"


def _present(study: Study, frame: pl.DataFrame) -> pl.DataFrame:
    for column in ("model", "model_a", "model_b"):
        if column in frame.columns:
            frame = frame.filter(pl.col(column).is_in(study.model_names))
    return frame.filter(pl.col("subject").is_in(study.subjects)) if "subject" in frame.columns else frame


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(
        pl.Series(name, [json.dumps(value) for value in frame[name].to_list()]) for name in nested
    )


def _maps(study: Study, lake: Lake, folder: Path) -> Written:
    """Maps of r as BIDS derivatives, of the subjects whose voxels have places."""
    from affectlake.maps import placed, subject_volume

    root, names = folder / "bids", derivatives.labels(study.model_names)
    for subject in study.subjects:
        voxels = lake.read("voxels", {"subject": subject})
        if not placed(voxels):
            yield f"bids: the voxels of {subject} have no places, so there is no map"
            continue
        for model in study.model_names:
            key = {"subject": subject, "model": model}
            scores = lake.read("voxel_scores", key)
            if scores.is_empty():
                continue
            path = derivatives.map_path(subject, names[model], _task(study, subject))
            derivatives.write_map(root, path, subject_volume(voxels, scores, "r"), _sidecar(lake, key, scores))
            yield f"bids/{path}"
    if root.exists():
        readme = "".join(f"{heading}\n\n{text}\n\n" for heading, text in methods_text(study, lake))
        derivatives.write_description(root, f"Encoding scores of {study.name}", versions()["affectlake"], readme)


def _sidecar(lake: Lake, key: dict[str, str], scores: pl.DataFrame) -> dict[str, object]:
    made = lake.scan("encoding_scores", key).select("code_version", "source_versions").head(1).collect()
    return {
        "Description": f"Cross-validated Pearson r of {key['model']}'s predictions; 0 where no voxel was scored",
        "Model": key["model"],
        "Voxels": scores.height,
        "SignificantVoxels": int((scores["q"] < 0.05).sum()) if scores["q"].null_count() < scores.height else None,
        "CodeVersion": made["code_version"].item() if made.height else None,
        "SourceVersions": json.loads(made["source_versions"].item()) if made.height else None,
    }


def _task(study: Study, subject: str) -> str | None:
    """The task of the subject's runs, where the study reads BIDS."""
    from affectlake.formats.bids import find_runs

    brain = study.brain
    if not isinstance(brain, BidsBrain):
        return None
    if brain.task:
        return brain.task
    runs = find_runs(study.resolve(brain.root), subject, space=brain.space, task=None)
    found = {match.group(1) for run in runs if (match := re.search(r"_task-([A-Za-z0-9]+)", run.bold.name))}
    return found.pop() if len(found) == 1 else None


def _methods(study: Study, lake: Lake, folder: Path) -> Written:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"## {heading}\n\n{said}\n\n" for heading, said in methods_text(study, lake))
    (folder / "METHODS.md").write_text(f"# Methods of the study {study.name}\n\n{text}", encoding="utf-8")
    cited = citation(study.name, versions(), synthetic=study.synthetic)
    (folder / "CITATION.cff").write_text(cited, encoding="utf-8")
    columns = {name: {c.name: c.doc for c in TABLES[name].columns} for name in (*SCORES, *BY_VOXEL)}
    (folder / "columns.json").write_text(json.dumps(columns, indent=2) + "\n", encoding="utf-8")
    yield "METHODS.md, CITATION.cff, columns.json (what each column of the scores is)"


PARTS: dict[str, Callable[[Study, Lake, Path], Written]] = {
    "embeddings": _embeddings,
    "judgments": _judgments,
    "rdms": _rdms,
    "scores": _scores,
    "maps": _maps,
    "methods": _methods,
}
"""What can be exported, in the order in which it is written."""
