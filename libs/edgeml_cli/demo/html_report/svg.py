"""Building blocks of the plots: scales, ticks, curves. Coordinates are in units of the SVG's viewBox."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

import numpy as np

from edgeml.timestamps import SECOND


class Scale(NamedTuple):
    """Linear map from `low`..`high` to `start`..`end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


def tag(name: str, content: str = "", **attributes: object) -> str:
    """An element. `class_` becomes `class`, an underscore a hyphen; floats are written with at most two decimals."""
    parts = []
    for key, value in attributes.items():
        shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escape(str(value))
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{shown}"')
    return f"<{name}{''.join(parts)}>{content}</{name}>" if content else f"<{name}{''.join(parts)}/>"


def text(label: str, x: float, y: float, **attributes: object) -> str:
    return tag("text", escape(label), x=x, y=y, **attributes)


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from `low` to `high`, at most about `count` of them."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / max(1, count)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def time_ticks(low: int, high: int, count: int = 10) -> list[int]:
    """Event times in ns on round seconds, minutes or hours."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
    step = next((step for step in steps if (high - low) / SECOND / step <= count), 7 * 86400) * SECOND
    return list(range(-(-low // step) * step, high + 1, step))


def segments(times: np.ndarray, values: np.ndarray, max_gap: float) -> Iterator[slice]:
    """The slices without interruption: neither a NaN nor a gap of more than `max_gap` ns."""
    good = np.isfinite(values)
    breaks = ~good[1:] | ~good[:-1] | (np.diff(times) > max_gap)
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(values)]
    for start, end in zip(edges, edges[1:], strict=False):
        if end > start and good[start]:
            yield slice(start, end)


def curve(times: np.ndarray, values: np.ndarray, x: Scale, y: Scale, max_gap: float) -> str:
    """The `d` attribute of a path: every point, or only the extremes per unit of width if there are more points than fit."""
    if not len(times):
        return ""
    px = x.start + (times - x.low) / ((x.high - x.low) or 1.0) * (x.end - x.start)
    py = y.start + (values - y.low) / ((y.high - y.low) or 1.0) * (y.end - y.start)
    parts = []
    for part in segments(times, values, max_gap):
        points = list(zip(px[part].tolist(), py[part].tolist(), strict=True))
        if len(points) > 2 * (points[-1][0] - points[0][0]) + 2:
            points = list(_extremes(points))
        if len(points) == 1:
            points *= 2
        parts.append("M" + "L".join(f"{a:.1f},{b:.1f}" for a, b in points))
    return "".join(parts)


def _extremes(points: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    column: list[tuple[float, float]] = []
    for point in [*points, (math.inf, 0.0)]:
        if column and point[0] > math.floor(column[0][0]) + 1:
            yield from sorted({min(column, key=lambda p: p[1]), max(column, key=lambda p: p[1])})
            column = []
        column.append(point)
