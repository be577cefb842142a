"""Quality flags of readings. Pure checks over blocks, with a state that is carried from block to block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from edgeml.messages import GAP, MISSING, OUT_OF_RANGE, STUCK
from edgeml.timeline import AHEAD_S, RESYNC_S, Timeline
from edgeml.timestamps import SECOND
from sensor_ingestion.sources.base import Channel


class Part(NamedTuple):
    """Consecutive rows of one epoch.

    Attributes:
        rows: their indices among the rows that were checked.
        quality: (n, c) uint8 codes.
        epoch: see `edgeml.timeline`.
        end_ns: event time of the latest row in order, of this part or before; 0 before the first.
    """

    rows: slice
    quality: np.ndarray
    epoch: int
    end_ns: int


class QualityChecker:
    """Flags the values of one asset, block by block; the division into blocks makes no difference.

    A value gets one flag, the first that applies: time running backwards or ahead of the clock, missing, out of range, stuck, after a gap.

    Args:
        channels: c channels with their ranges and `stuck_after_s`.
        max_gap_s: event seconds between rows; the first row after a longer gap is flagged.
        stopped_channel, stopped_below: the machine is stopped while that channel is below that value; no value is stuck then.
        lasting_s, ahead_s: see `edgeml.timeline`.

    Attributes:
        timeline: the order of the rows in time.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        max_gap_s: float = 5.0,
        stopped_channel: str = "current",
        stopped_below: float = 0.2,
        lasting_s: float = RESYNC_S,
        ahead_s: float = AHEAD_S,
    ) -> None:
        self._low = np.array([channel.low for channel in channels], "f8")
        self._high = np.array([channel.high for channel in channels], "f8")
        hold = np.array([channel.stuck_after_s for channel in channels])
        self._hold_ns = np.where(hold > 0, hold * SECOND, np.inf)
        self._gap_ns = max_gap_s * SECOND
        names = [channel.name for channel in channels]
        self._stopped = names.index(stopped_channel) if stopped_channel in names else None
        self._stopped_below = stopped_below
        self.timeline = Timeline(lasting_s, ahead_s)
        self._last = np.full(len(channels), np.nan, "f4")
        self._since = np.zeros(len(channels), np.int64)  # event time since which each value is unchanged

    def state(self) -> dict[str, Any]:
        """The state, JSON-able."""
        # JSON has no NaN, and a missing value is unequal to its successor anyway.
        last = [None if np.isnan(value) else float(value) for value in self._last]
        return {**self.timeline.state(), "last": last, "since": [int(at) for at in self._since]}

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a `state()` of the same channels.

        Raises:
            ValueError, TypeError, KeyError, OverflowError: it is invalid.
        """
        last = np.array([np.nan if value is None else value for value in state["last"]], "f4")
        since = np.array(state["since"], np.int64)
        if last.shape != self._last.shape or since.shape != self._since.shape:
            raise ValueError("the saved quality state has other channels")
        self.timeline.resume(state)
        self._last, self._since = last, since

    def check(self, times: np.ndarray, values: np.ndarray, now_ns: int | None = None) -> np.ndarray:
        """Quality codes (n, c) uint8 for times (n,) int64 ns and values (n, c) float32; `now_ns` as in `parts`."""
        parts = self.parts(times, values, now_ns)
        return np.concatenate([np.zeros((0, values.shape[1]), np.uint8), *(part.quality for part in parts)])

    def parts(self, times: np.ndarray, values: np.ndarray, now_ns: int | None = None) -> list[Part]:
        """Quality codes of rows, divided where an epoch begins; usually one part.

        Args:
            times, values: as `check`.
            now_ns: the wall clock; None: the rows' times do not come from a clock, so they are not compared with it.
        """
        before = self.timeline.latest
        flags, begins = self.timeline.place(times, now_ns)
        epoch = self.timeline.epoch - len(begins)
        parts = []
        cuts = sorted({0, *begins, len(times)})
        for start, end in zip(cuts, cuts[1:], strict=False):
            begun = start in begins
            if begun:
                epoch, before = epoch + 1, None
                self._last.fill(np.nan)
                self._since.fill(0)
            rows = slice(start, end)
            quality, before = self._flagged(times[rows], values[rows], flags[rows], before, begun)
            parts.append(Part(rows, quality, epoch, before or 0))
        return parts

    def _flagged(
        self, times: np.ndarray, values: np.ndarray, flags: np.ndarray, before: int | None, begun: bool
    ) -> tuple[np.ndarray, int | None]:
        """The codes of rows of one epoch, and the latest time in order after them; `before`: the one before them."""
        quality = np.zeros(values.shape, np.uint8)
        sound = flags == 0
        first = before if before is not None else int(times[sound][0]) - 1 if sound.any() else 0
        latest = np.maximum.accumulate(np.concatenate([[first], np.where(sound, times, first)]))
        gap = (times - latest[:-1] > self._gap_ns) & sound
        gap[0] |= begun
        quality[gap] = GAP
        quality[self._stuck(times, values, latest[1:], gap)] = STUCK
        with np.errstate(invalid="ignore"):
            quality[(values < self._low) | (values > self._high)] = OUT_OF_RANGE
        quality[np.isnan(values)] = MISSING
        quality[~sound] = flags[~sound, None]
        return quality, int(latest[-1]) if before is not None or sound.any() else None

    def _stuck(self, times: np.ndarray, values: np.ndarray, latest: np.ndarray, gap: np.ndarray) -> np.ndarray:
        changed = values != np.concatenate([self._last[None], values[:-1]])  # NaN differs from everything
        changed[gap] = True
        if self._stopped is not None:
            changed[values[:, self._stopped] < self._stopped_below] = True
        since = np.where(changed, latest[:, None], self._since)
        since = np.maximum.accumulate(since, axis=0)
        self._last, self._since = values[-1].copy(), since[-1]
        return latest[:, None] - since >= self._hold_ns
