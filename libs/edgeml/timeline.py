"""Checks the event times of one series, and flags implausible ones. Pure: event times in, flags out.

The event times of a series increase from row to row. A row is *out of order* if its time is not after the latest one, or far ahead of the
clock. It is flagged and does not change the latest time, so that one wrong time does not make every later row look late. Rows out of order
whose times keep increasing for a while mean that a clock was set; they become the series. A step back in time starts another *epoch* of
the series, in which earlier times are new; a step forward is a gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeml.messages import AHEAD, BACKWARDS
from edgeml.timestamps import SECOND

RESYNC_ROWS = 5
"""Number of successive rows out of order, with increasing times, before they can become the series."""
RESYNC_S = 10.0
AHEAD_S = 60.0
_NEVER = 2**63 - 1


class Timeline:
    """The event times of one series.

    Attributes:
        latest: event time of the latest row in order, ns; None before the first.
        epoch: number of steps back in time.
        strayed: rows out of order since the latest one in order.

    Args:
        resync_s: event seconds that rows out of order must span before they become the series; 0: they never do.
        ahead_s: maximum seconds by which a row may be ahead of the clock, or of the latest row if that is later.
    """

    def __init__(self, resync_s: float = RESYNC_S, ahead_s: float = AHEAD_S) -> None:
        self._resync, self._ahead = round(resync_s * SECOND), round(ahead_s * SECOND)
        self.latest: int | None = None
        self.epoch = 0
        self.strayed = 0
        self._stray: tuple[int, int, int] | None = None  # first time, last time and number of the increasing rows out of order

    def place(self, times: np.ndarray, now_ns: int | None = None) -> tuple[np.ndarray, list[int]]:
        """Check the next rows.

        Args:
            times: (n,) int64 event times, ns.
            now_ns: the wall clock; None: rows of this series are never ahead of it.

        Returns:
            (n,) uint8: 0 in order, else `BACKWARDS` or `AHEAD`; and the indices of rows that start an epoch.
        """
        flags = np.zeros(len(times), np.uint8)
        limit = _NEVER if now_ns is None else now_ns + self._ahead
        if not len(times):
            return flags, []
        after = self.latest is None or int(times[0]) > self.latest
        if after and int(times[-1]) <= limit and bool(np.all(times[1:] > times[:-1])):
            self._accept(int(times[-1]))
            return flags, []
        epoch_starts = []
        for row, at in enumerate(times.tolist()):
            if self.latest is not None and at <= self.latest:
                kind = BACKWARDS
            elif at > limit and (self.latest is None or at > self.latest + self._ahead):
                kind = AHEAD
            else:
                self._accept(at)
                continue
            self.strayed += 1
            if self._resyncs(at):
                if kind == BACKWARDS:
                    self.epoch += 1
                    epoch_starts.append(row)
                self._accept(at)
            else:
                flags[row] = kind
        return flags, epoch_starts

    def state(self) -> dict[str, Any]:
        """The state, as JSON values."""
        return {"latest": self.latest, "epoch": self.epoch, "stray": self._stray}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a `state()`; values that an earlier version did not save have their initial values.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: the state is invalid.
        """
        latest, epoch, stray = state["latest"], state.get("epoch", 0), state.get("stray")
        if not isinstance(latest, int | None) or not isinstance(epoch, int) or epoch < 0:
            raise ValueError("not the state of a timeline")
        if stray is not None:
            first, last, rows = stray
            stray = int(np.int64(first)), int(np.int64(last)), int(rows)
        self.latest, self.epoch = None if latest is None else int(np.int64(latest)), epoch
        self._stray = stray
        self.strayed = stray[2] if stray else 0

    def _accept(self, at: int) -> None:
        self.latest, self._stray, self.strayed = at, None, 0

    def _resyncs(self, at: int) -> bool:
        """Whether the rows out of order, up to this one, have lasted long enough to become the series."""
        if self._stray is None or at <= self._stray[1]:
            self._stray = at, at, 1
            return False
        first, _, rows = self._stray
        self._stray = first, at, rows + 1
        return bool(self._resync) and rows + 1 >= RESYNC_ROWS and at - first >= self._resync
