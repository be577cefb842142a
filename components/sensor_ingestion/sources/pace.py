"""When rows are due: event time against monotonic time."""

from __future__ import annotations

import numpy as np

LONGEST_WAIT_S = 1.0
"""A block waits at most this long for being full."""


class Pace:
    """Maps event time to monotonic time: `speed` event seconds a second; 0 is as fast as it goes.

    The first row is due at once, whenever that is.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._origin: tuple[float, int] | None = None
        self._read_at = 0.0

    def due(self, now: float, times: np.ndarray) -> int:
        """How many of the coming rows are due; `times` (n,) int64 ns. A time that runs backwards is due with its predecessor."""
        if self.speed == 0 or not len(times):
            return len(times)
        origin = self._start(now, int(times[0]))
        self._read_at = now
        due_at = origin[0] + (np.maximum.accumulate(times) - origin[1]) / (1e9 * self.speed)
        return int(np.searchsorted(due_at, now + 1e-6, side="right"))

    def behind_ns(self, now: float, time: int) -> float:
        """Nanoseconds since a row of that time was due; negative: until it is. 0 before the first row."""
        if self._origin is None or self.speed == 0:
            return 0.0
        return (now - self._origin[0]) * 1e9 * self.speed - (time - self._origin[1])

    def begin(self, at: float, first_ns: int) -> None:
        """The first row, of `first_ns`, is due at `at`."""
        self._origin, self._read_at = (at, first_ns), at - LONGEST_WAIT_S

    def shift(self, ns: int) -> None:
        """The event times of all rows to come have moved by that much, and they are due as before."""
        if self._origin is not None:
            self._origin = self._origin[0], self._origin[1] + ns

    def wait(self, now: float, first_ns: int, full_ns: int) -> float:
        """Seconds until it is worth while to read: the next row is of `first_ns`, the one that fills a block of `full_ns`."""
        if self.speed == 0:
            return 0.0
        at, since = self._start(now, first_ns)
        first, full = (at + (time - since) / (1e9 * self.speed) for time in (first_ns, full_ns))
        return max(0.0, max(first, min(full, self._read_at + LONGEST_WAIT_S)) - now)

    def _start(self, now: float, first_ns: int) -> tuple[float, int]:
        if self._origin is None:
            self.begin(now, first_ns)
        assert self._origin is not None
        return self._origin
