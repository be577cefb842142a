"""The growth rate of a measurement, and whether a count is flat. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS = 6
"""Blocks of a soak. Of an hour, each is several minutes: longer than deviations of a process's usage from its trend."""
_T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Quantiles of Student's t at 0.975, for 1, 2, … degrees of freedom."""

Point = tuple[float, float]
"""A time in hours, and a value."""


@dataclass(frozen=True)
class Growth:
    """A slope per hour, and half the width of its 95 % confidence interval; infinite with too few samples."""

    per_hour: float
    margin: float


def growth(points: Sequence[Point], blocks: int = BLOCKS) -> Growth:
    """The least-squares slope of a measurement, in its unit per hour.

    The usage of a process changes in long steps, so neighboring samples are correlated, and an interval that assumes
    independence would be far too narrow. The line is therefore fitted to the means of `blocks` equal parts, which are nearly
    independent. Their scatter around the line, with `blocks` - 2 degrees of freedom, gives the interval.
    """
    means = _means(sorted(points), min(blocks, len(points), len(_T_975) + 2))
    count = len(means)
    if count < 3:
        return Growth(0.0, math.inf)
    at = sum(x for x, _ in means) / count
    level = sum(y for _, y in means) / count
    spread = sum((x - at) ** 2 for x, _ in means)
    if not spread:
        return Growth(0.0, math.inf)
    slope = sum((x - at) * (y - level) for x, y in means) / spread
    scatter = sum((y - level - slope * (x - at)) ** 2 for x, y in means) / (count - 2)
    return Growth(slope, _T_975[count - 3] * math.sqrt(scatter / spread))


def _means(points: Sequence[Point], blocks: int) -> list[Point]:
    edges = [round(number * len(points) / blocks) for number in range(blocks + 1)] if blocks else []
    parts = [points[begin:end] for begin, end in zip(edges, edges[1:], strict=False) if end > begin]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def is_flat(values: Sequence[float]) -> bool:
    """Whether a fluctuating count has not risen: the minimum of its last third is at most the maximum of its first third."""
    third = len(values) // 3
    return not third or min(values[-third:]) <= max(values[:third])
