"""Metrics over rows: confusion matrix, rates, episodes, delays, hours. Pure functions over arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from edgeml.timestamps import SECOND


class ConfusionMatrix(NamedTuple):
    """Number of rows by verdict and label."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def f1(self) -> float:
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the normal rows with a positive verdict; NaN without normal rows."""
        return _share(self.fp, self.fp + self.tn)

    @property
    def missed_alarm_rate(self) -> float:
        """Share of the anomalous rows with a negative verdict; NaN without anomalous rows."""
        return _share(self.fn, self.fn + self.tp)


def confusion_matrix(verdict: np.ndarray, anomaly: np.ndarray) -> ConfusionMatrix:
    """Confusion matrix of verdict and label, (n,) bool each."""
    pairs = ((verdict, anomaly), (verdict, ~anomaly), (~verdict, anomaly), (~verdict, ~anomaly))
    return ConfusionMatrix(*(int(np.sum(a & b)) for a, b in pairs))


def pooled(matrices: Iterable[ConfusionMatrix]) -> ConfusionMatrix:
    """Sum of confusion matrices."""
    return (
        ConfusionMatrix(*(sum(column) for column in zip(*matrices, strict=True)))
        if (matrices := list(matrices))
        else ConfusionMatrix(0, 0, 0, 0)
    )


def episodes(anomaly: np.ndarray) -> list[slice]:
    """Runs of True in (n,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], anomaly.astype(np.int8), [0]])))
    return [slice(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def delays(times: np.ndarray, positive: np.ndarray, anomaly: np.ndarray) -> list[float]:
    """Seconds from the first row of each episode to its first positive row; infinite if there is none.

    A positive state that began before the episode counts as a delay of 0, because the operator was informed.
    """
    out = []
    for episode in episodes(anomaly):
        hits = np.flatnonzero(positive[episode])
        at = episode.start + int(hits[0]) if len(hits) else None
        out.append(math.inf if at is None else (int(times[at]) - int(times[episode.start])) / SECOND)
    return out


def quantile(values: Sequence[float], q: float) -> float:
    """Smallest value that at least a share q of the values does not exceed. Infinity counts as a value; NaN without values."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """Median. Infinity counts as a value; NaN without values."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def hours(times: np.ndarray, selected: np.ndarray, max_gap_s: float = 5.0, last_s: float = 1.0) -> float:
    """Event time in the rows `selected` (n,) bool, from each row to the next.

    Args:
        max_gap_s: a longer gap counts as this.
        last_s: the time after the last row.
    """
    steps = np.append(np.clip(np.diff(times) / SECOND, 0, max_gap_s), last_s)
    return float(steps[selected].sum() / 3600)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
