"""The scenarios of the demo, each with its configuration and its expected outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeml.parsing.csv_records import Lines, cells, headings
from edgeml.parsing.readings import time_ns
from edgeml.storage.regular_files import open_plain
from edgeml.timestamps import SECOND
from edgeml_cli.demo.run_monitor import SOURCE
from edgeml_cli.demo.statistics import ObservedAlarm, Statistics
from edgeml_cli.demo.summary import duration, plural

ASSET = "pump-1"
DISPATCHER = "com.edgeml.AlertDispatcher"
SPEED = 60.0
"""Seconds of event time per second of wall-clock time, for the simulated pump."""
FAULT_START_S = 600.0
FAULT_RAMP_S = 40.0
DURATION_S = 1200.0
COMMAND_TIMEOUT_S = 3.0
"""Deadline of commands during a recording: no machine answers, so a short one ends the run sooner."""

NOTES = {
    "pressure": "The sensor's resolution is 0.328 bar, as on the real test rig, so the curve jumps between steps.",
}
"""Remarks, by channel, on properties of the simulated pump that a reader might take for a fault."""

Expect = Callable[[Statistics], list[str]]


@dataclass(frozen=True)
class Scenario:
    """One run of the demo.

    Attributes:
        title: short description for people.
        config: configuration to merge, by component.
        rows: number of rows that must be published; None if unknown beforehand.
        expect: returns one sentence for each difference from the expected outcome.
        limit_s: seconds after which the run is aborted.
        onset: event time in ns at which the fault begins, if known.
        pace: one sentence on the relation of event time to wall-clock time.
        notes: remarks on channels, by channel name.
        bundle: a bundle to deploy as a component; None: the shipped bundle is used.
        component: name and version of that component.
        span_s: seconds of event time that the run covers.
    """

    title: str
    config: dict[str, Any]
    rows: int | None
    expect: Expect
    limit_s: float
    onset: int | None = None
    pace: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    bundle: Path | None = None
    component: tuple[str, str] = ("", "")
    span_s: float = DURATION_S


def one_episode(stats: Statistics) -> list[str]:
    """Expect one active alarm, an executed stop command, a restored and restarted machine, and a cleared alarm."""
    if len(stats.raised) != 1:
        return [f"{plural(len(stats.raised), 'alarm')} became active, expected exactly 1"]
    alarm, problems = stats.raised[0], []
    of_alarm = [command for command in stats.commands.values() if command.alarm == alarm.id]
    for action in ("stop", "restore", "start"):
        if not any(command.action == action and command.acknowledged_at is not None for command in of_alarm):
            problems.append(f"the {action} command for alarm {alarm.id} was not executed")
    if alarm.cleared_at is None:
        problems.append(f"alarm {alarm.id} did not clear")
    return problems


def no_alarm(stats: Statistics) -> list[str]:
    """Expect no active alarm: the machine has no fault."""
    if not stats.raised:
        return []
    return [f"{plural(len(stats.raised), 'alarm')} became active, expected none"]


def some_row_scored(stats: Statistics) -> list[str]:
    """Expect at least one scored row; the alarms depend on the recording."""
    if stats.scored:
        return []
    return ["no row was scored: the model learns its baseline from the first 400 good rows; use a longer recording"]


FAULTS: dict[str, Expect] = {
    "none": no_alarm,
    "valve": one_episode,
    "sensor-stuck": no_alarm,
    "sensor-gap": no_alarm,
    "imbalance": one_episode,
    "cavitation": one_episode,
}
"""The values of `--fault`, each with its expected outcome."""


def simulated(fault: str, seed: int, start_ns: int, start_time: str, speed: float = SPEED) -> Scenario:
    """The simulated pump skid with one fault.

    Args:
        start_ns, start_time: event time of the first row, ns and ISO 8601.
        speed: seconds of event time per second of wall-clock time.
    """
    options = {
        "seed": seed,
        "speed": speed,
        "start_time": start_time,
        "duration_s": DURATION_S,
        "fault": fault,
        "fault_start_s": FAULT_START_S,
        "fault_ramp_s": FAULT_RAMP_S,
    }
    return Scenario(
        title=f"simulated pump, fault: {fault}, seed {seed}",
        config={SOURCE: {"assets": {ASSET: {"source": "simulator", "options": options}}}},
        rows=None if fault == "sensor-gap" else round(DURATION_S),
        expect=FAULTS[fault],
        limit_s=DURATION_S / speed + 60.0,
        onset=None if fault == "none" else start_ns + round(FAULT_START_S * SECOND),
        pace=f"Event time runs {speed:g} times faster than real time: {DURATION_S / 60:g} min of operation in {DURATION_S / speed:.0f} s.",
        notes=NOTES,
    )


def recorded(path: Path) -> Scenario:
    """A recording, replayed at full speed."""
    rows, onset = _inspect_recording(path)
    options = {"path": str(path.resolve()), "layout": "skab", "speed": 0}
    return Scenario(
        title=f"recording {path.parent.name}/{path.name}",
        config={
            SOURCE: {"assets": {ASSET: {"source": "csv", "options": options}}},
            DISPATCHER: {"actions": {"command": {"timeout_s": COMMAND_TIMEOUT_S}}},
        },
        rows=rows,
        expect=some_row_scored,
        limit_s=120.0 + (rows or 0) / 200,
        onset=onset,
        pace="Event times are those of the recording, which is replayed at full speed.",
    )


def onset_remark(onset: int | None, alarms: list[ObservedAlarm]) -> str:
    """One sentence on the detection delay; empty without an onset or an alarm."""
    raised = sorted(alarm.raised_at for alarm in alarms if alarm.raised_at is not None)
    if onset is None or not raised:
        return ""
    after = [at for at in raised if at >= onset]
    earlier = raised[: len(raised) - len(after)]
    if not after:
        return f"The first alarm was raised {duration((onset - raised[0]) / SECOND)} before the onset of the fault."
    sentence = f"The first alarm was raised {duration((after[0] - onset) / SECOND)} after the onset of the fault"
    return f"{sentence}, and {plural(len(earlier), 'alarm')} before it." if earlier else f"{sentence}."


def _inspect_recording(path: Path) -> tuple[int, int | None]:
    """The number of rows, and the event time of the first row labelled `anomaly`. The source reports faults of the file."""
    count, onset = 0, None
    lines = Lines(open_plain(path))
    first = lines.next()
    delimiter = ";" if first is not None and ";" in (first.text or "") else ","
    header = headings((first.text if first is not None else None) or "", delimiter)
    while (line := lines.next()) is not None:
        if line.text is not None and not line.text.strip():
            continue
        count += 1
        if onset is None and line.text:
            try:
                row = dict(zip(header, cells(line.text, delimiter), strict=False))
                if row.get("anomaly", "").strip() in ("1", "1.0"):
                    onset = time_ns(row.get("datetime", ""))
            except ValueError:
                continue
    lines.close()
    return count, onset
