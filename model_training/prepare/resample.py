"""Rows at their own times become steps of one interval; gaps stay gaps. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.timestamps import SECOND, to_iso
from model_training.prepare.rows import PrepareError, Rows

MEASURED, BRIDGED, INCOMPLETE = 0, 1, 2
"""Flags of a step, added up: some value is interpolated; some value is missing."""


class Gap(NamedTuple):
    """No step between these event times, ns: the last step before and the first after."""

    begin: int
    end: int


class Steps(NamedTuple):
    """Steps of one asset: n steps of c channels.

    Attributes:
        times: (n,) int64, ns: a step's beginning, a whole multiple of the interval since the epoch.
        values: (n, c) float32: the mean of the rows within the step; NaN where there is none near enough.
        flags: (n,) uint8, `BRIDGED` and `INCOMPLETE` added up.
        segment: (n,) int32, from 0: one more after each gap.
        gaps: between the segments.
    """

    asset: str
    channels: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    flags: np.ndarray
    segment: np.ndarray
    gaps: tuple[Gap, ...]


def resample(rows: Rows, interval_s: float, max_interpolated_gap_s: float) -> Steps:
    """Means of the rows within each step; a channel without a row there is interpolated between the steps around it, unless those
    are further apart than `max_interpolated_gap_s`.

    Raises:
        PrepareError: the rows come too seldom for this interval.
    """
    interval = round(interval_s * SECOND)
    if interval <= 0:
        raise PrepareError(f"interval_s is {interval_s}, less than a nanosecond; raise it")
    apart = np.diff(rows.times)
    if len(apart) and np.median(apart) > max(max_interpolated_gap_s * SECOND, interval * 1.5):
        raise PrepareError(
            f"{rows.asset}: its rows are {np.median(apart) / SECOND:g} s apart (median, from {to_iso(rows.times[0])} on), "
            f"wanted is one every {interval_s:g} s and no more than {max_interpolated_gap_s:g} s are bridged; "
            "declare its interval, or leave it out"
        )
    number = rows.times // interval
    steps, start = np.unique(number, return_index=True)
    means = _means(rows.values, start)
    longest = round(max_interpolated_gap_s * SECOND) // interval
    pieces = np.split(np.arange(len(steps)), np.flatnonzero(np.diff(steps) > max(longest, 1)) + 1)
    grids = [np.arange(steps[piece[0]], steps[piece[-1]] + 1) for piece in pieces if len(piece)]
    filled = [_bridge(grid, steps[piece], means[piece], longest) for grid, piece in zip(grids, pieces, strict=False)]
    if not filled:
        none = np.empty(0)
        return Steps(rows.asset, rows.channels, none.astype(np.int64), rows.values, none.astype("u1"), none.astype("i4"), ())
    times = np.concatenate(grids) * interval
    values = np.concatenate([values for values, _ in filled])
    bridged = np.concatenate([bridged for _, bridged in filled])
    flags = (bridged * BRIDGED + np.isnan(values).any(axis=1) * INCOMPLETE).astype(np.uint8)
    segment = np.repeat(np.arange(len(grids), dtype=np.int32), [len(grid) for grid in grids])
    gaps = tuple(Gap(int(a[-1]) * interval, int(b[0]) * interval) for a, b in zip(grids, grids[1:], strict=False))
    return Steps(rows.asset, rows.channels, times, values, flags, segment, gaps)


def _means(values: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Means of the good values in each group of rows; NaN where there is none."""
    if not len(values):
        return values
    good = ~np.isnan(values)
    total = np.add.reduceat(np.where(good, values, 0).astype(np.float64), start, axis=0)
    count = np.add.reduceat(good.astype(np.int64), start, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (total / count).astype(np.float32)


def _bridge(grid: np.ndarray, steps: np.ndarray, means: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The values on a grid without gaps, and which steps have an interpolated one."""
    values = np.full((len(grid), means.shape[1]), np.nan, np.float32)
    at = steps - grid[0]
    values[at] = means
    bridged = np.zeros(len(grid), bool)
    for column in values.T:
        known = np.flatnonzero(~np.isnan(column))
        apart = np.diff(known)
        for place in np.flatnonzero((apart > 1) & (apart <= longest)):
            before, after = known[place], known[place + 1]
            inside = np.arange(before + 1, after)
            column[inside] = np.interp(inside, (before, after), (column[before], column[after]))
            bridged[inside] = True
    return values, bridged
