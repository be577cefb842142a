"""Simulated machines for the tests: channels that move together, cycles, operating modes, drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from model_training.history import Channel, History, Recording
from model_training.history.records import FileRows

START_NS = 1_767_571_200 * 10**9
"""2026-01-05T00:00Z, a Monday."""


@dataclass(frozen=True)
class Plant:
    """Settings of a simulated machine.

    Attributes:
        day: amplitude of a daily cycle.
        mode: effect of an operating mode, which becomes a context channel.
        drift: standard deviation of a random walk, per row.
    """

    channels: int = 6
    interval_s: float = 60.0
    day: float = 0.0
    mode: float = 0.0
    drift: float = 0.0

    def values(self, rows: int, seed: int) -> np.ndarray:
        """(rows, channels) of normal running; the last channel is the mode, if there is one."""
        random = np.random.default_rng(seed)
        shape = np.random.default_rng(99)  # the same machine, whatever the rows
        mix, daily, reaction = shape.normal(0, 1, (2, self.channels)), shape.normal(0, 1, self.channels), shape.normal(0, 1, self.channels)
        common = np.zeros((rows, 2))
        for row, shock in enumerate(random.normal(0, 0.3, (rows, 2))):
            common[row] = 0.9 * common[row - 1] + shock
        times = np.arange(rows) * self.interval_s
        mode = np.repeat(random.integers(0, 3, rows // 50 + 1), 50)[:rows]
        followed = np.zeros(rows)
        for row in range(rows):
            followed[row] = followed[row - 1] + (mode[row] - followed[row - 1]) / 8
        out = common @ mix + random.normal(0, 0.3, (rows, self.channels))
        out += self.day * np.outer(np.sin(2 * np.pi * times / 86_400), daily) + self.mode * np.outer(followed, reaction)
        out += np.cumsum(random.normal(0, self.drift, (rows, self.channels)), axis=0)
        return np.column_stack([out, mode]) if self.mode else out

    def history(self, values: np.ndarray, labels: np.ndarray | None = None, begin_s: float = 0.0) -> History:
        """A history of one recording."""
        rows = len(values)
        times = START_NS + ((begin_s + np.arange(rows) * self.interval_s) * 1e9).astype(np.int64)
        channels = tuple(Channel(f"c{number}") for number in range(self.channels))
        if self.mode:
            channels = (*channels, Channel("mode", role="context"))
        recording = Recording(
            "history.csv",
            times,
            values.astype(np.float32),
            labels,
            None,
            np.zeros(rows, bool),
            np.zeros(rows, np.int32),
            np.arange(rows),
        )
        return History((recording,), channels, self.interval_s, (), (FileRows("history.csv", ("",) * rows),))
