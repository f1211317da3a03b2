"""What tokens cost: a table that is data, and that a study can add to and override."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from affectlake.errors import InputError
from resources.study import Study

_DATED = r"(?:-latest|[-@]\d{4}-?\d{2}-?\d{2})?$"


OVERHEAD_TOKENS = 1000
"""For the system text, the schema and the frame of a request; far more than they are."""

QUESTION_TOKENS = 100
"""The same for each question of a request."""


class Rate(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def usd(self, tokens_in: float, tokens_out: float) -> float:
        """The price of so many tokens in US dollars."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6

    def at_most(self, questions: Iterable[int], max_tokens: int) -> float:
        """Upper bound of what a request costs whose questions have at most so many tokens each."""
        sizes = [tokens + QUESTION_TOKENS for tokens in questions]
        return self.usd(sum(sizes) + OVERHEAD_TOKENS, max_tokens * len(sizes))


class Price(Rate):
    """What a model costs in real time, and how that changes elsewhere."""

    batch: float = Field(1.0, ge=0, le=1)
    """Share of the price that is charged in a batch."""
    decisions: Rate | None = None
    """Price of decisions, where the model gives them."""

    def rate(self, mode: str, api: str = "") -> Rate | None:
        """The price for a mode (realtime or batch) and an interface; None where it is not known."""
        if api == "decisions":
            return self.decisions
        return Rate(input=self.input * self.batch, output=self.output * self.batch) if mode == "batch" else self


_TABLE = TypeAdapter(dict[str, Price])


@dataclass(frozen=True)
class Prices:
    """Prices by model."""

    table: dict[str, Price]

    def of(self, model: str) -> Price | None:
        """The price of a model id, by the longest name that fits; None where nobody has written one down."""
        spelt = model.replace(".", "-")
        fits = [n for n in self.table if re.search(rf"(?:^|[-/]){re.escape(n.replace('.', '-'))}{_DATED}", spelt)]
        return self.table[max(fits, key=len)] if fits else None


def read_prices(study: Study) -> Prices:
    """The shipped prices, with the study's own before them.

    Raises
    ------
    InputError
        The study's price file cannot be read.
    """
    shipped = files("resources.agents.service").joinpath("prices.yaml").read_text(encoding="utf-8")
    table = _TABLE.validate_python(yaml.safe_load(shipped))
    if study.prices is not None:
        table |= _own(study.resolve(study.prices))
    return Prices(table)


def _own(path: Path) -> dict[str, Price]:
    try:
        return _TABLE.validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise InputError(
            f"is no table of prices ({str(error).splitlines()[0][:200]})",
            where=str(path),
            remedy="One line a model, US dollars per million tokens: `my-model: {input: 0.5, output: 2, batch: 0.5}`.",
        ) from None
