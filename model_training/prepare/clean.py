"""Clean one asset's rows: order them by time, remove duplicates and implausible values, and count both. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeml.messages import IMPLAUSIBLE_TIME, MISSING, OUT_OF_RANGE, QUALITY_NAMES, STUCK
from edgeml.timestamps import to_iso
from model_training.prepare.plan import Range
from model_training.prepare.rows import PrepareError, Rows, Statistics

REJECTED_FLAGS = (OUT_OF_RANGE, STUCK)
"""Quality flags that remove a value. A value after a gap is kept; a row with a time out of order is dropped as a whole."""


def merge(parts: list[Rows], requested: list[str]) -> Rows:
    """Merge the rows of one asset from several files, by event time. A channel missing in a file is NaN.

    Args:
        requested: channels to keep; empty: all.

    Raises:
        PrepareError: no file has a requested channel.
    """
    asset = parts[0].asset
    available = {channel for part in parts for channel in part.channels}
    absent = [channel for channel in requested if channel not in available]
    if absent:
        raise PrepareError(
            f"{asset} has no channel {', '.join(absent)}; it has {', '.join(sorted(available))}; correct `channels` or the columns"
        )
    channels = tuple(requested or sorted(available))
    values, quality = [], []
    for part in parts:
        shape = (len(part.times), len(channels))
        readings, flags = np.full(shape, np.nan, np.float32), np.full(shape, MISSING, np.uint8)
        for place, channel in enumerate(channels):
            if channel in part.channels:
                readings[:, place] = part.values[:, part.channels.index(channel)]
                flags[:, place] = part.quality[:, part.channels.index(channel)]
        values.append(readings)
        quality.append(flags)
    units = {channel: unit for part in parts for channel, unit in part.units.items() if channel in channels}
    whole = Rows(asset, channels, np.concatenate([part.times for part in parts]), np.concatenate(values), np.concatenate(quality), units)
    return _select(whole, _order(whole))


def clean(rows: Rows, ranges: Mapping[str, Range], statistics: Statistics) -> Rows:
    """Return rows with strictly increasing times and plausible values only. Removed values become NaN; both are counted."""
    for code in IMPLAUSIBLE_TIME:
        rows = _drop(rows, (rows.quality == code).any(axis=1), QUALITY_NAMES[code], statistics)
    again = np.zeros(len(rows.times), bool)
    again[1:] = rows.times[1:] == rows.times[:-1]
    first = np.maximum.accumulate(np.where(again, 0, np.arange(len(again))))
    same = ((rows.values == rows.values[first]) | (np.isnan(rows.values) & np.isnan(rows.values[first]))).all(axis=1)
    conflict = again & ~same
    for mask, reason in ((again & same, "duplicate"), (conflict, "conflicting duplicate")):
        statistics.row(reason, f"{rows.asset}, {to_iso(rows.times[mask][0])}" if mask.any() else "", int(mask.sum()))
    rows = _select(rows, np.flatnonzero(~again))
    values = rows.values.copy()
    for place, channel in enumerate(rows.channels):
        column, flags = values[:, place], rows.quality[:, place]
        limits = ranges.get(channel, Range())
        low = -np.inf if limits.low is None else limits.low
        high = np.inf if limits.high is None else limits.high
        bad = {QUALITY_NAMES[flag]: flags == flag for flag in REJECTED_FLAGS}
        with np.errstate(invalid="ignore"):
            bad[QUALITY_NAMES[OUT_OF_RANGE]] |= (column < low) | (column > high)
        bad["not finite"] = np.isinf(column)
        for reason, mask in bad.items():
            where = f"{rows.asset}, {channel}, {to_iso(rows.times[mask][0])}" if mask.any() else ""
            statistics.value(reason, where, int((mask & ~np.isnan(column)).sum()))
            column[mask] = np.nan
        missing = np.isnan(rows.values[:, place])
        where = f"{rows.asset}, {channel}, {to_iso(rows.times[missing][0])}" if missing.any() else ""
        statistics.value(QUALITY_NAMES[MISSING], where, int(missing.sum()))
    rows = rows._replace(values=values)
    return _drop(rows, np.isnan(values).all(axis=1), "no valid value", statistics)


def quality_counts(rows: Rows) -> dict[str, int]:
    """Number of values by quality flag, as in the sources."""
    return {name: int((rows.quality == code).sum()) for code, name in enumerate(QUALITY_NAMES)}


def _order(rows: Rows) -> np.ndarray:
    # By time, then by content, so that the names of the files do not affect the result.
    keys = [rows.values[:, place] for place in reversed(range(rows.values.shape[1]))]
    return np.lexsort((*keys, rows.times))


def _select(rows: Rows, which: np.ndarray) -> Rows:
    return rows._replace(times=rows.times[which], values=rows.values[which], quality=rows.quality[which])


def _drop(rows: Rows, bad: np.ndarray, reason: str, statistics: Statistics) -> Rows:
    if not bad.any():
        return rows
    statistics.row(reason, f"{rows.asset}, {to_iso(rows.times[bad][0])}", int(bad.sum()))
    return _select(rows, np.flatnonzero(~bad))
