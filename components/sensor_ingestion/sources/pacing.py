"""When rows are due: event time against monotonic time."""

from __future__ import annotations

import numpy as np

from edgeml.timestamps import SECOND

LONGEST_WAIT_S = 1.0
"""A block waits at most this long for being full."""
LOOK_AHEAD = 8
"""Rows after a row that show whether its time is out of line."""
_ASTRAY_NS = 60 * SECOND
"""A smaller step of time is waited for, or caught up with."""
_FIRST_NS = 86_400 * SECOND
"""From the first row to the next: what is longer is a first row of a clock that was not set yet."""


class Pacer:
    """Maps event time to monotonic time: `speed` event seconds a second; 0 is as fast as it goes.

    The first row is due at once, whenever that is, and so is one that is far before the latest: from there on time is counted from it.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._origin: tuple[float, int] | None = None
        self._read_at = 0.0
        self._latest: int | None = None

    def steady(self, times: np.ndarray) -> np.ndarray:
        """What the coming rows of `times` (n,) int64 ns wait for, by the `LOOK_AHEAD` rows after each: one that is far ahead of most of
        these, or far behind what was before it and them, is due with the row before it. A row that is dated years ahead by mistake would
        hold up all behind it until then.
        """
        before = self._latest
        if len(times) < 2:
            return times
        begins_well = int(times[1]) - int(times[0]) <= _FIRST_NS if before is None else int(times[0]) >= before
        if begins_well and bool(np.all(times[1:] >= times[:-1])):
            return times
        out = times.copy()
        for row in range(len(times) - 1):
            at, middle = int(times[row]), int(np.median(times[row + 1 : row + 1 + LOOK_AHEAD]))
            ahead = middle < at - _ASTRAY_NS
            behind = before is not None and at < before - _ASTRAY_NS <= middle
            first = before is None and middle > at + _FIRST_NS
            if ahead or behind or first:
                out[row] = middle if before is None else before
            before = int(out[row])
        return out

    def due(self, now: float, times: np.ndarray) -> int:
        """How many of the coming rows are due; `times` (n,) int64 ns. A time that runs backwards is due with its predecessor."""
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
        if self._origin is None or (self._latest is not None and first_ns < self._latest - _ASTRAY_NS):
            self.begin(now, first_ns)
            self._latest = first_ns
        assert self._origin is not None
        return self._origin
