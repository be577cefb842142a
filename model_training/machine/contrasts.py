"""Contrasts: the means of the last rows on each scale, less the mean of an older reference stretch, or of the next longer scale.

A recent reference makes slow drift invisible, which levels against the mean of all history do not. The difference of two scales shows an
abrupt change of a channel that wanders smoothly. This is the arithmetic of `edgeml.model` for a whole history at once; a test compares
both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model_training.machine.layout import Layout


@dataclass(frozen=True)
class Rows:
    """A history in the columns of the model.

    Attributes:
        columns: (n, f) float64: the deviations of c channels, then derived columns; NaN where a value is missing.
        starts: (n,) int64: index of the first row after the last gap.
        series: (n,) int64: index of the first row of the series of each row; a reference does not reach into another series.
        accepted: (n,) bool: rows that count as normal running.
    """

    columns: np.ndarray
    starts: np.ndarray
    series: np.ndarray
    accepted: np.ndarray

    def __len__(self) -> int:
        return len(self.columns)


class Contrasts:
    """The contrasts of a history.

    Attributes:
        started: (n,) bool: the reference has enough rows.
        ready: (n,) bool: it has, and the row is accepted.
    """

    def __init__(self, rows: Rows, layout: Layout) -> None:
        self._rows, self.layout = rows, layout
        # Rows that are no normal running count as missing, so that a short fault does not reach into the means of many later rows.
        good = np.isfinite(rows.columns) & rows.accepted[:, None]
        self._complete = bool(good.all())
        filled = rows.columns if self._complete else np.where(good, rows.columns, 0.0)
        self._sums = _cumulated(filled)
        self._counts = None if self._complete else _cumulated(good)
        self._reference, count = self._references(filled, good)
        self.started = count >= layout.min_reference
        self.ready = self.started & rows.accepted

    @property
    def count(self) -> int:
        """Number of contrasts: one for each scale, and one for each scale and the next longer one."""
        return 2 * len(self.layout.scales) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the contrasts, (n, f): those of each scale with the reference, then those of each scale with the next longer one.

        A contrast is 0 where a mean has too few rows since the last gap, or good values.
        """
        yield from self.levels()
        shorter = None
        for longer in self.levels():
            if shorter is not None:
                yield np.where((shorter != 0) & (longer != 0), shorter - longer, 0.0)
            shorter = longer

    def levels(self) -> Iterator[np.ndarray]:
        """Yield the contrasts of each scale with the reference, (n, f)."""
        end = np.arange(1, len(self._rows) + 1)
        for scale in self.layout.scales:
            begin = np.maximum(end - scale, self._rows.starts)
            total = self._sums[end] - self._sums[begin]
            if self._counts is None:
                count = (end - begin)[:, None].astype(np.float64)
            else:
                count = self._counts[end] - self._counts[begin]
            known = (2 * count >= scale) & (end - begin == scale)[:, None]
            yield np.where(known, total / np.maximum(count, 1) - self._reference, 0.0)

    def _references(self, filled: np.ndarray, good: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The reference of each row, (n, f), and the accepted rows in it, (n,)."""
        taken = np.flatnonzero(self._rows.accepted)
        before = np.concatenate([[0], np.cumsum(self._rows.accepted)])
        end = before[np.maximum(np.arange(1, len(self._rows) + 1) - self.layout.delay, self._rows.series)]
        begin = np.maximum(end - self.layout.reference, before[self._rows.series])
        sums = _cumulated(filled[taken])
        if self._complete:
            return (sums[end] - sums[begin]) / np.maximum(end - begin, 1)[:, None], end - begin
        counts = _cumulated(good[taken])
        return (sums[end] - sums[begin]) / np.maximum(counts[end] - counts[begin], 1), end - begin


def _cumulated(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0 to n rows, (n + 1, f)."""
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
