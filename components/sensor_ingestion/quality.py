"""What a reading is worth: pure checks over blocks, with what they must remember carried from block to block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeml.messages import BACKWARDS, GAP, MISSING, OUT_OF_RANGE, STUCK
from edgeml.times import SECOND
from sensor_ingestion.sources.block import Channel


class Checker:
    """Flags the values of one asset, block by block; how the rows are cut into blocks makes no difference.

    A value gets one flag; what says most comes first: time running backwards, missing, out of range, stuck, after a gap.

    Args:
        channels: c channels with their ranges and `stuck_after_s`.
        longest_gap_s: event seconds between rows; the first row after a longer gap is flagged.
        stopped_channel, stopped_below: the machine stands while that channel is below that value; nothing is stuck then.
    """

    def __init__(
        self, channels: Sequence[Channel], longest_gap_s: float = 5.0, stopped_channel: str = "current",
        stopped_below: float = 0.2,
    ) -> None:
        self._low = np.array([channel.low for channel in channels], "f8")
        self._high = np.array([channel.high for channel in channels], "f8")
        hold = np.array([channel.stuck_after_s for channel in channels])
        self._hold_ns = np.where(hold > 0, hold * SECOND, np.inf)
        self._gap_ns = longest_gap_s * SECOND
        names = [channel.name for channel in channels]
        self._stopped = names.index(stopped_channel) if stopped_channel in names else None
        self._stopped_below = stopped_below
        self._latest: int | None = None
        self._last = np.full(len(channels), np.nan, "f4")
        self._since = np.zeros(len(channels), np.int64)  # when each value was first read as it is now

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        # NaN is no JSON, and a missing value is unequal to its successor anyway.
        last = [None if np.isnan(value) else float(value) for value in self._last]
        return {"latest": self._latest, "last": last, "since": [int(at) for at in self._since]}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from a `state()` of the same channels.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: it is none.
        """
        latest = state["latest"]
        last = np.array([np.nan if value is None else value for value in state["last"]], "f4")
        since = np.array(state["since"], np.int64)
        if last.shape != self._last.shape or since.shape != self._since.shape or not isinstance(latest, int | None):
            raise ValueError("the state of other channels")
        self._latest, self._last, self._since = None if latest is None else int(np.int64(latest)), last, since

    def check(self, times: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Quality codes (n, c) uint8 for times (n,) int64 ns and values (n, c) float32."""
        n = len(times)
        quality = np.zeros(values.shape, np.uint8)
        if not n:
            return quality
        before = int(times[0]) - 1 if self._latest is None else self._latest
        latest = np.maximum.accumulate(np.concatenate([[before], times]))
        backwards = times <= latest[:-1]
        gap = (times - latest[:-1] > self._gap_ns) & ~backwards
        quality[gap] = GAP
        quality[self._stuck(times, values, latest[1:], gap)] = STUCK
        with np.errstate(invalid="ignore"):
            quality[(values < self._low) | (values > self._high)] = OUT_OF_RANGE
        quality[np.isnan(values)] = MISSING
        quality[backwards] = BACKWARDS
        self._latest = int(latest[-1])
        return quality

    def _stuck(self, times: np.ndarray, values: np.ndarray, latest: np.ndarray, gap: np.ndarray) -> np.ndarray:
        changed = values != np.concatenate([self._last[None], values[:-1]])  # NaN differs from everything
        changed[gap] = True
        if self._stopped is not None:
            changed[values[:, self._stopped] < self._stopped_below] = True
        since = np.where(changed, latest[:, None], self._since)
        since = np.maximum.accumulate(since, axis=0)
        self._last, self._since = values[-1].copy(), since[-1]
        return latest[:, None] - since >= self._hold_ns
