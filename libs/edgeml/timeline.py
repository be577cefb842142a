"""Where the rows of one series are in time, and which of them are out of line. Pure: event times in, flags out.

A series has one *line*: event times that rise from row to row. A row whose time does not come after the latest one, or that is dated far
ahead of the clock, is *out of line*: it is flagged and moves nothing, so that one wrong time does not make every later row look late.
Rows out of line that go on rising for a while are the line from then on: a clock was set. Back in time this begins another *epoch* of the
series, in which earlier times are new; forward it is a gap.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeml.messages import AHEAD, BACKWARDS
from edgeml.timestamps import SECOND

LASTING_ROWS = 5
"""Rows out of line that must follow each other, rising, before they can become the line."""
LASTING_S = 10.0
AHEAD_S = 60.0
_NEVER = 2**63 - 1


class Timeline:
    """The line of one series.

    Attributes:
        latest: event time of the latest row in line, ns; None before the first.
        epoch: how often the line went back in time.
        strayed: rows out of line since the latest one in line.

    Args:
        lasting_s: event seconds that rows out of line must span before they become the line; 0: they never do.
        ahead_s: how far ahead of the clock, or of the latest row where that is later, a row may be dated.
    """

    def __init__(self, lasting_s: float = LASTING_S, ahead_s: float = AHEAD_S) -> None:
        self._lasting, self._ahead = round(lasting_s * SECOND), round(ahead_s * SECOND)
        self.latest: int | None = None
        self.epoch = 0
        self.strayed = 0
        self._stray: tuple[int, int, int] | None = None  # first and last time and number of the rising rows out of line

    def place(self, times: np.ndarray, now_ns: int | None = None) -> tuple[np.ndarray, list[int]]:
        """Place the rows that follow.

        Args:
            times: (n,) int64 event times, ns.
            now_ns: the wall clock; None: no row of this series is ahead of any clock.

        Returns:
            (n,) uint8: 0 in line, else `BACKWARDS` or `AHEAD`; and the indices of rows that begin an epoch.
        """
        flags = np.zeros(len(times), np.uint8)
        limit = _NEVER if now_ns is None else now_ns + self._ahead
        if not len(times):
            return flags, []
        after = self.latest is None or int(times[0]) > self.latest
        if after and int(times[-1]) <= limit and bool(np.all(times[1:] > times[:-1])):
            self._in_line(int(times[-1]))
            return flags, []
        begins = []
        for row, at in enumerate(times.tolist()):
            if self.latest is not None and at <= self.latest:
                kind = BACKWARDS
            elif at > limit and (self.latest is None or at > self.latest + self._ahead):
                kind = AHEAD
            else:
                self._in_line(at)
                continue
            self.strayed += 1
            if self._lasts(at):
                if kind == BACKWARDS:
                    self.epoch += 1
                    begins.append(row)
                self._in_line(at)
            else:
                flags[row] = kind
        return flags, begins

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return {"latest": self.latest, "epoch": self.epoch, "stray": self._stray}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state()`; what an earlier version did not keep is as at the beginning.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: it is none.
        """
        latest, epoch, stray = state["latest"], state.get("epoch", 0), state.get("stray")
        if not isinstance(latest, int | None) or not isinstance(epoch, int) or epoch < 0:
            raise ValueError("no state of a timeline")
        if stray is not None:
            first, last, rows = stray
            stray = int(np.int64(first)), int(np.int64(last)), int(rows)
        self.latest, self.epoch = None if latest is None else int(np.int64(latest)), epoch
        self._stray = stray
        self.strayed = stray[2] if stray else 0

    def _in_line(self, at: int) -> None:
        self.latest, self._stray, self.strayed = at, None, 0

    def _lasts(self, at: int) -> bool:
        """Whether the rows out of line, of which this is the latest, have gone on for long enough to be the line."""
        if self._stray is None or at <= self._stray[1]:
            self._stray = at, at, 1
            return False
        first, _, rows = self._stray
        self._stray = first, at, rows + 1
        return bool(self._lasting) and rows + 1 >= LASTING_ROWS and at - first >= self._lasting
