"""The demo's output as plain lines, for a pipe, a log or `--headless`."""

from __future__ import annotations

import math
import sys
from typing import TextIO

from edgeml.timestamps import SECOND, to_iso
from edgeml_cli.demo.recorder import AssetTrace, Event, Recorder
from edgeml_cli.demo.statistics import Statistics

READINGS_EVERY_S = 60.0
"""Event seconds between two lines of readings."""


class TextView:
    """A `View` that prints a line for each event, and one with readings now and then."""

    def __init__(self, trace: Recorder, tally: Statistics, out: TextIO | None = None) -> None:
        self._trace, self._tally, self._out = trace, tally, out or sys.stdout
        self._shown: dict[str, int] = {}

    def say(self, text: str) -> None:
        """A line about the set-up or the end."""
        print(text, file=self._out, flush=True)

    def event(self, event: Event) -> None:
        self.say(f"{clock(event.at)}  {event.text}")

    def tick(self, now: float) -> None:
        """Print readings where an asset is due."""
        for name, asset in self._trace.assets.items():
            at = asset.last_time
            if at is None or at - self._shown.get(name, -(1 << 62)) < READINGS_EVERY_S * SECOND:
                continue
            self._shown[name] = at
            self.say(f"{clock(at)}  {name}: {readings(asset)} | {verdict(asset)} | alarm {alarm_state(self._tally, name)}")

    def close(self) -> None:
        pass


def clock(at: int | None) -> str:
    """`12:34:56`, the event time in UTC; blank where there is none."""
    return " " * 8 if at is None else to_iso(at)[11:19]


def number(value: float) -> str:
    """A reading in at most 6 characters."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    return f"{value:.3f}" if size < 1 else f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:.4g}"


def readings(asset: AssetTrace) -> str:
    columns = zip(asset.channels, asset.units, asset.last_values.tolist(), strict=True)
    return " ".join(f"{name} {number(value)} {unit}" for name, unit, value in columns)


def verdict(asset: AssetTrace) -> str:
    """The last result in words."""
    if asset.last_confidence is not None:
        return f"confidence {asset.last_confidence:.2f}"
    return f"no decision: {asset.last_reason}" if asset.last_reason else "no result yet"


def alarm_state(tally: Statistics, asset: str) -> str:
    """The state of the asset's latest alarm, `none` before the first."""
    states = [alarm.state for alarm in tally.alarms.values() if alarm.asset == asset]
    return states[-1] if states else "none"
