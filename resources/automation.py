"""The section ``automation`` of the study file."""

from __future__ import annotations

from pydantic import Field

from resources.settings import Settings


class Automation(Settings):
    """What happens by itself once its schedules and sensors are switched on."""

    max_usd_per_night: float | None = Field(None, gt=0)
    """What the nightly top-up of judgments may spend on services, in even parts for the models that lack judgments;
    models that cost money are left out where absent."""
    fresh_days: float | None = Field(None, gt=0)
    """Results that are older count as overdue in the user interface; no age is too old where absent."""
    keep_days: int = Field(30, ge=7)
    """How far back `--as-of` and `explain` reach: `affectlake maintain` removes files of versions older than this."""
