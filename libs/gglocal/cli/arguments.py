"""Numbers on a command line, with bounds; argparse reports an invalid one in one sentence."""

from __future__ import annotations

import argparse
from collections.abc import Callable

MAX_SECONDS = 1e9
"""The longest duration that an option accepts, about thirty years."""
_MAX_DIGITS = 20


def whole(low: int, high: int) -> Callable[[str], int]:
    """A `type=` function for whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        digits = text.removeprefix("-")
        value = int(text) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from {low} to {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """A `type=` function for numbers from `low` to `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number from {low:g} to {high:g}")
        return value

    return read
