"""The rows of a history in the columns of a model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from edgeml.model.derived_columns import DerivedColumns
from edgeml.model.manifest import Channel, Manifest, Scaling
from model_training.history import History, Recording
from model_training.machine.contrasts import Rows
from model_training.training_request import TrainingError

GAP_INTERVALS = 5.5
"""Intervals without a row after which the views start again."""
SAME_SERIES = 2000
"""Recordings of one asset are one series if the gap between them is at most this many intervals."""
MAX_ROWS = 1_000_000
"""Rows of the history that are used, the latest ones; they are held in memory several times."""
SENTINEL_QUANTILES, SENTINEL_REACH, SENTINEL_SHARE = (0.05, 0.95), 50.0, 0.04
"""A value is a sentinel if it lies so many times the range of the middle 90 % beyond it, and at most this share of its channel does."""


@dataclass(frozen=True)
class Series:
    """All rows of a history, in order.

    Attributes:
        times: (n,) int64, ns.
        values: (n, c) float64 in the channels' units, NaN where missing.
        normal: (n,) bool: rows that nobody marked as a fault.
        starts, series: as in `Rows`.
    """

    times: np.ndarray
    values: np.ndarray
    normal: np.ndarray
    starts: np.ndarray
    series: np.ndarray

    def __len__(self) -> int:
        return len(self.times)

    @property
    def span_s(self) -> float:
        """Seconds covered, without the time between series."""
        return sum(float(self.times[end - 1] - self.times[first]) / 1e9 for first, end in self.parts())

    def parts(self) -> list[tuple[int, int]]:
        """First row and end of each series."""
        firsts = np.unique(self.series).tolist()
        return list(zip(firsts, [*firsts[1:], len(self)], strict=True))

    def rows(self, columns: np.ndarray) -> Rows:
        """The rows with their columns, (n, f)."""
        return Rows(columns, self.starts, self.series, self.normal)

    def first(self, rows: int) -> Series:
        """The first rows."""
        return Series(self.times[:rows], self.values[:rows], self.normal[:rows], self.starts[:rows], self.series[:rows])


def collect(history: History) -> Series:
    """Put the recordings of a history in order, the latest rows if there are too many."""
    recordings = sorted(history.recordings, key=lambda each: (_asset(each), int(each.times[0])))
    gap_ns = round(GAP_INTERVALS * history.interval_s * 1e9)
    break_ns = round(SAME_SERIES * history.interval_s * 1e9)
    times = np.concatenate([each.times for each in recordings])
    first = np.zeros(len(times), bool)
    place = 0
    for number, each in enumerate(recordings):
        before = recordings[number - 1] if number else None
        continues = before is not None and _asset(before) == _asset(each) and 0 < each.times[0] - before.times[-1] <= break_ns
        first[place] = not continues
        place += len(each)
    values = np.concatenate([each.values for each in recordings]).astype(np.float64)
    normal = np.concatenate([each.normal() for each in recordings])
    if len(times) > MAX_ROWS:
        times, values, normal, first = (each[-MAX_ROWS:] for each in (times, values, normal, first))
        first = first.copy()
        first[0] = True
    steps = np.diff(times, prepend=times[0])
    index = np.arange(len(times))
    starts = np.maximum.accumulate(np.where(first | (steps > gap_ns), index, 0))
    return Series(times, values, normal, starts, np.maximum.accumulate(np.where(first, index, 0)))


def left_out(history: History, series: Series) -> list[str]:
    """A sentence if the history has more rows than are used."""
    total = sum(map(len, history.recordings))
    return [f"the latest {len(series)} of {total} rows are used, as many as fit in memory"] if total > len(series) else []


def without_sentinels(history: History, series: Series) -> tuple[Series, list[str]]:
    """Rare values far beyond all others count as missing, such as -9999 for a failed reading; a sentence for each channel with some.

    A few of them would set the scale of their channel, and real changes would vanish in it.
    """
    if not series.normal.any():
        return series, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel without any value is refused later, with a sentence
        low, high = np.nanquantile(np.where(series.normal[:, None], series.values, np.nan), SENTINEL_QUANTILES, axis=0)
    reach = SENTINEL_REACH * (high - low)
    beyond = (series.values < low - reach) | (series.values > high + reach)
    beyond &= (reach > 0) & (beyond.mean(0) <= SENTINEL_SHARE)
    sentences = []
    for place in np.flatnonzero(beyond.any(0)).tolist():
        found = series.values[beyond[:, place], place]
        sentences.append(
            f"channel {history.channels[place].name!r}: {len(found)} of {len(series)} values are far beyond all others, such as "
            f"{found[0]:g}, and count as missing; state `low` and `high` of the channel's quality in SensorIngestion"
        )
    values = np.where(beyond, np.nan, series.values) if sentences else series.values
    return replace(series, values=values), sentences


def scaling(history: History, series: Series) -> tuple[tuple[Channel, ...], Scaling]:
    """The channels, and their mean and standard deviation in normal running, at least half of their resolution."""
    normal = series.values[series.normal]
    floors = [_resolution(column) / 2 for column in normal.T]
    channels = tuple(Channel(name=each.name, unit=each.unit, floor=floor) for each, floor in zip(history.channels, floors, strict=True))
    empty = [each.name for each, column in zip(history.channels, normal.T, strict=True) if not np.isfinite(column).any()]
    if empty:
        raise TrainingError(
            f"{history.files[0].file}: channel {empty[0]!r} has no value in the rows that train; list it under `ignore` in the spec"
        )
    mean = np.nanmean(normal, axis=0)
    std = np.maximum(np.nanstd(normal, axis=0), np.maximum(floors, np.maximum(np.abs(mean) * 1e-6, 1e-9)))
    return channels, Scaling(kind="fixed", mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def evaluate_columns(manifest: Manifest, series: Series) -> np.ndarray:
    """All columns of each row as the device derives them, (n, f) float64; NaN where a value is missing."""
    derived = DerivedColumns(manifest)
    parts = []
    for first, end in series.parts():
        derived.restart()
        values = series.values[first:end]
        parts.append(derived.all(series.times[first:end], values, ~np.isfinite(values)))
    return np.concatenate(parts).astype(np.float64)


def _resolution(column: np.ndarray) -> float:
    """The smallest step of a coarse channel, in its unit; 0 if it has many values."""
    distinct = np.unique(column[np.isfinite(column)])
    if len(distinct) < 2 or len(distinct) > 50:
        return 0.0
    return round(float(np.diff(distinct).min()), 9)


def _asset(recording: Recording) -> str:
    return recording.name.partition("#")[2]
