"""The interface of a source: channels with units and plausible ranges, and blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Channel(NamedTuple):
    """One measured quantity.

    Attributes:
        name, unit: as in messages.
        low, high: the plausible range; a reading outside is a fault of the sensor.
        stuck_after_s: a reading that is exactly unchanged for that long is a fault of the sensor, too; 0: never.
    """

    name: str
    unit: str
    low: float = float("-inf")
    high: float = float("inf")
    stuck_after_s: float = 120.0


class RowBlock(NamedTuple):
    """Rows as a source read them.

    Attributes:
        times: (n,) int64, event time in ns since the epoch, as read: they may run backwards.
        values: (n, c) float32, NaN if missing.
    """

    times: np.ndarray
    values: np.ndarray


class Clocks(NamedTuple):
    """The two clocks of a source.

    Attributes:
        monotonic: seconds.
        wall_ns: nanoseconds since the epoch, for rows without a time and for a start now.
    """

    monotonic: Callable[[], float]
    wall_ns: Callable[[], int]


class Source(Protocol):
    """A machine's sensors: blocks of rows, in the order in which they were measured.

    Attributes:
        channels: the measured quantities.
        paced: it can wait for its consumers, because it does not run at a real machine's speed.
        own_time: its event times are computed, not read from a clock, so they may be ahead of this device's clock.
        actions: name -> function; empty: it executes no commands.
        finished: it has no further rows.
        faults: sentences about bad input so far, the latest last, at most `MAX_FAULTS`.
    """

    @property
    def channels(self) -> Sequence[Channel]: ...
    @property
    def paced(self) -> bool: ...
    @property
    def own_time(self) -> bool: ...
    @property
    def actions(self) -> Mapping[str, Callable[[], None]]: ...
    @property
    def finished(self) -> bool: ...
    @property
    def faults(self) -> Sequence[str]: ...

    def read(self, now: float, limit: int) -> RowBlock | None:
        """Read at most `limit` rows that are due at the monotonic time `now`; None if there are none."""

    def wait(self, now: float, limit: int) -> float:
        """Seconds from `now` until `limit` rows are due, or a part of them has waited for a second."""

    def checkpoint(self) -> dict[str, Any] | None:
        """The state from which its constructor continues with the next row, JSON-able; None: it cannot rewind."""

    def close(self) -> None:
        """Release its resources."""


MAX_FAULTS = 20
