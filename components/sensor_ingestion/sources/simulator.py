"""The source `simulator`: a simulated pump skid that executes commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from edgeml.timestamps import SECOND, from_iso
from sensor_ingestion.sources.base import Clocks, RowBlock
from sensor_ingestion.sources.pacing import Pacer
from sensor_ingestion.sources.pump_physics import CHANNELS, FAULTS, NAMES, Fault, PumpSkid

CLOCK_STEP_NS = 2 * SECOND
"""Deviation of the wall clock from which on the rows follow it."""
MAX_TIME_NS = 4_102_444_800 * SECOND
"""2100."""


class SimulatorOptions(msgspec.Struct, frozen=True):
    """Options of the source `simulator`."""

    seed: Annotated[int, Meta(ge=0, description="which skid: operating point, drift and noise")] = 1
    speed: Annotated[float, Meta(ge=0, le=1_000_000, description="event seconds a second; 1: true speed, 0: as fast as possible")] = 1.0
    interval_s: Annotated[float, Meta(ge=0.001, le=3600, description="event seconds from row to row")] = 1.0
    start_time: Annotated[str, Meta(description="event time of the first row, ISO 8601; empty: now")] = ""
    duration_s: Annotated[float, Meta(ge=0, description="event seconds until it ends; 0: never")] = 0.0
    fault: Annotated[str, Meta(description="the fault of the skid, a name in FAULTS")] = "none"
    fault_start_s: Annotated[float, Meta(ge=0, description="event seconds from the first row to the fault")] = 900.0
    fault_ramp_s: Annotated[float, Meta(ge=0, description="event seconds in which the fault develops")] = 120.0
    fault_severity: Annotated[float, Meta(ge=0, le=1, description="how far the fault develops, 0 to 1")] = 0.8
    fault_channel: Annotated[str, Meta(description="the channel of a sensor-stuck fault")] = "vibration_1"

    def check(self, where: str) -> list[str]:
        faults = []
        prefix = f"{where}." if where else ""
        for key, table in (("fault", FAULTS), ("fault_channel", NAMES)):
            name = getattr(self, key)
            if name not in table:
                kind = key.replace("fault_", "")
                faults.append(f"`{prefix}{key}` is {name!r}, an unknown {kind}; choose one of {', '.join(table)}")
        if self.start_time:
            try:
                _in_range(from_iso(self.start_time))
            except (ValueError, OverflowError):
                expected = "expected an ISO 8601 time from 1970 to 2100, such as 2026-01-31T12:00:00Z"
                faults.append(f"`{prefix}start_time` is {self.start_time!r}; {expected}")
        return faults


class Simulator:
    """A `Source`. While its process is down the skid does not change, and it continues with its next row afterwards.

    At true speed and without a `start_time`, rows carry the wall clock's time, as those of a real reader: downtimes, suspends and steps of
    the clock are skipped.
    """

    channels = CHANNELS
    own_time = True

    def __init__(self, options: SimulatorOptions, clocks: Clocks, checkpoint: dict[str, Any] | None = None) -> None:
        self.paced = options.speed != 1
        self.faults: list[str] = []
        self._pacer = Pacer(options.speed)
        self._wall_ns = clocks.wall_ns if options.speed == 1 and not options.start_time else None
        self._monotonic = clocks.monotonic
        self._interval_ns = round(options.interval_s * SECOND)
        self._rows = round(options.duration_s / options.interval_s)
        fault = Fault(options.fault, options.fault_start_s, options.fault_ramp_s, options.fault_severity, options.fault_channel)
        self._skid = PumpSkid(options.seed, interval_s=options.interval_s, faults=[fault])
        if checkpoint is None:
            self._row = 0
            self._start_ns = from_iso(options.start_time) if options.start_time else clocks.wall_ns() // SECOND * SECOND
        else:
            self._row, self._start_ns = int(checkpoint["row"]), int(checkpoint["start_ns"])
            if self._start_ns < -MAX_TIME_NS:  # negative if the clock was set back by more than the skid had run
                raise ValueError("not from 1970 to 2100")
            _in_range(self._time(self._row))
            self._skid.resume(checkpoint["skid"])
            self._continue(clocks)
        self.actions: Mapping[str, Callable[[], None]] = {
            "stop": self._skid.stop,
            "start": self._skid.start,
            "restore": self._skid.restore,
        }

    @property
    def finished(self) -> bool:
        return bool(self._rows) and self._row >= self._rows

    def read(self, now: float, limit: int) -> RowBlock | None:
        if self._rows:
            limit = min(limit, self._rows - self._row)
        # Read both clocks now: since `now`, other assets may have waited for the broker.
        self._follow_clock(self._pacer.behind_ns(self._monotonic(), self._time(self._row)), CLOCK_STEP_NS)
        due = self._pacer.due(now, self._time(self._row + np.arange(limit, dtype=np.int64)))
        if due <= 0:
            return None
        rows = self._skid.step(due)
        self._row += due
        return RowBlock(self._time(rows.number), rows.values) if len(rows.number) else None

    def wait(self, now: float, limit: int) -> float:
        return self._pacer.wait(now, self._time(self._row), self._time(self._row + limit - 1))

    def checkpoint(self) -> dict[str, Any]:
        return {"row": self._row, "start_ns": self._start_ns, "skid": self._skid.state()}

    def close(self) -> None:
        pass

    def _continue(self, clocks: Clocks) -> None:
        """Start with a row of the present time, or wait for the next row if it is not due yet."""
        if self._wall_ns is None:
            return
        ahead = self._time(self._row) - self._wall_ns()
        if 0 < ahead <= self._interval_ns + CLOCK_STEP_NS:
            self._pacer.begin(clocks.monotonic() + ahead / SECOND, self._time(self._row))
        else:
            self._follow_clock(0.0, 0)

    def _follow_clock(self, due_ns: float, tolerated_ns: int) -> None:
        """Move the following rows by whole intervals, so that the next one, which was due `due_ns` ago, has the clock's time of then."""
        if self._wall_ns is None:
            return
        off = self._wall_ns() - self._time(self._row) - round(due_ns)
        if abs(off) > tolerated_ns:
            moved = off // self._interval_ns * self._interval_ns
            self._start_ns += moved
            self._pacer.shift(moved)

    def _time(self, row: Any) -> Any:
        return self._start_ns + row * self._interval_ns


def _in_range(ns: int) -> int:
    """Raise ValueError for a time from which event times would soon exceed 64 bits."""
    if not 0 <= ns <= MAX_TIME_NS:
        raise ValueError("not from 1970 to 2100")
    return ns
