"""What all sections of the study file are made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class IdRule(Settings):
    """How one source spells the study's video ids: strip, then pad with zeros."""

    strip_prefix: str = ""
    strip_suffix: str = ""
    pad: int = Field(0, ge=0, le=64)
