"""Where tensors live: the graphics card if there is one, and a clear refusal where a wanted one is not there."""

from __future__ import annotations

from typing import Literal

import dagster as dg

from affectlake.errors import DeviceError

Choice = Literal["auto", "cuda", "mps", "cpu"]


class DeviceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The device that training and encoding run on.

    ``auto`` takes cuda, then mps, then cpu; an explicit choice that is not there is an error, never a silent fallback.
    """

    choice: Choice = "auto"

    def pick(self) -> str:
        """Name of the device to use.

        Raises
        ------
        DeviceError
            The chosen device is not there; the message says what was found.
        """
        found = available()
        if self.choice == "auto":
            return found[0]
        if self.choice not in found:
            raise DeviceError(
                f"device {self.choice!r} was asked for, but only {', '.join(found)} was found",
                remedy="Choose `auto`, or check the driver with `affectlake doctor`.",
            )
        return self.choice

    def describe(self) -> dict[str, dg.MetadataValue]:
        """The device, its memory and the precision, for an asset's metadata."""
        import torch

        device = self.pick()
        facts: dict[str, dg.MetadataValue] = {
            "device": dg.MetadataValue.text(device),
            "precision": dg.MetadataValue.text("float32"),
        }
        if device == "cuda":
            card = torch.cuda.get_device_properties(0)
            facts["device_name"] = dg.MetadataValue.text(card.name)
            facts["device_memory_gib"] = dg.MetadataValue.float(card.total_memory / 2**30)
        return facts


def available() -> list[Choice]:
    """Devices that are there, best first."""
    import torch

    found: list[Choice] = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]
