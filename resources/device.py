"""Where tensors live: the graphics card if there is one, and a clear refusal where a wanted one is not there."""

from __future__ import annotations

import os
import platform
from typing import Literal, cast, get_args

import dagster as dg

from affectlake.errors import DeviceError

Choice = Literal["auto", "cuda", "mps", "cpu"]


DEVICE_VARIABLE = "AFFECTLAKE_DEVICE"
RIDGE = "float64 designs, float32 responses"
"""What ridge regression computes in, for :meth:`DeviceResource.describe`."""
ABLE: tuple[Choice, ...] = ("cuda", "cpu")
"""Devices that the fits run on. Apple's mps has no 64-bit numbers, which ridge regression is solved in."""


class DeviceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The device that training and encoding run on.

    ``auto`` takes the best that is there and able; an explicit choice that is not there is an error, never a silent
    fallback.
    """

    choice: Choice = "auto"

    def pick(self, able: tuple[Choice, ...] = ABLE) -> Choice:
        """Name of the device to use, of those that the work is ``able`` to run on.

        Raises
        ------
        DeviceError
            The chosen device is not there, or the work cannot use it; the message says what was found.
        """
        found = available()
        if self.choice == "auto":
            return next(device for device in found if device in able)
        if self.choice not in found:
            raise DeviceError(
                f"device {self.choice!r} was asked for, but only {', '.join(found)} was found",
                remedy=f"Set {DEVICE_VARIABLE} to auto, or check the driver with `affectlake doctor`.",
            )
        if self.choice not in able:
            raise DeviceError(
                f"device {self.choice!r} is there, but this needs one of {', '.join(able)}",
                remedy=f"Set {DEVICE_VARIABLE} to auto.",
            )
        return self.choice

    def describe(self, precision: str = "float32") -> dict[str, dg.MetadataValue]:
        """The device, its memory in GiB and the precision computed in, for an asset's metadata."""
        device = self.pick()
        name, memory = _card() if device == "cuda" else (platform.processor() or platform.machine(), _memory())
        return {
            "device": dg.MetadataValue.text(device),
            "device_name": dg.MetadataValue.text(name),
            "device_memory_gib": dg.MetadataValue.float(round(memory / 2**30, 1)),
            "precision": dg.MetadataValue.text(precision),
        }


def from_environment() -> DeviceResource:
    """The device that AFFECTLAKE_DEVICE names, else the best.

    Raises
    ------
    DeviceError
        It names none.
    """
    word = os.environ.get(DEVICE_VARIABLE) or "auto"
    if word not in get_args(Choice):
        raise DeviceError(
            f"there is no device {word!r}", where=DEVICE_VARIABLE, remedy=f"Choose {', '.join(get_args(Choice))}."
        )
    return DeviceResource(choice=cast(Choice, word))


def _card() -> tuple[str, int]:
    import torch

    card = torch.cuda.get_device_properties(0)
    return card.name, card.total_memory


def _memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available() -> list[Choice]:
    """Devices that are there, best first."""
    import torch

    found: list[Choice] = []
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]
