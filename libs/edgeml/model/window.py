"""The recent rows of one asset as the model's input: one ring buffer for each view, a few small numpy operations per row."""

from __future__ import annotations

from collections import deque

import numpy as np

from edgeml.model.manifest import Manifest


class Window:
    """Rows of deviations, and the model's input computed from them.

    A row may have faulty values. A step of a view is the mean of its good values; a step with less than half of them good is 0 (the
    baseline's mean). Steps from before the start of the window repeat its first complete step, so that a window that starts away from the
    baseline's mean does not look like a jump; until there is one, they are 0.

    Attributes:
        rows: rows added since the start of the window, or since the last gap.
        count: rows added since the start of the window, across gaps.
        latest: (c,) mean deviation in the last step of the view with the longest steps, in standard deviations; NaN where unknown.
    """

    def __init__(self, manifest: Manifest, relative_spread: np.ndarray) -> None:
        """Args:
        relative_spread: (views, c): the spread of each view's steps as a share of the channel's standard deviation.
        """
        c = len(manifest.channels)
        self._views = manifest.views
        self._gain = (1.0 / relative_spread).astype(np.float32)
        self._clip = np.float32(manifest.clip)
        # Every row is written twice, one length apart, so that the newest rows are always contiguous.
        self._rings = [np.zeros((2 * view.rows, c), np.float32) for view in self._views]
        self._depth = max(view.every for view in self._views)
        self._values = np.zeros((2 * self._depth, c), np.float32)
        self._good = np.zeros((2 * self._depth, c), np.float32)
        self._times: deque[int] = deque(maxlen=max(view.rows for view in self._views))
        self._short = min(view.rows for view in self._views)
        self._fault_age = np.full(c, self._short, np.int64)
        self._fault_code = np.zeros(c, np.uint8)
        self.count = 0
        self.rows = 0
        self.latest = np.full(c, np.nan, np.float32)

    @property
    def start(self) -> int | None:
        """Event time of the oldest row held, ns."""
        return self._times[0] if self._times else None

    def restart(self) -> None:
        """Discard all rows."""
        for ring in (*self._rings, self._values, self._good):
            ring.fill(0)
        self._times.clear()
        self._fault_age.fill(self._short)
        self.latest.fill(np.nan)
        self.count = self.rows = 0

    def interrupt(self) -> None:
        """Mark a gap before the next row: `rows` restarts at 0, while the views keep their earlier rows."""
        self.rows = 0

    def push(self, time: int, deviations: np.ndarray, faults: np.ndarray | None = None) -> None:
        """Add the next row.

        Args:
            deviations: (c,) in standard deviations; any number where faulty.
            faults: (c,) uint8, quality codes of the faulty values, 0 for good; None when all are good.
        """
        good: np.ndarray | float = 1.0
        self._fault_age += 1
        if faults is not None:
            bad = faults != 0
            self._fault_age[bad] = 0
            self._fault_code[bad] = faults[bad]
            deviations = np.where(bad, np.float32(0), deviations)
            good = ~bad
        at = self.count % self._depth
        self._values[at] = self._values[at + self._depth] = deviations
        self._good[at] = self._good[at + self._depth] = good
        end = at + self._depth + 1
        for view, ring, gain in zip(self._views, self._rings, self._gain, strict=True):
            if view.every == 1:
                mean, known = self._values[at], None
            else:
                count = self._good[end - view.every : end].sum(0)
                known = count * 2 >= view.every
                mean = self._values[end - view.every : end].sum(0) / np.maximum(count, 1)
                mean = np.where(known, mean, np.float32(0))
            if view.every == self._depth:
                self.latest = mean.copy() if known is None else np.where(known, mean, np.float32(np.nan))
            if self.count == view.every - 1:
                ring[:] = mean * gain
            place = self.count % view.rows
            ring[place] = ring[place + view.rows] = mean * gain
        self._times.append(time)
        self.count += 1
        self.rows += 1

    def ready(self, rows: int, rows_after_gap: int) -> bool:
        """Whether there are enough rows for a decision: `rows` since the start, and `rows_after_gap` since the last gap."""
        return self.count >= rows and self.rows >= rows_after_gap

    def forget(self) -> None:
        """Discard all rows."""
        self.restart()

    def decided(self, confidence: float) -> None:
        """Note the confidence of the latest row's decision, which changes nothing here."""

    def fault(self) -> tuple[int, int] | None:
        """The latest faulty value in the shortest view: (channel, quality code), or None if all its values are good."""
        channel = int(self._fault_age.argmin())
        if self._fault_age[channel] >= self._short:
            return None
        return channel, int(self._fault_code[channel])

    def features(self) -> np.ndarray:
        """The model's input: (steps, views * c) float32, oldest step first, clipped."""
        parts = []
        for view, ring in zip(self._views, self._rings, strict=True):
            end = (self.count - 1) % view.rows + view.rows + 1
            parts.append(ring[end - view.rows : end][view.every - 1 :: view.every])
        stacked = np.concatenate(parts, axis=1)
        return np.clip(stacked, -self._clip, self._clip, out=stacked)
