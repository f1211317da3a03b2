"""The device: the best that is there, and no silent fallback from an explicit choice."""

from __future__ import annotations

import pytest

from affectlake.errors import DeviceError
from resources.device import ABLE, DEVICE_VARIABLE, DeviceResource, available, from_environment


def test_the_best_device_that_is_there_is_taken() -> None:
    assert DeviceResource().pick() == next(d for d in available() if d in ABLE)
    assert DeviceResource(choice="cpu").pick() == "cpu"


def test_a_choice_that_is_not_there_is_refused_with_what_was_found() -> None:
    absent = next((d for d in ("cuda", "mps") if d not in available()), None)
    if absent is None:
        pytest.skip("this machine has every kind of device")
    with pytest.raises(DeviceError, match=f"'{absent}' was asked for, but only .*cpu was found"):
        DeviceResource(choice=absent).pick()


def test_a_device_that_is_there_but_cannot_do_the_work_is_refused() -> None:
    with pytest.raises(DeviceError, match="this needs one of cuda"):
        DeviceResource(choice="cpu").pick(able=("cuda",))


def test_device_memory_and_precision_are_told() -> None:
    told = {name: value.value for name, value in DeviceResource(choice="cpu").describe("float64").items()}
    assert (told["device"], told["precision"]) == ("cpu", "float64")
    assert told["device_memory_gib"] > 0  # type: ignore[operator]
    assert told["device_name"]


def test_the_environment_chooses_and_a_wrong_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE_VARIABLE, "cpu")
    assert from_environment().pick() == "cpu"
    monkeypatch.setenv(DEVICE_VARIABLE, "gpu")
    with pytest.raises(DeviceError, match="there is no device 'gpu'"):
        from_environment()


@pytest.mark.gpu
def test_a_graphics_card_is_named_with_its_memory() -> None:
    if "cuda" not in available():
        pytest.skip("no CUDA device is here")
    told = {name: value.value for name, value in DeviceResource(choice="cuda").describe().items()}
    assert told["device"] == "cuda"
    assert told["device_memory_gib"] > 1  # type: ignore[operator]
