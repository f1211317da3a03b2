"""Every table's contract: what one row is, columns, types, units, keys, partitions, and how it is written.

Contracts are data. The lake creates tables from them, refuses frames that break them, and shows their descriptions in
the user interface and in ``docs``. What belongs here: facts about tables. What does not: reading or writing them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from affectlake.errors import ContractError

PolarsType = DataType | DataTypeClass

PURPOSES = ("train", "test", "validation", "ceiling", "panel")
ORDERS = ("abc", "acb", "bac", "bca", "cab", "cba")


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    dtype: PolarsType
    doc: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """The contract of one table.

    Attributes
    ----------
    name : str
        Folder under the lake's root and name in SQL.
    doc : str
        What one row is.
    columns : tuple of Column
    key : tuple of str
        Columns that identify a row.
    partition_by : tuple of str
        Delta partition columns; the Dagster partitions of the same name where they are ``subject`` and ``model``.
    append : bool
        True where rows are only ever added; False where a partition is overwritten as a whole.
    constraints : dict of str to str
        Delta CHECK constraints, by name.
    volatile : tuple of str
        Columns that say how a row came to be, not what it says: they are left out of the data version.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    append: bool = False
    constraints: tuple[tuple[str, str], ...] = ()
    volatile: tuple[str, ...] = ()

    @property
    def schema(self) -> pl.Schema:
        """The polars schema of the table."""
        return pl.Schema({c.name: c.dtype for c in self.columns})

    @property
    def column(self) -> dict[str, Column]:
        """The columns by name."""
        return {c.name: c for c in self.columns}

    @property
    def leading(self) -> str | None:
        """The first column of the key that is no partition's; None where there is none."""
        return next((name for name in self.key if name not in self.partition_by), None)

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.schema)

    def validate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return ``frame`` with the contract's column order, or say what is wrong with it.

        Raises
        ------
        ContractError
            A column is missing, unknown or of another type, a value is null or NaN where the contract forbids it, or a
            key stands twice. The message names the table, the column and the first offending rows.
        """
        missing = [c.name for c in self.columns if c.name not in frame.columns]
        unknown = [c for c in frame.columns if c not in self.column]
        if missing or unknown:
            raise ContractError(
                f"columns differ from the contract: missing {missing or 'none'}, unknown {unknown or 'none'}",
                where=f"table {self.name}",
            )
        for column in self.columns:
            found = frame.schema[column.name]
            if found != column.dtype:
                raise ContractError(
                    f"is of type {found}, the contract says {column.dtype}",
                    where=f"table {self.name}, column {column.name}",
                )
            _check_values(self, frame, column)
        doubled = frame.select(self.key).is_duplicated()
        if doubled.any():
            raise ContractError(
                f"the key ({', '.join(self.key)}) stands more than once in {int(doubled.sum())} rows: "
                f"{_rows(frame.filter(doubled).select(self.key).sort(self.key))}",
                where=f"table {self.name}",
            )
        return frame.select(c.name for c in self.columns)


def _check_values(table: Table, frame: pl.DataFrame, column: Column) -> None:
    bad = pl.lit(False) if column.nullable else pl.col(column.name).is_null()
    if column.dtype.is_float():
        bad = bad | pl.col(column.name).is_nan().fill_null(False)
    elif column.dtype == pl.List(pl.Float32):
        bad = bad | pl.col(column.name).list.eval(pl.element().is_nan() | pl.element().is_null()).list.any()
    wrong = frame.filter(bad)
    if wrong.height:
        columns = list(dict.fromkeys((*table.key, column.name)))
        raise ContractError(
            f"is null or NaN in {wrong.height} of {frame.height} rows, which the contract forbids: "
            f"{_rows(wrong.select(columns))}",
            where=f"table {table.name}, column {column.name}",
        )


def _rows(frame: pl.DataFrame, n: int = 3) -> str:
    """The first rows in words, short enough for an error message."""
    text = "; ".join(
        ", ".join(f"{k}={_short(v)}" for k, v in row.items()) for row in frame.head(n).iter_rows(named=True)
    )
    return text + ("; ..." if frame.height > n else "")


def _short(value: object, width: int = 40) -> str:
    text = repr(value)
    return text if len(text) <= width else text[: width - 3] + "..."


_STAMP = (
    Column("code_version", pl.String, "hash of the code that computed the row"),
    Column("source_versions", pl.String, "JSON object: table -> Delta version that the row was computed from"),
)
STAMP_NAMES = tuple(c.name for c in _STAMP)
"""Columns that every result row carries: which code and which versions of its sources made it."""


def unstamped(table: Table) -> pl.Schema:
    """Return the schema of a table without the columns that say what computed a row."""
    return pl.Schema({name: dtype for name, dtype in table.schema.items() if name not in STAMP_NAMES})


ItemStatus = Literal["present", "missing", "unreadable", "no_media", "left"]

VIDEOS = Table(
    "videos",
    "One stimulus of the study. Known ids keep their item for ever; a clip that left the manifest keeps its row.",
    (
        Column("video_id", pl.String, "the user's own name of the clip, ^[A-Za-z0-9_-]{1,64}$"),
        Column("item", pl.Int32, "0-based row of this clip in every matrix; never reused"),
        Column("file", pl.String, "media file, relative to the media root", nullable=True),
        Column("sha256", pl.String, "SHA-256 of the media file, hexadecimal", nullable=True),
        Column("duration_s", pl.Float64, "duration in seconds", nullable=True),
        Column("frame_rate", pl.Float64, "frames per second", nullable=True),
        Column("width", pl.Int32, "pixels", nullable=True),
        Column("height", pl.Int32, "pixels", nullable=True),
        Column("status", pl.String, "present, missing (no such file), unreadable, no_media (none declared), left"),
        Column("detail", pl.String, "why a clip is not present", nullable=True),
        Column("duplicate_of", pl.String, "video_id of the canonical clip that this one repeats", nullable=True),
    ),
    key=("video_id",),
)

CAPTIONS = Table(
    "captions",
    "One description of one video.",
    (
        Column("video_id", pl.String, "clip described"),
        Column("caption", pl.Int32, "0-based number of the description within its clip, in file order"),
        Column("text", pl.String, "the description, untrusted text"),
    ),
    key=("video_id", "caption"),
)

RATINGS = Table(
    "ratings",
    "One rating of one video on one scale.",
    (
        Column("video_id", pl.String, "clip rated"),
        Column("scale", pl.String, "category (share of raters, 0..1) or dimension (1..9)"),
        Column("name", pl.String, "name of the category or dimension"),
        Column("value", pl.Float64, "the rating, in the units of its scale"),
    ),
    key=("video_id", "scale", "name"),
)

FRAMES = Table(
    "frames",
    "One sampled frame of one media file; files of the same content share their frames.",
    (
        Column("media_sha256", pl.String, "SHA-256 of the media file"),
        Column("sampled", pl.Int32, "frames asked of the file, evenly spaced"),
        Column("side_px", pl.Int32, "longest side asked, pixels"),
        Column("frame", pl.Int32, "0-based number of the sampled frame"),
        Column("time_s", pl.Float64, "presentation time in seconds"),
        Column("sha256", pl.String, "SHA-256 of the JPEG bytes, hexadecimal"),
        Column("width", pl.Int32, "pixels of the frame as it is here"),
        Column("height", pl.Int32, "pixels of the frame as it is here"),
        Column("jpeg", pl.Binary, "the frame as JPEG bytes"),
    ),
    key=("media_sha256", "sampled", "side_px", "frame"),
    append=True,
)

TRIPLETS = Table(
    "triplets",
    "One planned question: which of three items is the odd one out?",
    (
        Column("triplet_id", pl.Int64, "C(c,3) + C(b,2) + a: the rank of the set {a < b < c} among all sets"),
        Column("a", pl.Int32, "lowest item"),
        Column("b", pl.Int32, "middle item"),
        Column("c", pl.Int32, "highest item"),
        Column("purpose", pl.String, "train, test, validation, ceiling or panel; a set has one purpose only"),
        Column("wave", pl.Int32, "0-based number of the draw that added the question"),
        Column("position", pl.Int64, "0-based place in the random order of its purpose; training uses the first N"),
        Column("orders", pl.Int32, "presented orders asked: 1 (drawn at random) or 6 (all)"),
        Column("repeats", pl.Int32, "times that each order is asked"),
    ),
    key=("triplet_id",),
    partition_by=("purpose",),
    append=True,
    constraints=(("items_sorted", "a < b AND b < c"), ("asked", "orders IN (1, 6) AND repeats >= 1")),
)

JUDGMENTS = Table(
    "judgments",
    "One accepted answer of one model to one question.",
    (
        Column("model", pl.String, "the judge"),
        Column("triplet_id", pl.Int64, "the question"),
        Column("a", pl.Int32, "lowest item"),
        Column("b", pl.Int32, "middle item"),
        Column("c", pl.Int32, "highest item"),
        Column("presented", pl.String, "order shown, such as bca"),
        Column("repeat", pl.Int32, "0-based repeat of the same order"),
        Column("odd", pl.Int32, "item chosen as the odd one out"),
        Column("p_a", pl.Float32, "probability that a is odd, where the judge gives one", nullable=True),
        Column("p_b", pl.Float32, "probability that b is odd", nullable=True),
        Column("p_c", pl.Float32, "probability that c is odd", nullable=True),
        Column("prompt_version", pl.String, "version of the question's wording, or of the rule of a local judge"),
        Column("stimulus_version", pl.String, "version of the captions or media shown"),
        Column("caption_a", pl.Int32, "number of the caption of a that was shown; null: none or all", nullable=True),
        Column("caption_b", pl.Int32, "number of the caption of b that was shown", nullable=True),
        Column("caption_c", pl.Int32, "number of the caption of c that was shown", nullable=True),
        Column("model_asked", pl.String, "name of the model asked of the service", nullable=True),
        Column("model_returned", pl.String, "name of the model that answered", nullable=True),
        Column("tokens_in", pl.Int32, "input tokens", nullable=True),
        Column("tokens_out", pl.Int32, "output tokens", nullable=True),
        Column("cost_usd", pl.Float64, "price in US dollars", nullable=True),
        Column("latency_s", pl.Float32, "seconds from request to answer", nullable=True),
        Column("judged_at", pl.Datetime("us", "UTC"), "time of the answer"),
    ),
    key=("model", "triplet_id", "presented", "repeat", "prompt_version", "stimulus_version"),
    partition_by=("model",),
    append=True,
    constraints=(
        ("items_sorted", "a < b AND b < c"),
        ("odd_in_triplet", "odd = a OR odd = b OR odd = c"),
    ),
    volatile=("model_returned", "tokens_in", "tokens_out", "cost_usd", "latency_s", "judged_at"),
)

ATTEMPTS = Table(
    "attempts",
    "One physical answer that was not accepted as a judgment.",
    (
        Column("model", pl.String, "the judge"),
        Column("request_key", pl.String, "hash of model, versions, items, presented order and repeat"),
        Column("attempt", pl.Int32, "0-based number of the attempt at this key"),
        Column("triplet_id", pl.Int64, "the question"),
        Column("presented", pl.String, "order shown"),
        Column("repeat", pl.Int32, "0-based repeat of the same order"),
        Column("prompt_version", pl.String, "version of the question's wording"),
        Column("stimulus_version", pl.String, "version of the captions or media shown"),
        Column(
            "reason",
            pl.String,
            "refused, invalid, length, filtered, error, expired (its batch ended before it was asked), unperceived",
        ),
        Column("final", pl.Boolean, "true where the key was given up"),
        Column("raw", pl.String, "the answer as received, at most 2 kB, untrusted text", nullable=True),
        Column("tokens_in", pl.Int32, "input tokens", nullable=True),
        Column("tokens_out", pl.Int32, "output tokens", nullable=True),
        Column("cost_usd", pl.Float64, "price in US dollars", nullable=True),
        Column("attempted_at", pl.Datetime("us", "UTC"), "time of the answer"),
    ),
    key=("model", "request_key", "attempt"),
    partition_by=("model",),
    append=True,
    volatile=("tokens_in", "tokens_out", "cost_usd", "attempted_at"),
)

BATCHES = Table(
    "batches",
    "One batch of questions that was, or is about to be, sent to a service. Open are those intended or submitted.",
    (
        Column("model", pl.String, "the judge"),
        Column("shard", pl.String, "our name of the batch, random; the service keeps it where it can"),
        Column(
            "state",
            pl.String,
            "intended (written before it is sent), submitted, collected, failed (the service refused it as a whole), "
            "abandoned (it was never sent)",
        ),
        Column("batch_id", pl.String, "the service's name of the batch", nullable=True),
        Column("requests", pl.Int32, "questions in it"),
        Column("at_most_usd", pl.Float64, "upper bound of its price in US dollars", nullable=True),
        Column("intended_at", pl.Datetime("us", "UTC"), "when it was about to be sent"),
        Column("until", pl.Datetime("us", "UTC"), "when the service ends it at the latest", nullable=True),
        Column("closed_at", pl.Datetime("us", "UTC"), "when it was collected or given up", nullable=True),
        Column("accepted", pl.Int32, "answers accepted", nullable=True),
        Column("missing", pl.Int32, "questions without a line in the results; they are asked again", nullable=True),
        Column("surplus", pl.Int32, "lines of the results that stand twice or belong to no question", nullable=True),
        Column("detail", pl.String, "why it failed", nullable=True),
    ),
    key=("model", "shard"),
    partition_by=("model", "shard"),
)

BATCH_REQUESTS = Table(
    "batch_requests",
    "One question in an open batch. Rows go when the batch is closed.",
    (
        Column("model", pl.String, "the judge"),
        Column("shard", pl.String, "the batch"),
        Column("request_key", pl.String, "the question's custom id: hash of model, versions, items, order and repeat"),
        Column("triplet_id", pl.Int64, "the question"),
        Column("a", pl.Int32, "lowest item"),
        Column("b", pl.Int32, "middle item"),
        Column("c", pl.Int32, "highest item"),
        Column("presented", pl.String, "order shown"),
        Column("repeat", pl.Int32, "0-based repeat of the same order"),
        Column("prompt_version", pl.String, "version of the question's wording"),
        Column("stimulus_version", pl.String, "version of the captions or media shown"),
        Column("caption_a", pl.Int32, "number of the caption of a that was sent; null: none or all", nullable=True),
        Column("caption_b", pl.Int32, "number of the caption of b that was sent; null: none or all", nullable=True),
        Column("caption_c", pl.Int32, "number of the caption of c that was sent; null: none or all", nullable=True),
        Column("attempted", pl.Int32, "physical answers to it before"),
    ),
    key=("model", "shard", "request_key"),
    partition_by=("model", "shard"),
)

EMBEDDINGS = Table(
    "embeddings",
    "The vector of one item in one model's space.",
    (
        Column("model", pl.String, "whose space"),
        Column("video_id", pl.String, "clip"),
        Column("item", pl.Int32, "item of the clip"),
        Column("vector", pl.List(pl.Float32), "coordinates, one a dimension"),
        Column("n_judgments", pl.Int32, "training judgments that contain the item", nullable=True),
        Column("prompt_version", pl.String, "version that the space was learnt from", nullable=True),
        *_STAMP,
    ),
    key=("model", "video_id"),
    partition_by=("model",),
    volatile=STAMP_NAMES,
)

CORRELATION = pl.Struct({"scale": pl.String, "name": pl.String, "r": pl.Float64, "q": pl.Float64})

DIMENSIONS = Table(
    "dimensions",
    "One dimension of one model's space.",
    (
        Column("model", pl.String, "whose space"),
        Column("dimension", pl.Int32, "0-based, sorted by share"),
        Column("label", pl.String, "name made from the ratings that it goes with"),
        Column("kind", pl.String, "category, dimension, hybrid or none (no rating goes with it)"),
        Column("share", pl.Float64, "part of the total weight, 0..1"),
        Column("reproducibility", pl.Float64, "mean r with its match in other seeds' runs", nullable=True),
        Column("reproducibility_low", pl.Float64, "95 % confidence interval (Fisher z)", nullable=True),
        Column("reproducibility_high", pl.Float64, "95 % confidence interval (Fisher z)", nullable=True),
        Column(
            "split_half", pl.Float64, "the same, matched on half of the items and scored on the other", nullable=True
        ),
        Column("split_half_low", pl.Float64, "95 % confidence interval over runs and halves, Fisher z", nullable=True),
        Column("split_half_high", pl.Float64, "95 % confidence interval over runs and halves, Fisher z", nullable=True),
        Column("stability", pl.Float64, "r with its best match in a fit on 90 % of the judgments", nullable=True),
        Column("stability_low", pl.Float64, "95 % confidence interval, bootstrap over items", nullable=True),
        Column("stability_high", pl.Float64, "95 % confidence interval, bootstrap over items", nullable=True),
        Column("correlations", pl.List(CORRELATION), "Pearson r with each rating, BH-FDR q over all of them"),
        Column("proposed_label", pl.String, "label that an agent gave to the top clips' captions", nullable=True),
        Column("proposed_by", pl.String, "the agent: its model's name in the study", nullable=True),
        Column("proposal_prompt", pl.String, "all that the agent was told and shown", nullable=True),
        Column("proposal_attempts", pl.Int32, "answers that the agent gave, usable or not", nullable=True),
        *_STAMP,
    ),
    key=("model", "dimension"),
    partition_by=("model",),
    volatile=STAMP_NAMES,
)

EMBEDDING_QUALITY = Table(
    "embedding_quality",
    "How good one model's embedding is.",
    (
        Column("model", pl.String, "whose space"),
        Column("n_dimensions", pl.Int32, "dimensions kept"),
        Column("n_items", pl.Int32, "items of the scoring set with a vector"),
        Column("coverage", pl.Float64, "share of the scoring set with a vector, 0..1"),
        Column("n_train", pl.Int64, "training judgments used", nullable=True),
        Column("n_leaked", pl.Int64, "held-out judgments whose three items were trained on as well; 0", nullable=True),
        Column("n_test", pl.Int64, "held-out test judgments", nullable=True),
        Column("n_ties", pl.Int64, "test predictions that tied and count as wrong", nullable=True),
        Column("accuracy", pl.Float64, "held-out odd-one-out accuracy", nullable=True),
        Column("accuracy_low", pl.Float64, "95 % confidence interval over items", nullable=True),
        Column("accuracy_high", pl.Float64, "95 % confidence interval over items", nullable=True),
        Column("chance", pl.Float64, "accuracy under permuted answers", nullable=True),
        Column("chance_low", pl.Float64, "central 95 % of the permutations", nullable=True),
        Column("chance_high", pl.Float64, "central 95 % of the permutations", nullable=True),
        Column("ceiling", pl.Float64, "noise ceiling from repeats: mean share of the modal answer", nullable=True),
        Column("ceiling_low", pl.Float64, "95 % confidence interval over triplets", nullable=True),
        Column("ceiling_high", pl.Float64, "95 % confidence interval over triplets", nullable=True),
        Column("share_of_ceiling", pl.Float64, "accuracy / ceiling", nullable=True),
        Column("share_of_ceiling_low", pl.Float64, "95 % confidence interval, both errors", nullable=True),
        Column("share_of_ceiling_high", pl.Float64, "95 % confidence interval, both errors", nullable=True),
        Column("needed_95", pl.Float64, "weights an item that keep 95 % of the accuracy", nullable=True),
        Column("needed_95_low", pl.Float64, "95 % confidence interval, bootstrap over judgments", nullable=True),
        Column("needed_95_high", pl.Float64, "95 % confidence interval, bootstrap over judgments", nullable=True),
        Column("needed_99", pl.Float64, "weights an item that keep 99 % of the accuracy", nullable=True),
        Column("needed_99_low", pl.Float64, "95 % confidence interval, bootstrap over judgments", nullable=True),
        Column("needed_99_high", pl.Float64, "95 % confidence interval, bootstrap over judgments", nullable=True),
        Column("rsm_r", pl.Float64, "r of predicted and measured similarity of the validation items", nullable=True),
        Column("rsm_r_low", pl.Float64, "95 % confidence interval, bootstrap over pairs", nullable=True),
        Column("rsm_r_high", pl.Float64, "95 % confidence interval, bootstrap over pairs", nullable=True),
        Column("top3_27", pl.Float64, "top-3 nearest-centroid accuracy, 27 categories", nullable=True),
        Column("top3_27_low", pl.Float64, "95 % confidence interval over items", nullable=True),
        Column("top3_27_high", pl.Float64, "95 % confidence interval over items", nullable=True),
        Column("top3_27_chance", pl.Float64, "the same under permuted categories", nullable=True),
        Column("top3_27_chance_low", pl.Float64, "central 95 % of the permutations", nullable=True),
        Column("top3_27_chance_high", pl.Float64, "central 95 % of the permutations", nullable=True),
        Column("top3_34", pl.Float64, "top-3 nearest-centroid accuracy, 34 categories", nullable=True),
        Column("top3_34_low", pl.Float64, "95 % confidence interval over items", nullable=True),
        Column("top3_34_high", pl.Float64, "95 % confidence interval over items", nullable=True),
        Column("top3_34_chance", pl.Float64, "the same under permuted categories", nullable=True),
        Column("top3_34_chance_low", pl.Float64, "central 95 % of the permutations", nullable=True),
        Column("top3_34_chance_high", pl.Float64, "central 95 % of the permutations", nullable=True),
        Column("n_refused", pl.Int64, "questions given up as refused or invalid"),
        Column("l1", pl.Float64, "sparsity penalty used", nullable=True),
        Column("judgments_version", pl.Int64, "Delta version of judgments that was fitted", nullable=True),
        *_STAMP,
    ),
    key=("model",),
    partition_by=("model",),
    volatile=("judgments_version", *STAMP_NAMES),
)

CHECKPOINTS = Table(
    "checkpoints",
    "One run of a training on its way, for a killed one to go on with; empty where no training is under way.",
    (
        Column("model", pl.String, "whose space is learnt"),
        Column("seed", pl.Int64, "which run"),
        Column("belongs_to", pl.String, "hash of the judgments and settings that it may be gone on with"),
        Column("l1", pl.Float64, "sparsity penalty chosen or given"),
        Column("path", pl.String, "where l1 was chosen, JSON"),
        Column("warm", pl.Boolean, "true where the descent began from fitted weights"),
        Column("losses", pl.List(pl.Float64), "training cross-entropy (nats) of each twentieth of the way done"),
        Column("rng", pl.String, "state of the random generator as the descent began, JSON"),
        Column("steps", pl.Int64, "steps of the optimiser taken"),
        Column("width", pl.Int32, "columns of weights and moments"),
        Column("weights", pl.List(pl.Float32), "weights, row by row"),
        Column("first_moments", pl.List(pl.Float32), "the optimiser's mean gradients, row by row"),
        Column("second_moments", pl.List(pl.Float32), "the optimiser's mean squared gradients, row by row"),
        Column("intercepts", pl.List(pl.Float32), "position intercepts, log odds"),
        Column("intercept_moments", pl.List(pl.Float32), "the optimiser's moments of the intercepts"),
        Column("code_version", pl.String, "hash of the code that made it"),
    ),
    key=("model", "seed"),
    partition_by=("model",),
)

EMBEDDING_RUNS = Table(
    "embedding_runs",
    "The space that one run of a training ended with: what reproducibility is computed from.",
    (
        Column("model", pl.String, "whose space"),
        Column("seed", pl.Int64, "which run"),
        Column("item", pl.Int32, "item, dense 0..n-1"),
        Column("vector", pl.List(pl.Float32), "weights of the run's own dimensions, largest first"),
        Column(
            "belongs_to", pl.String, "hash of the settings and the code under which another training may begin with it"
        ),
        Column("n_random", pl.Int64, "training judgments when its line of trainings began with random weights"),
        *_STAMP,
    ),
    key=("model", "seed", "item"),
    partition_by=("model",),
    volatile=STAMP_NAMES,
)

EMBEDDING_CURVES = Table(
    "embedding_curves",
    "One point of a curve that describes one model's space.",
    (
        Column("model", pl.String, "whose space"),
        Column(
            "curve",
            pl.String,
            "l1_cross_entropy (nats, held-out training judgments), l1_accuracy, l1_dimensions: by l1; loss: training "
            "cross-entropy (nats) by share of the fit; accuracy_by_judgments: test accuracy of a single run by "
            "training judgments; "
            "accuracy_by_item: test accuracy by item; rsm_r_by_dimensions: fit of similarities by dimensions kept; "
            "position_intercept: log odds of the place shown, 1 to 3, to be named odd, where they were fitted along",
        ),
        Column("x", pl.Float64, "place on the axis that the curve's name says"),
        Column("y", pl.Float64, "value there"),
        Column("y_low", pl.Float64, "95 % confidence interval", nullable=True),
        Column("y_high", pl.Float64, "95 % confidence interval", nullable=True),
        *_STAMP,
    ),
    key=("model", "curve", "x"),
    partition_by=("model",),
    volatile=STAMP_NAMES,
)

DIMENSION_LINKS = Table(
    "dimension_links",
    "Two dimensions, of one model or of two, that are joined in the graph or matched one to one.",
    (
        Column("model_a", pl.String, "first model, in name order"),
        Column("dimension_a", pl.Int32, "its dimension"),
        Column("model_b", pl.String, "second model; the same within one space"),
        Column("dimension_b", pl.Int32, "its dimension"),
        Column("n_items", pl.Int32, "items with a vector in both"),
        Column("r", pl.Float64, "Pearson r over these items"),
        Column("matched", pl.Boolean, "partners in the one-to-one matching with the largest sum of r"),
        Column("edge", pl.Boolean, "r above 0.2: joined in the graph"),
        *_STAMP,
    ),
    key=("model_a", "dimension_a", "model_b", "dimension_b"),
    volatile=STAMP_NAMES,
)

DIMENSION_GRAPH = Table(
    "dimension_graph",
    "One dimension as a node of the graph over all models' dimensions.",
    (
        Column("model", pl.String, "whose space"),
        Column("dimension", pl.Int32, "0-based, as in dimensions"),
        Column("degree", pl.Int32, "dimensions that it is joined with"),
        Column("community", pl.Int32, "Louvain community, 0 the largest; null where isolated", nullable=True),
        Column("pagerank", pl.Float64, "PageRank, edges weighted by r; null where isolated", nullable=True),
        *_STAMP,
    ),
    key=("model", "dimension"),
    volatile=STAMP_NAMES,
)

ROI_TIMESERIES = Table(
    "roi_timeseries",
    "Mean BOLD of one region at one volume.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("session", pl.String, "session label, empty where the study has none"),
        Column("run", pl.Int32, "1-based run of the subject, in order of acquisition"),
        Column("volume", pl.Int32, "0-based volume of the run"),
        Column("roi", pl.String, "region"),
        Column("value", pl.Float32, "mean over the region's usable voxels, in the units of the file"),
    ),
    key=("subject", "session", "run", "volume", "roi"),
    partition_by=("subject",),
)

RESPONSES = Table(
    "responses",
    "The response to one stimulus presentation in one block of at most 4,096 voxels.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("session", pl.String, "session label, empty where the study has none"),
        Column("run", pl.Int32, "1-based run of the subject, in order of acquisition"),
        Column("trial", pl.Int32, "0-based presentation of the subject"),
        Column("video_id", pl.String, "clip shown, duplicates resolved to their canonical clip"),
        Column("voxel_block", pl.Int32, "0-based block; voxel = 4,096 x block + place in values"),
        Column("values", pl.List(pl.Float32), "responses, z-scored within the run"),
    ),
    key=("subject", "trial", "voxel_block"),
    partition_by=("subject",),
)

VOXELS = Table(
    "voxels",
    "One voxel of a subject, used or dropped; a whole region, without a place, where only its time series is known.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("voxel", pl.Int32, "0-based voxel of the subject, in C order of i, j, k"),
        Column("i", pl.Int32, "voxel index", nullable=True),
        Column("j", pl.Int32, "voxel index", nullable=True),
        Column("k", pl.Int32, "voxel index", nullable=True),
        Column("x_mm", pl.Float64, "position in the space of the images, mm", nullable=True),
        Column("y_mm", pl.Float64, "position, mm", nullable=True),
        Column("z_mm", pl.Float64, "position, mm", nullable=True),
        Column("rois", pl.List(pl.String), "regions that the voxel belongs to"),
        Column("status", pl.String, "used, constant or nan (in at least one run)"),
    ),
    key=("subject", "voxel"),
    partition_by=("subject",),
)

ENCODING_SCORES = Table(
    "encoding_scores",
    "How well one model predicts one region of one subject.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("model", pl.String, "whose space"),
        Column("roi", pl.String, "region"),
        Column("n_stimuli", pl.Int32, "presentations scored"),
        Column("coverage", pl.Float64, "share of the scoring set's presentations that the model covers, 0..1"),
        Column("n_voxels", pl.Int32, "voxels of the region"),
        Column("n_scored", pl.Int32, "voxels scored"),
        Column("n_dropped", pl.Int32, "voxels constant or NaN in the images"),
        Column("n_constant_prediction", pl.Int32, "scored voxels with a constant prediction in a fold (r = 0)"),
        Column("mean_r", pl.Float64, "mean over voxels of the cross-validated Pearson r", nullable=True),
        Column("median_r", pl.Float64, "median over voxels", nullable=True),
        Column(
            "mean_r2", pl.Float64, "mean over voxels of R2 within folds; below 0: worse than the mean", nullable=True
        ),
        Column(
            "share_significant",
            pl.Float64,
            "share of voxels with q < .05 (BH-FDR over all voxels; n permutations give no p below 1 / (n + 1))",
            nullable=True,
        ),
        Column("p", pl.Float64, "permutation p of the region's mean r, one-sided", nullable=True),
        Column("q", pl.Float64, "BH-FDR over the regions of this subject and model", nullable=True),
        Column(
            "ceiling",
            pl.Float64,
            "noise ceiling of the region's mean r, where repeats of clips give one (else see noise_ceilings)",
            nullable=True,
        ),
        Column("normalised_r", pl.Float64, "mean_r / ceiling", nullable=True),
        *_STAMP,
    ),
    key=("subject", "model", "roi"),
    partition_by=("subject", "model"),
    volatile=STAMP_NAMES,
)

NOISE_CEILINGS = Table(
    "noise_ceilings",
    "How far the responses of one region of one subject can be reproduced, as a bound on a model's mean r.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("roi", pl.String, "region"),
        Column(
            "source",
            pl.String,
            "repeats: of clips in this subject; subjects: what a signal common to all explains here, which a model "
            "with weights of its own for each subject can exceed",
        ),
        Column("n_stimuli", pl.Int32, "clips that it is estimated from"),
        Column("n_voxels", pl.Int32, "voxels that it is estimated from"),
        Column("agreement", pl.Float64, "correlation of two repeats, or with the mean of the others", nullable=True),
        Column("ceiling", pl.Float64, "bound on a model's mean r; from subjects not a strict one", nullable=True),
        Column("ceiling_low", pl.Float64, "95 % confidence interval, bootstrap over clips", nullable=True),
        Column("ceiling_high", pl.Float64, "95 % confidence interval, bootstrap over clips", nullable=True),
        Column("reason", pl.String, "why there is no ceiling", nullable=True),
        *_STAMP,
    ),
    key=("subject", "roi", "source"),
    volatile=STAMP_NAMES,
)

RUN_SCORES = Table(
    "run_scores",
    "How well one model predicts one region in one run.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("model", pl.String, "whose space"),
        Column("roi", pl.String, "region"),
        Column("run", pl.Int32, "held-out run"),
        Column("n", pl.Int32, "presentations in the run"),
        Column("mean_r", pl.Float64, "mean over voxels of the Pearson r within the run"),
        Column("mean_r2", pl.Float64, "mean over voxels of R2 within the run; below 0: worse than the run's mean"),
    ),
    key=("subject", "model", "roi", "run"),
    partition_by=("subject", "model"),
)

VOXEL_SCORES = Table(
    "voxel_scores",
    "How well one model predicts one voxel.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("model", pl.String, "whose space"),
        Column("voxel", pl.Int32, "voxel of the subject"),
        Column("r", pl.Float32, "cross-validated Pearson r"),
        Column("alpha", pl.Float64, "median over folds of the chosen ridge penalty"),
        Column("p", pl.Float64, "one-sided, of permutations or analytic (encoding.voxel_p)", nullable=True),
        Column("q", pl.Float64, "BH-FDR over the voxels of this subject and model", nullable=True),
        Column("p_max", pl.Float64, "family-wise p over all voxels: permutations' highest r", nullable=True),
    ),
    key=("subject", "model", "voxel"),
    partition_by=("subject", "model"),
)

RSA_SCORES = Table(
    "rsa_scores",
    "How well one model's similarities match those of one region.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("model", pl.String, "whose space"),
        Column("roi", pl.String, "region"),
        Column(
            "method",
            pl.String,
            "pearson or spearman, of the upper triangles; with partial_ before it controls are partialled out",
        ),
        Column("n_stimuli", pl.Int32, "stimuli compared"),
        Column("n_voxels", pl.Int32, "voxels of the region used"),
        Column("rho", pl.Float64, "correlation of the two similarity matrices"),
        Column("p", pl.Float64, "permutation of stimuli, one-sided", nullable=True),
        Column("q", pl.Float64, "BH-FDR over the regions of this subject, model and method", nullable=True),
        *_STAMP,
    ),
    key=("subject", "model", "roi", "method"),
    partition_by=("subject", "model"),
    volatile=STAMP_NAMES,
)

SEARCHLIGHT_SCORES = Table(
    "searchlight_scores",
    "How well one model's similarities match those of the voxels around one voxel.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("model", pl.String, "whose space"),
        Column("voxel", pl.Int32, "centre: voxel of the subject; centres with too few voxels around them have no row"),
        Column("n_stimuli", pl.Int32, "stimuli compared"),
        Column("rho", pl.Float32, "Pearson r of the upper triangles of the two similarity matrices"),
        Column("factor_error", pl.Float32, "largest error of rho that the model's factors made at 16 centres checked"),
        *_STAMP,
    ),
    key=("subject", "model", "voxel"),
    partition_by=("subject",),
    volatile=STAMP_NAMES,
)

DIMENSION_R = pl.Struct({"dimension": pl.Int32, "r": pl.Float64})

DECODING_SCORES = Table(
    "decoding_scores",
    "How well what one model says of the clips is read from one region of one subject.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("model", pl.String, "whose space: ratings, or dimensions of an embedding"),
        Column("roi", pl.String, "region"),
        Column("n_stimuli", pl.Int32, "presentations scored"),
        Column("n_voxels", pl.Int32, "voxels of the region used"),
        Column("n_dimensions", pl.Int32, "scores decoded"),
        Column("mean_r", pl.Float64, "mean over dimensions of the cross-validated Pearson r"),
        Column("identification", pl.Float64, "pairwise identification accuracy within held-out folds; chance is .5"),
        Column("p_r", pl.Float64, "permutation p of mean_r, one-sided", nullable=True),
        Column("p", pl.Float64, "permutation p of identification, one-sided", nullable=True),
        Column("q", pl.Float64, "BH-FDR of p over the regions of this subject and model", nullable=True),
        Column("by_dimension", pl.List(DIMENSION_R), "r of each dimension"),
        *_STAMP,
    ),
    key=("subject", "model", "roi"),
    partition_by=("subject",),
    volatile=STAMP_NAMES,
)

SUBJECT_DIFFERENCE = pl.Struct(
    {
        "subject": pl.String,
        "difference": pl.Float64,
        "ci_low": pl.Float64,
        "ci_high": pl.Float64,
        "n_runs": pl.Int32,
    }
)

COMPARISONS = Table(
    "comparisons",
    "Model A against model B in one region, paired over subjects.",
    (
        Column("roi", pl.String, "region"),
        Column("metric", pl.String, "encoding (mean r), rsa (Pearson's rho), rsa_METHOD, searchlight (mean rho)"),
        Column("model_a", pl.String, "first model, in name order"),
        Column("model_b", pl.String, "second model"),
        Column("n_subjects", pl.Int32, "subjects with both"),
        Column("mean_difference", pl.Float64, "mean over subjects of A minus B"),
        Column("t", pl.Float64, "paired t, n_subjects - 1 degrees of freedom", nullable=True),
        Column("p", pl.Float64, "two-sided", nullable=True),
        Column("q", pl.Float64, "BH-FDR over regions, for this pair and metric", nullable=True),
        Column("ci_low", pl.Float64, "95 % confidence interval of the mean difference", nullable=True),
        Column("ci_high", pl.Float64, "95 % confidence interval of the mean difference", nullable=True),
        Column(
            "by_subject",
            pl.List(SUBJECT_DIFFERENCE),
            "each subject's difference; 95 % interval over its runs (encoding)",
        ),
        *_STAMP,
    ),
    key=("roi", "metric", "model_a", "model_b"),
    volatile=STAMP_NAMES,
)

VARIANCE_PARTITION = Table(
    "variance_partition",
    "Unique and shared variance of sets of models in one region.",
    (
        Column("subject", pl.String, "whose brain"),
        Column("roi", pl.String, "region"),
        Column("set", pl.String, "models compared, joined by +"),
        Column("part", pl.String, "models that share this part and no other of the set, joined by +"),
        Column("r2", pl.Float64, "mean over voxels of the explained variance of the part"),
        *_STAMP,
    ),
    key=("subject", "roi", "set", "part"),
    partition_by=("subject",),
    volatile=STAMP_NAMES,
)

REPORT = Table(
    "report",
    "One file of the report: a page of the site that is written beside the study.",
    (
        Column("file", pl.String, "name of the file in the folder `report` beside the study file"),
        Column("title", pl.String, "what the page shows"),
        Column("bytes", pl.Int64, "size of the file in bytes"),
        Column("sha256", pl.String, "SHA-256 of the file, hexadecimal"),
        *_STAMP,
    ),
    key=("file",),
    volatile=STAMP_NAMES,
)

EXCLUSIONS = Table(
    "exclusions",
    "Something of the input that was not used, and why: an unknown id, a later presentation, an unusable file.",
    (
        Column("stage", pl.String, "table that left it out"),
        Column("partition", pl.String, "its partition, - where there is none"),
        Column("source", pl.String, "file that it came from"),
        Column("reason", pl.String, "unknown_id, duplicate_presentation, unreadable, empty_run, no_events, ..."),
        Column("what", pl.String, "id, row or voxel left out"),
        Column("n", pl.Int64, "how many rows of the source"),
    ),
    key=("stage", "partition", "source", "reason", "what"),
    partition_by=("stage", "partition"),
)

MATERIALIZATIONS = Table(
    "materializations",
    "One finished computation of one table's partition: what it was made from. The newest row decides what is current.",
    (
        Column("table", pl.String, "table written"),
        Column("partition", pl.String, "partition written, - where there is none, model|subject where both"),
        Column("fingerprint", pl.String, "hash of code, settings, files and data versions that went in"),
        Column("data_version", pl.String, "hash of the content that came out"),
        Column("code_version", pl.String, "hash of the code that computed it"),
        Column("source_versions", pl.String, "JSON object: table -> Delta version read"),
        Column("delta_version", pl.Int64, "Delta version of the table after the write"),
        Column("rows", pl.Int64, "rows of the partition"),
        Column("run_id", pl.String, "Dagster run"),
        Column("finished_at", pl.Datetime("us", "UTC"), "time of the write"),
    ),
    key=("table", "partition", "finished_at", "run_id"),
    append=True,
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        VIDEOS,
        CAPTIONS,
        RATINGS,
        FRAMES,
        TRIPLETS,
        JUDGMENTS,
        ATTEMPTS,
        BATCHES,
        BATCH_REQUESTS,
        EMBEDDINGS,
        DIMENSIONS,
        EMBEDDING_QUALITY,
        EMBEDDING_RUNS,
        EMBEDDING_CURVES,
        CHECKPOINTS,
        DIMENSION_LINKS,
        DIMENSION_GRAPH,
        ROI_TIMESERIES,
        RESPONSES,
        VOXELS,
        NOISE_CEILINGS,
        ENCODING_SCORES,
        RUN_SCORES,
        VOXEL_SCORES,
        RSA_SCORES,
        SEARCHLIGHT_SCORES,
        DECODING_SCORES,
        COMPARISONS,
        VARIANCE_PARTITION,
        REPORT,
        EXCLUSIONS,
        MATERIALIZATIONS,
    )
}
