"""Numbers as they are printed: no more digits than they carry."""

from __future__ import annotations

ABSENT = "\u2013"
"""Stands where there is no value."""


def coefficient(value: float | None, digits: int = 2) -> str:
    """A correlation, a share or a difference, with a true minus."""
    if value is None:
        return ABSENT
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "\u2212")


def probability(value: float | None) -> str:
    """A p or a q: three digits, and never nothing."""
    if value is None:
        return ABSENT
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def count(value: int | None) -> str:
    """A whole number with its thousands apart."""
    return ABSENT if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A share in per cent."""
    return ABSENT if value is None else f"{100 * value:.0f} %"


def interval(value: float | None, low: float | None, high: float | None, digits: int = 2) -> str:
    """A value with its interval, where it has one."""
    if value is None or low is None or high is None:
        return coefficient(value, digits)
    return f"{coefficient(value, digits)} [{coefficient(low, digits)}, {coefficient(high, digits)}]"


def plural(n: int, noun: str) -> str:
    """``3 clips``, ``1 clip``."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")
