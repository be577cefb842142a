"""The recent rows of one asset as the input of a model with a `reference`: running sums, whose cost does not depend on the views' lengths.

`edgeml.model.manifest.Manifest` and `Reference` have the definitions. Rows come from `edgeml.model.derived_columns`: their values are
multiples of `GRID`, so that the sums in float64 are exact however long they run.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from edgeml.model.manifest import Manifest, Reference


class ContrastWindow:
    """Rows of columns, and the model's input computed from them.

    Attributes:
        rows: rows added since the start, or since the last gap or stop.
        held: successive decisions with a confidence at or over `hold_at`.
    """

    def __init__(self, manifest: Manifest) -> None:
        assert manifest.reference is not None
        self._c, self._f = len(manifest.channels), len(manifest.channels) + len(manifest.columns)
        self._every = np.array([view.every for view in manifest.views])
        self._longest = int(self._every.max())
        self._measured = np.array([number for number, name in enumerate(manifest.names) if name not in manifest.context])
        self._options, self._views = manifest.reference, len(self._every)
        self._delay = manifest.reference.delay
        # The row that leaves the longest view, and the row that is due, are still in the ring when the next row comes.
        self._size = max(self._longest, self._delay) + 1
        self._ring = np.full((self._size, self._f), np.nan, np.float32)
        self._confidences = np.full(self._size, np.nan)
        self._reference = _Mean(manifest.reference, self._f)
        self._times: deque[int] = deque(maxlen=self._longest)
        self._sums = np.zeros((self._views, self._f))
        self._counts = np.zeros((self._views, self._f), np.int64)
        self.forget()

    @property
    def start(self) -> int | None:
        """Event time of the oldest row held, ns."""
        return self._times[0] if self._times else None

    @property
    def reference(self) -> np.ndarray:
        """(F,) float64, the mean of each column in the reference; 0 where it is not known."""
        return self._reference.mean

    @property
    def holds(self) -> bool:
        """Whether the latest decision keeps rows out of the reference."""
        return self._confidence >= self._options.hold_at

    @property
    def latest(self) -> np.ndarray:
        """(c,) difference of the longest view from the reference, in standard deviations; NaN where unknown."""
        mean, known = self._means()
        at = int(self._every.argmax())
        return np.where(known[at], mean[at] - self._reference.mean, np.nan)[: self._c].astype(np.float32)

    def forget(self) -> None:
        """Discard all rows, and begin a new reference."""
        self.restart()
        self._reference.restart()
        self._pushed = self._due_from = self.held = 0
        self._confidence = math.nan

    def restart(self) -> None:
        """Discard the rows of the views; the reference stays, and the rows that are due later."""
        self._sums.fill(0)
        self._counts.fill(0)
        self._times.clear()
        self._fault: tuple[int, int] | None = None
        self._whole = 0
        self.rows = 0

    def interrupt(self) -> None:
        """Discard the rows of the views, because rows are missing after them."""
        self.restart()

    def push(self, time: int, row: np.ndarray, faults: np.ndarray | None = None) -> None:
        """Add the next row.

        Args:
            row: (F,) float32, multiples of `GRID`; NaN where faulty.
            faults: (c,) uint8, quality codes of the faulty channels, 0 where good; None when all are good.
        """
        at = self._pushed % self._size
        if self._pushed - self._delay >= self._due_from:
            due = (self._pushed - self._delay) % self._size
            if not (self.holds or self._confidences[due] >= self._options.hold_at):
                self._reference.add(self._ring[due])
        leaving = self._ring[(self._pushed - self._every) % self._size].astype(np.float64)
        sound = not math.isnan(row.sum())
        if sound and self._whole >= self._longest:
            self._sums += row - leaving
        else:
            leaving[self._every > self.rows] = np.nan  # those rows are from before the restart
            come, gone = np.isfinite(row), np.isfinite(leaving)
            self._sums += np.where(come, row, 0) - np.where(gone, leaving, 0)
            self._counts += come.astype(np.int64) - gone
        self._whole = self._whole + 1 if sound else 0
        self._ring[at], self._confidences[at] = row, np.nan
        self._fault = self._most_faulty(faults)
        self._times.append(time)
        self._pushed += 1
        self.rows += 1

    def fault(self) -> tuple[int, int] | None:
        """The first faulty channel and its quality code, if more than half of the channels are faulty in the latest row."""
        return self._fault

    def ready(self, rows: int, rows_after_gap: int) -> bool:
        """Whether there are enough rows for a decision, in the views and in the reference."""
        return self.rows >= max(rows, rows_after_gap) and self._reference.accepted >= self._options.min_rows

    def features(self) -> np.ndarray:
        """The model's input: (1, (views + 1) * F) float32."""
        mean, known = self._means()
        out = np.empty((1, (self._views + 1) * self._f), np.float32)
        stretches = out.reshape(self._views + 1, self._f)
        stretches[:-1] = np.where(known, mean, self._reference.mean)
        stretches[-1] = self._reference.mean
        return out

    def decided(self, confidence: float) -> None:
        """Note the confidence of the latest row's decision."""
        self._confidences[(self._pushed - 1) % self._size] = self._confidence = confidence
        self.held = self.held + 1 if self.holds else 0
        if 0 < self._options.hold_rows <= self.held:
            self._accept_as_normal()

    def _means(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each view and column, and whether it is known, (views, F)."""
        every = self._every[:, None]
        known = (2 * self._counts >= every) & (every <= self.rows) & self._reference.known
        return self._sums / np.maximum(self._counts, 1), known

    def _most_faulty(self, faults: np.ndarray | None) -> tuple[int, int] | None:
        if faults is None:
            return None
        faulty = self._measured[faults[self._measured] != 0]
        if 2 * len(faulty) <= len(self._measured):
            return None
        return int(faulty[0]), int(faults[faulty[0]])

    def _accept_as_normal(self) -> None:
        self._reference.restart()
        for index in range(max(0, self._pushed - self._delay), self._pushed):
            self._reference.add(self._ring[index % self._size])
        self._due_from, self.held, self._confidence = self._pushed, 0, math.nan


class _Mean:
    """The mean of the latest accepted rows.

    Attributes:
        accepted: number of rows accepted.
        mean: (F,) float64; 0 where it is not known.
        known: (F,) bool.
    """

    def __init__(self, options: Reference, width: int) -> None:
        self._ring = np.full((options.rows, width), np.nan, np.float32)
        self._least = options.min_rows
        self.restart()

    def restart(self) -> None:
        width = self._ring.shape[1]
        self._ring.fill(np.nan)
        self._sums, self._counts = np.zeros(width), np.zeros(width, np.int64)
        self.accepted = 0
        self._whole = 0
        self.mean, self.known = np.zeros(width), np.zeros(width, bool)

    def add(self, row: np.ndarray) -> None:
        """Accept a row, (F,) float32, NaN where faulty."""
        at, size = self.accepted % len(self._ring), len(self._ring)
        leaving = self._ring[at].astype(np.float64)
        sound = not math.isnan(row.sum())
        if sound and self._whole >= size:
            self._sums += row - leaving
            self.mean = self._sums / size
        else:
            come, gone = np.isfinite(row), np.isfinite(leaving)
            self._sums += np.where(come, row, 0) - np.where(gone, leaving, 0)
            self._counts += come.astype(np.int64) - gone
            self.known = 2 * self._counts >= self._least
            self.mean = np.where(self.known, self._sums / np.maximum(self._counts, 1), 0)
        self._ring[at] = row
        self._whole = self._whole + 1 if sound else 0
        self.accepted += 1
