"""Feature spaces as they are: they judge nothing, their vectors are the embedding. Planted spaces are read here too."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.errors import AgentError, InputError
from affectlake.exclusions import Exclusions
from affectlake.formats.ids import AS_IS, IdSpelling, check_ids, match, respell
from affectlake.formats.matfeatures import read_folder, read_struct
from resources.agents.local import listed_items
from resources.agents.protocol import IntArray, Stimuli
from resources.agents.ratings import rating_vectors
from resources.study import FeaturesModel, Study

MATRIX_SUFFIXES = (".npy", ".npz", ".csv", ".gz", ".parquet")


class Space(NamedTuple):
    """Vectors of the study's items."""

    items: IntArray
    video_ids: pl.Series
    vectors: npt.NDArray[np.float64]
    names: tuple[str, ...]
    exclusions: Exclusions
    """Rows of the file that are not the study's."""


def feature_space(
    settings: FeaturesModel, stimuli: Stimuli, study: Study, exclusions: Exclusions
) -> tuple[pl.Series, npt.NDArray[np.float32], tuple[str, ...]]:
    """The vectors of a model that is a feature space.

    Parameters
    ----------
    settings : FeaturesModel
        Names a rating scale, or a file and its ids.
    stimuli : Stimuli
        The study's videos and ratings.
    study : Study
        Resolves the paths.
    exclusions : Exclusions
        Gets the file's rows that are not the study's.

    Returns
    -------
    video_ids : polars.Series of String
        Clips with a vector, in the order of their items.
    vectors : float32 array of shape (n, d)
        In the units of the source.
    names : tuple of str
        One a dimension.

    Raises
    ------
    InputError
        The matrix or its ids cannot be read, differ in length, or hold a value that is no finite number.
    AgentError
        No clip of the study has ratings on the scale.
    """
    if settings.scale is not None:
        items, vectors, names = rating_vectors(stimuli, settings.scale, settings.name)
        ids = listed_items(stimuli.videos).filter(pl.col("item").is_in(pl.Series(items).implode()))["video_id"]
        return ids, vectors.astype(np.float32), names
    if settings.file is None:
        raise AgentError("names neither a scale nor a file", where=f"model {settings.name}")
    ids_file = study.resolve(settings.ids) if settings.ids else None
    space = read_space(settings.name, study.resolve(settings.file), ids_file, stimuli.videos, settings.id)
    exclusions.update(space.exclusions)
    return space.video_ids, space.vectors.astype(np.float32), space.names


def read_space(
    model: str, file: Path, ids_file: Path | None, videos: pl.DataFrame, id_rule: IdSpelling = AS_IS
) -> Space:
    """A matrix with one row a clip, and the clip of each row, as vectors of the study's items.

    Parameters
    ----------
    model : str
        The model's name, for messages.
    file : Path
        ``.npy``, ``.npz`` with one array, ``.csv`` (also gzipped) with one column a dimension, or ``.parquet``;
        ``.mat`` with a struct L, or a folder with one ``.mat`` a clip.
    ids_file : Path or None
        The video id of each row, one a line. None where the file itself says: ``.mat`` and folders.
    videos : polars.DataFrame
        The table ``videos``.
    id_rule : IdSpelling
        How the ids are spelt.

    Returns
    -------
    Space
        Sorted by item.

    Raises
    ------
    InputError
        See :func:`feature_space`.
    """
    raw_ids, vectors, names = _read_with_ids(file, ids_file)
    ids = respell(raw_ids, id_rule)
    check_ids(ids, where=f"{ids_file} (line = row - 1)" if ids_file else str(file))
    bad = np.argwhere(~np.isfinite(vectors))
    if len(bad):
        row, column = bad[0].tolist()
        raise InputError(
            f"{len(bad)} values are no finite numbers; the first is {vectors[row, column]} for video {ids[row]!r}",
            where=f"{file}, row {row + 1}, column {names[column]}",
        )
    exclusions = Exclusions()
    known = listed_items(videos)
    frame = match(
        pl.DataFrame({"video_id": ids}).with_row_index("row"),
        known["video_id"],
        source=file,
        exclusions=exclusions,
        setting=f"models.{model}.id",
    )
    frame = frame.join(known, on="video_id").sort("item")
    return Space(frame["item"].to_numpy(), frame["video_id"], vectors[frame["row"].to_numpy()], names, exclusions)


def _read_with_ids(file: Path, ids_file: Path | None) -> tuple[pl.Series, npt.NDArray[np.float64], tuple[str, ...]]:
    """Ids as spelt, vectors and names of dimensions."""
    if ids_file is None:
        found = read_folder(file) if file.is_dir() else read_struct(file)
        return pl.Series("video_id", found.ids, dtype=pl.String), found.vectors, found.names
    vectors, names = _read_matrix(file)
    ids = read_ids(ids_file)
    if len(ids) != len(vectors):
        raise InputError(
            f"has {len(vectors)} rows, {ids_file.name} names {len(ids)}",
            where=str(file),
            remedy="`ids` holds the video id of each row of `file`, one a line and no header.",
        )
    return ids, vectors, names


def read_ids(path: Path) -> pl.Series:
    """Ids of a text file, one a line, as text; empty lines at the end do not count.

    Raises
    ------
    InputError
        The file cannot be read as UTF-8 text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as a list of ids ({error})", where=str(path)) from None
    return pl.Series("video_id", text.rstrip().splitlines(), dtype=pl.String)


def _read_matrix(path: Path) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    try:
        if path.suffix in (".npy", ".npz"):
            return _read_array(path)
        frame = (
            pl.read_parquet(path)
            if path.suffix == ".parquet"
            else pl.read_csv(path, glob=False, infer_schema_length=None)
        )
    except (pl.exceptions.PolarsError, OSError, ValueError, EOFError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"cannot be read as a matrix ({reason})",
            where=str(path),
            remedy=f"It may be {', '.join(MATRIX_SUFFIXES)}; arrays of Python objects are refused.",
        ) from None
    text = [name for name, dtype in frame.schema.items() if not dtype.is_numeric()]
    if text:
        raise InputError(
            f"column {text[0]!r} holds no numbers", where=str(path), remedy="Ids belong into the file `ids`, not here."
        )
    # a null becomes NaN, which the check of values reports
    return frame.select(pl.all().cast(pl.Float64)).to_numpy(), tuple(frame.columns)


def _read_array(path: Path) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    loaded = np.load(path, allow_pickle=False)
    if path.suffix == ".npz":
        with loaded:
            if len(loaded.files) != 1:
                raise ValueError(f"holds {len(loaded.files)} arrays, one is wanted")
            array = loaded[loaded.files[0]]
    else:
        array = loaded
    if array.ndim != 2 or array.dtype.kind not in "iufb" or 0 in array.shape:
        raise ValueError(f"is {array.dtype} of shape {array.shape}, numbers of shape (clips, dimensions) are wanted")
    return array.astype(np.float64), tuple(str(i) for i in range(array.shape[1]))
