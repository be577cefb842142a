"""Splits: the first rows of a recording are its baseline, all later rows are test rows; halves for cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

from model_training.natural_order import natural

BASELINE_ROWS = 400
"""Rows 0 to 399 of a recording count as normal. Scaling is fitted on them, and training may use them."""

NORMAL_GROUP = "anomaly-free"
NORMAL_TRAINING_ROWS = 2350
"""In a recording of `NORMAL_GROUP`, the rows before this one may train."""
NORMAL_END = 4700
PIECE_TEST_ROWS = 750
PIECE_ROWS = BASELINE_ROWS + PIECE_TEST_ROWS


def pieces(rows: int) -> tuple[list[slice], list[slice]]:
    """Cut a recording of `NORMAL_GROUP` into pieces of `PIECE_ROWS`, each evaluated as a separate recording.

    Args:
        rows: number of rows of the recording.

    Returns:
        Complete pieces of rows 2350 to 4699, or of all rows if the recording is too short for one of these; and complete pieces of
        the rows from 4700 on.
    """
    begin, end = (NORMAL_TRAINING_ROWS, min(rows, NORMAL_END)) if rows >= NORMAL_TRAINING_ROWS + PIECE_ROWS else (0, rows)
    return _whole(begin, end), _whole(NORMAL_END, rows)


def halves(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split recordings into two halves: alternately in natural order of their names."""
    ordered = sorted(names, key=natural)
    return ordered[::2], ordered[1::2]


def _whole(begin: int, end: int) -> list[slice]:
    return [slice(at, at + PIECE_ROWS) for at in range(begin, end - PIECE_ROWS + 1, PIECE_ROWS)]
