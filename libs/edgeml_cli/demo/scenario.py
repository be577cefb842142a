"""What the demo runs, and what has to come of it."""

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
from edgeml_cli.demo.statistics import AlarmSeen, Statistics

ASSET = "pump-1"
SPEED = 60.0
"""Event seconds a second of the simulated machine."""
FAULT_START_S = 600.0
FAULT_RAMP_S = 40.0
DURATION_S = 1200.0
COMMAND_TIMEOUT_S = 3.0
"""Seconds for which the machine behind a recording, which there is none, is waited for."""

NOTES = {
    "pressure": "The sensor resolves steps of 0.328 bar around 0.1 bar, as the real rig's does; the curve jumps between its steps.",
}
"""What a reader might take for a fault of the simulated pump, by channel."""

Expect = Callable[[Statistics], list[str]]


@dataclass(frozen=True)
class Scenario:
    """One run of the demo.

    Attributes:
        title: for people.
        config: what is merged into the configuration, by component.
        rows: how many rows must be published; None: not known beforehand.
        expect: sentences that say what did not happen as it should.
        limit_s: seconds after which the run is given up.
        onset: event time in ns from which on the machine is faulty, as far as it is known.
        pace: how event time stands to the clock, one sentence.
        notes: what is peculiar about a channel, by its name.
    """

    title: str
    config: dict[str, Any]
    rows: int | None
    expect: Expect
    limit_s: float
    onset: int | None = None
    pace: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)


def one_episode(tally: Statistics) -> list[str]:
    """One alarm goes active, its stop command is executed, the machine is restored and started, the alarm clears."""
    if len(tally.raised) != 1:
        return [f"{len(tally.raised)} alarms went active where exactly one should have"]
    alarm, problems = tally.raised[0], []
    own = [command for command in tally.commands.values() if command.alarm == alarm.id]
    for action in ("stop", "restore", "start"):
        if not any(command.action == action and command.acknowledged_at is not None for command in own):
            problems.append(f"the command {action} for alarm {alarm.id} was not executed")
    if alarm.cleared_at is None:
        problems.append(f"alarm {alarm.id} did not clear")
    return problems


def no_alarm(tally: Statistics) -> list[str]:
    """Nothing is wrong with the machine."""
    if not tally.raised:
        return []
    return [f"{len(tally.raised)} alarm{'s' if len(tally.raised) > 1 else ''} went active where none should have"]


def judged(tally: Statistics) -> list[str]:
    """A recording says for itself what it holds, if it is long enough."""
    if tally.scored:
        return []
    return ["no row was judged: the model learns normal running from the first 400 good rows; give a longer recording"]


FAULTS: dict[str, Expect] = {
    "none": no_alarm,
    "valve": one_episode,
    "sensor-stuck": no_alarm,
    "sensor-gap": no_alarm,
    "imbalance": one_episode,
    "cavitation": one_episode,
}
"""What `--fault` can name, and what is expected of each."""


def simulated(fault: str, seed: int, start_ns: int, start_time: str, speed: float = SPEED) -> Scenario:
    """The simulated pump skid with one fault.

    Args:
        start_ns, start_time: event time of the first row, ns and ISO 8601.
        speed: event seconds a second.
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
        pace=f"Event time runs {speed:g} times as fast as the clock: {DURATION_S / 60:g} min of the pump in {DURATION_S / speed:.0f} s.",
        notes=NOTES,
    )


def recorded(path: Path) -> Scenario:
    """A recording, as fast as it goes."""
    rows, onset = _look_at(path)
    options = {"path": str(path.resolve()), "layout": "skab", "speed": 0}
    return Scenario(
        title=f"recording {path.parent.name}/{path.name}",
        config={
            SOURCE: {"assets": {ASSET: {"source": "csv", "options": options}}},
            "com.edgeml.AlertDispatcher": {"actions": {"command": {"timeout_s": COMMAND_TIMEOUT_S}}},
        },
        rows=rows,
        expect=judged,
        limit_s=120.0 + (rows or 0) / 200,
        onset=onset,
        pace="Event times are the recording's, which is read as fast as it goes.",
    )


def onset_remark(onset: int | None, alarms: list[AlarmSeen]) -> str:
    """How the first alarm stands to the marked onset; empty when there is nothing to say."""
    if onset is None or not alarms or alarms[0].raised_at is None:
        return ""
    late = (alarms[0].raised_at - onset) / SECOND
    return f"The first alarm was raised {abs(late):.0f} s {'after' if late >= 0 else 'before'} the onset of the fault."


def _look_at(path: Path) -> tuple[int, int | None]:
    """Rows, and the event time of the first one that is marked `anomaly`; what is wrong with the file is the source's to say."""
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
