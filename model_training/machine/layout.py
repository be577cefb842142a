"""The time scales of a model, from the length of its history."""

from __future__ import annotations

from dataclasses import dataclass

SCALES = (1, 4, 16, 64, 256, 1024)
"""Rows of the means that a model compares with its reference."""
HISTORY_PER_SCALE = 8
"""A scale is used if the history has this many times its rows; fewer repetitions do not show how far its means vary."""
REFERENCE_SHARE, MIN_REFERENCE, MAX_REFERENCE = 4, 64, 2048
MIN_ROWS, FEW_CHANNELS, MIN_ROWS_OF_MANY = 200, 8, 400
"""Minimum rows of a history with at most so many channels, and of one with more; with fewer, the budget was not kept."""


@dataclass(frozen=True)
class Layout:
    """The means that a model looks at.

    Attributes:
        scales: rows of each mean up to the latest row.
        reference: accepted rows of the reference mean.
        delay: rows between the latest row and the reference.
        min_reference: accepted rows that the reference needs before the first decision.
    """

    scales: tuple[int, ...]
    reference: int
    delay: int
    min_reference: int

    @classmethod
    def of(cls, rows: int) -> Layout:
        """The layout for a history of so many rows."""
        scales = tuple(scale for scale in SCALES if scale * HISTORY_PER_SCALE <= rows)
        reference = min(MAX_REFERENCE, max(MIN_REFERENCE, rows // REFERENCE_SHARE))
        return cls(scales, reference, scales[-1], reference // 2)
