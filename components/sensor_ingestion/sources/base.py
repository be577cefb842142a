"""What a source is, and what it gives: channels with units and plausible ranges, and blocks of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Channel(NamedTuple):
    """One measured quantity.

    Attributes:
        name, unit: as in messages.
        low, high: what the quantity can plausibly be; a reading outside is the sensor's fault.
        stuck_after_s: exactly unchanged for that long is the sensor's fault too; 0: never.
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
        values: (n, c) float32, NaN where there is none.
    """

    times: np.ndarray
    values: np.ndarray


class Clocks(NamedTuple):
    """The two clocks of a source.

    Attributes:
        monotonic: seconds.
        wall_ns: nanoseconds since the epoch, for rows that carry no time and for what begins now.
    """

    monotonic: Callable[[], float]
    wall_ns: Callable[[], int]


class Source(Protocol):
    """A machine's sensors: blocks of rows, in the order in which they were measured.

    Attributes:
        channels: what it measures.
        paced: it can wait for its consumers, because it does not run at a real machine's speed.
        own_time: its event times are computed, and no clock dated them, so they may be ahead of this device's.
        actions: what it can be commanded to do; empty: it hears no commands.
        finished: no row will come any more.
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

    def read(self, now: float, most: int) -> RowBlock | None:
        """At most `most` rows that are due at the monotonic time `now`; None when there are none."""

    def wait(self, now: float, most: int) -> float:
        """Seconds from `now` until `read` is worth while; it waits for `most` rows, but never more than a second."""

    def checkpoint(self) -> dict[str, Any] | None:
        """JSON-able: what its constructor needs in order to go on with the next row; None: it cannot go back anyway."""

    def close(self) -> None:
        """Give back what it holds."""


MAX_FAULTS = 20
