"""Figures over rows: counts and rates, episodes and delays. Pure functions over arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from edgeml.timestamps import SECOND


class ConfusionMatrix(NamedTuple):
    """Rows by verdict and label."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def f1(self) -> float:
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the normal rows with a verdict of yes; NaN when there are none."""
        return _share(self.fp, self.fp + self.tn)

    @property
    def missed_alarm_rate(self) -> float:
        """Share of the anomalous rows with a verdict of no; NaN when there are none."""
        return _share(self.fn, self.fn + self.tp)


def confusion_matrix(verdict: np.ndarray, anomaly: np.ndarray) -> ConfusionMatrix:
    """Of (n,) bool each."""
    pairs = ((verdict, anomaly), (verdict, ~anomaly), (~verdict, anomaly), (~verdict, ~anomaly))
    return ConfusionMatrix(*(int(np.sum(a & b)) for a, b in pairs))


def pooled(matrices: Iterable[ConfusionMatrix]) -> ConfusionMatrix:
    """The sum."""
    return (
        ConfusionMatrix(*(sum(column) for column in zip(*matrices, strict=True)))
        if (matrices := list(matrices))
        else ConfusionMatrix(0, 0, 0, 0)
    )


def episodes(anomaly: np.ndarray) -> list[slice]:
    """The stretches of True in (n,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], anomaly.astype(np.int8), [0]])))
    return [slice(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def delays(times: np.ndarray, positive: np.ndarray, anomaly: np.ndarray) -> list[float]:
    """For each episode the seconds from its first row to the first row of it that `said`; infinite where none did.

    What was said before the episode and still holds at its first row counts as a delay of 0: the operator knew.
    """
    out = []
    for episode in episodes(anomaly):
        hits = np.flatnonzero(positive[episode])
        at = episode.start + int(hits[0]) if len(hits) else None
        out.append(math.inf if at is None else (int(times[at]) - int(times[episode.start])) / SECOND)
    return out


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest of the values that at least a share q of them does not exceed; infinity is a value, NaN for none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """Infinity is a value; NaN for none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def hours(times: np.ndarray, selected: np.ndarray, longest_gap_s: float = 5.0) -> float:
    """Event time spent in the rows `among` (n,) bool: from each to its successor, a longer gap counting as `longest_gap_s`."""
    steps = np.append(np.clip(np.diff(times) / SECOND, 0, longest_gap_s), 1.0)
    return float(steps[selected].sum() / 3600)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
