"""Resample rows to steps of one interval; long gaps separate segments. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.timestamps import SECOND, to_iso
from model_training.prepare.rows import PrepareError, Rows

MEASURED, INTERPOLATED, INCOMPLETE = 0, 1, 2
"""Flags of a step, combined by addition: a value is interpolated, a value is missing."""


class Gap(NamedTuple):
    """A gap between steps: event times in ns of the last step before and the first step after it."""

    begin: int
    end: int


class Steps(NamedTuple):
    """Steps of one asset: n steps of c channels.

    Attributes:
        times: (n,) int64, ns, start of a step, a multiple of the interval since the epoch.
        values: (n, c) float32, mean of the rows within the step, or interpolated; NaN if missing.
        flags: (n,) uint8, sum of `INTERPOLATED` and `INCOMPLETE`.
        segment: (n,) int32, number of the segment, from 0.
        gaps: gaps between the segments.
    """

    asset: str
    channels: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    flags: np.ndarray
    segment: np.ndarray
    gaps: tuple[Gap, ...]


def resample(rows: Rows, interval_s: float, max_interpolated_gap_s: float) -> Steps:
    """Average the rows within each step, and interpolate a channel over gaps of at most `max_interpolated_gap_s`.

    Raises:
        PrepareError: the sampling interval of the rows is too long for this interval.
    """
    interval = round(interval_s * SECOND)
    if interval <= 0:
        raise PrepareError(f"interval_s is {interval_s}, less than a nanosecond; raise it")
    apart = np.diff(rows.times)
    if len(apart) and np.median(apart) > max(max_interpolated_gap_s * SECOND, interval * 1.5):
        raise PrepareError(
            f"{rows.asset}: its rows are {np.median(apart) / SECOND:g} s apart (median, from {to_iso(rows.times[0])} on), "
            f"but the plan has an interval of {interval_s:g} s and interpolates at most {max_interpolated_gap_s:g} s; "
            "declare its interval, or remove the asset"
        )
    number = rows.times // interval
    steps, start = np.unique(number, return_index=True)
    means = _means(rows.values, start)
    longest = round(max_interpolated_gap_s * SECOND) // interval
    pieces = np.split(np.arange(len(steps)), np.flatnonzero(np.diff(steps) > max(longest, 1)) + 1)
    grids = [np.arange(steps[piece[0]], steps[piece[-1]] + 1) for piece in pieces if len(piece)]
    filled = [_interpolate(grid, steps[piece], means[piece], longest) for grid, piece in zip(grids, pieces, strict=False)]
    if not filled:
        none = np.empty(0)
        return Steps(rows.asset, rows.channels, none.astype(np.int64), rows.values, none.astype("u1"), none.astype("i4"), ())
    times = np.concatenate(grids) * interval
    values = np.concatenate([values for values, _ in filled])
    interpolated = np.concatenate([interpolated for _, interpolated in filled])
    flags = (interpolated * INTERPOLATED + np.isnan(values).any(axis=1) * INCOMPLETE).astype(np.uint8)
    segment = np.repeat(np.arange(len(grids), dtype=np.int32), [len(grid) for grid in grids])
    gaps = tuple(Gap(int(a[-1]) * interval, int(b[0]) * interval) for a, b in zip(grids, grids[1:], strict=False))
    return Steps(rows.asset, rows.channels, times, values, flags, segment, gaps)


def _means(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Mean of the valid values in each group of rows; NaN if there are none."""
    if not len(values):
        return values
    good = ~np.isnan(values)
    total = np.add.reduceat(np.where(good, values, 0).astype(np.float64), start, axis=0)
    count = np.add.reduceat(good.astype(np.int64), start, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / count).astype(np.float32)


def _interpolate(grid: np.ndarray, steps: np.ndarray, means: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Values on a grid without gaps, and a mask of the steps with an interpolated value."""
    values = np.full((len(grid), means.shape[1]), np.nan, np.float32)
    at = steps - grid[0]
    values[at] = means
    interpolated = np.zeros(len(grid), bool)
    for column in values.T:
        known = np.flatnonzero(~np.isnan(column))
        apart = np.diff(known)
        for place in np.flatnonzero((apart > 1) & (apart <= longest)):
            before, after = known[place], known[place + 1]
            inside = np.arange(before + 1, after)
            column[inside] = np.interp(inside, (before, after), (column[before], column[after]))
            interpolated[inside] = True
    return values, interpolated
