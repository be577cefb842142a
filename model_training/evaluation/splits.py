"""What counts: the first rows of a recording are its normal baseline, all later ones are test; halves for crosswise choices."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

BASELINE_ROWS = 400
"""Rows 0 to 399 of a recording are normal: scaling is fitted on them, training may use them."""

NORMAL_GROUP = "anomaly-free"
NORMAL_TRAINING_ROWS = 2350
"""Of a recording in `FREE_GROUP`, the rows before this one may train."""
NORMAL_END = 4700
PIECE_TEST_ROWS = 750
PIECE_ROWS = BASELINE_ROWS + PIECE_TEST_ROWS

Item = TypeVar("Item")


def pieces(rows: int) -> tuple[list[slice], list[slice]]:
    """How a recording in `FREE_GROUP` is cut into stretches of `PIECE_ROWS`, each judged as a recording of its own.

    Args:
        rows: of the recording.

    Returns:
        Whole pieces of rows 2350 to 4699, or, of a recording that ends before one of them is whole, of all its rows;
        and whole pieces of the rows from 4700 on.
    """
    begin, end = (NORMAL_TRAINING_ROWS, min(rows, NORMAL_END)) if rows >= NORMAL_TRAINING_ROWS + PIECE_ROWS else (0, rows)
    return _whole(begin, end), _whole(NORMAL_END, rows)


def halves(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Two halves of the recordings: every other one in the order of their names, numbers in them counted as numbers."""
    ordered = sorted(names, key=natural)
    return ordered[::2], ordered[1::2]


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts `valve1/2` before `valve1/10`."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def _whole(begin: int, end: int) -> list[slice]:
    return [slice(at, at + PIECE_ROWS) for at in range(begin, end - PIECE_ROWS + 1, PIECE_ROWS)]
