"""The demo's output as plain lines: for a pipe, a log file or `--headless`."""

from __future__ import annotations

import math
import sys
from typing import TextIO

from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.demo.recorder import AssetHistory, Event, Recorder
from edgeml_cli.demo.statistics import Statistics
from edgeml_cli.demo.summary import short

READINGS_INTERVAL_S = 60.0
"""Seconds of event time between two lines of readings."""
MOST_READINGS = 24
"""Lines of readings in a run of more than a day."""
MOST_CHANNELS = 8
"""Channels in a line of readings."""


class TextView:
    """A `View` that prints one line for each event, and the readings at an interval of event time."""

    def __init__(self, recorder: Recorder, stats: Statistics, out: TextIO | None = None) -> None:
        self._recorder, self._stats, self._out = recorder, stats, out or sys.stdout
        self._last_shown: dict[str, int] = {}
        self._interval_s = max(READINGS_INTERVAL_S, recorder.span_s / MOST_READINGS) if recorder.dated else READINGS_INTERVAL_S

    def show_event(self, event: Event) -> None:
        self._print_line(f"{clock(event.at, self._recorder.dated)}  {event.text}")

    def refresh(self, now: float) -> None:
        """Print the readings of each asset whose interval has passed."""
        for name, asset in self._recorder.assets.items():
            at = asset.last_time
            if at is None or at - self._last_shown.get(name, -(1 << 62)) < self._interval_s * SECOND:
                continue
            self._last_shown[name] = at
            result = f"{latest_result(asset)} | alarm {alarm_state(self._stats, name)}"
            self._print_line(f"{clock(at, self._recorder.dated)}  {name}: {readings(asset)} | {result}")

    def close(self) -> None:
        pass

    def _print_line(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def clock(at: int | None, dated: bool = False) -> str:
    """The event time in UTC, `12:34:56` or `02-05 12:34`; blank if there is none."""
    return " " * (11 if dated else 8) if at is None else short(to_iso(at), dated)


def number(value: float) -> str:
    """A reading in at most 6 characters."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    return f"{value:.3f}" if size < 1 else f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:.4g}"


def readings(asset: AssetHistory) -> str:
    columns = list(zip(asset.channels, asset.units, asset.last_values.tolist(), strict=True))
    shown = [f"{name} {number(value)} {unit}".rstrip() for name, unit, value in columns[:MOST_CHANNELS]]
    further = len(columns) - len(shown)
    return ", ".join([*shown, f"{further} more"] if further else shown)


def latest_result(asset: AssetHistory) -> str:
    """The latest result as text."""
    if asset.last_confidence is not None:
        return f"confidence {asset.last_confidence:.2f}"
    return f"no decision: {asset.last_reason}" if asset.last_reason else "no result yet"


def alarm_state(stats: Statistics, asset: str) -> str:
    """The state of the asset's latest alarm; `none` before the first alarm."""
    states = [alarm.state for alarm in stats.alarms.values() if alarm.asset == asset]
    return states[-1] if states else "none"
