"""When rows are due: event time against monotonic time."""

from __future__ import annotations

import numpy as np

from edgeml.timestamps import SECOND

MAX_WAIT_S = 1.0
"""Maximum time for which a block waits to be full."""
LOOK_AHEAD = 8
"""Following rows that decide whether the time of a row is an outlier."""
_OUTLIER_NS = 60 * SECOND
"""Smaller steps of time are paced."""
_MAX_FIRST_STEP_NS = 86_400 * SECOND
"""From the first row to the next; a longer step means that the clock was not set yet at the first row."""


class Pacer:
    """Maps event time to monotonic time: `speed` event seconds a second; 0 is as fast as it goes.

    The first row is due at once, and so is a row that is far before the latest: from there on, time counts from it.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._origin: tuple[float, int] | None = None
        self._read_at = 0.0
        self._latest: int | None = None

    def steady(self, times: np.ndarray) -> np.ndarray:
        """The times by which the next rows of `times` (n,) int64 ns are paced.

        A row that is far ahead of most of the `LOOK_AHEAD` rows after it, or far behind its neighbors, is due with the row before it.
        Otherwise a row that is dated years ahead by mistake would block all following rows until then.
        """
        before = self._latest
        if len(times) < 2:
            return times
        first_step_is_valid = int(times[1]) - int(times[0]) <= _MAX_FIRST_STEP_NS if before is None else int(times[0]) >= before
        if first_step_is_valid and bool(np.all(times[1:] >= times[:-1])):
            return times
        out = times.copy()
        for row in range(len(times) - 1):
            at, middle = int(times[row]), int(np.median(times[row + 1 : row + 1 + LOOK_AHEAD]))
            ahead = middle < at - _OUTLIER_NS
            behind = before is not None and at < before - _OUTLIER_NS <= middle
            first = before is None and middle > at + _MAX_FIRST_STEP_NS
            if ahead or behind or first:
                out[row] = middle if before is None else before
            before = int(out[row])
        return out

    def due(self, now: float, times: np.ndarray) -> int:
        """Number of the next rows that are due; `times` (n,) int64 ns. A row whose time runs backwards is due with its predecessor."""
        if self.speed == 0 or not len(times):
            return len(times)
        origin = self._start(now, int(times[0]))
        self._read_at = now
        due_at = origin[0] + (np.maximum.accumulate(times) - origin[1]) / (1e9 * self.speed)
        due = int(np.searchsorted(due_at, now + 1e-6, side="right"))
        if due:
            self._latest = int(times[:due].max())
        return due

    def behind_ns(self, now: float, time: int) -> float:
        """Nanoseconds since a row of that time was due; negative: until it is due. 0 before the first row."""
        if self._origin is None or self.speed == 0:
            return 0.0
        return (now - self._origin[0]) * 1e9 * self.speed - (time - self._origin[1])

    def begin(self, at: float, first_ns: int) -> None:
        """Set the monotonic time `at` at which the first row, of event time `first_ns`, is due."""
        self._origin, self._read_at = (at, first_ns), at - MAX_WAIT_S

    def shift(self, ns: int) -> None:
        """Move the event times of all following rows; they are due as before."""
        if self._origin is not None:
            self._origin = self._origin[0], self._origin[1] + ns

    def wait(self, now: float, first_ns: int, full_ns: int) -> float:
        """Seconds until the next read; the next row is of `first_ns`, and the row that fills a block of `full_ns`."""
        if self.speed == 0:
            return 0.0
        at, since = self._start(now, first_ns)
        first, full = (at + (time - since) / (1e9 * self.speed) for time in (first_ns, full_ns))
        return max(0.0, max(first, min(full, self._read_at + MAX_WAIT_S)) - now)

    def _start(self, now: float, first_ns: int) -> tuple[float, int]:
        if self._origin is None or (self._latest is not None and first_ns < self._latest - _OUTLIER_NS):
            self.begin(now, first_ns)
            self._latest = first_ns
        assert self._origin is not None
        return self._origin
