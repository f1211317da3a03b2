"""Ctrl-C stops the program wherever it arrives."""

from __future__ import annotations

import os
import signal
import sys
import time
import weakref
from collections.abc import Iterator

import pytest

from dagster_project.interrupts import Interrupts


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """Python's own handler, whatever other tests of this process left."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Thing:
    """Something that a weak reference can point at."""


def _press_control_c(_: object = None) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # bytecodes, so that the handler runs here
        pass


def test_an_interrupt_that_python_swallows_in_a_callback_still_stops_the_program() -> None:
    thing = Thing()
    reference = weakref.ref(thing, _press_control_c)
    with Interrupts():
        del thing
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)
    assert reference() is None


def test_an_interrupt_that_was_only_noted_is_found_by_the_next_look() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with Interrupts() as interrupts:
            interrupts.check()
            _press_control_c()
            with pytest.raises(KeyboardInterrupt):
                interrupts.check()
            interrupts.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_errors_in_callbacks_are_shown_as_ever() -> None:
    shown: list[type[BaseException]] = []
    before, sys.unraisablehook = sys.unraisablehook, lambda lost: shown.append(lost.exc_type)
    try:
        with Interrupts():
            thing = Thing()
            reference = weakref.ref(thing, lambda _: int("not a number"))
            del thing
    finally:
        sys.unraisablehook = before
    assert reference() is None
    assert shown == [ValueError]
