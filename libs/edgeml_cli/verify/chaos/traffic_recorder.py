"""Records the messages that the nucleus accepted in one run, with their times.

It reads no clock: the seconds since the start of the run are an argument.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgeml.errors import MessageError
from edgeml.messages import Alert, Command, CommandAck, Message, ResultBlock, SensorBatch, decode, topics
from edgeml.timestamps import SECOND
from edgeml_cli.verify.chaos.machines import CLOCKED

AlertKey = tuple[str, str]
"""Id and state."""

_EXECUTED = re.compile(r"command (\S+) to (\S+): \w+, executed")


@dataclass
class ObservedAlert:
    """One alert: its asset and model, the time of its first arrival, and the number of arrivals by note."""

    asset: str
    model: str
    event_at: str
    first_s: float
    raised: bool
    notes: Counter[str] = field(default_factory=Counter)

    @property
    def repeated(self) -> int:
        return sum(count - 1 for count in self.notes.values())


@dataclass
class ObservedAlerts:
    """The alerts received at one place, by id and state."""

    by_key: dict[AlertKey, ObservedAlert] = field(default_factory=dict)

    def take(self, alert: Alert, at_s: float) -> None:
        known = self.by_key.setdefault(
            (alert.id, alert.state), ObservedAlert(alert.asset, alert.model, alert.at, at_s, alert.raised_at is not None)
        )
        known.notes[alert.note] += 1

    @property
    def repeated(self) -> int:
        return sum(each.repeated for each in self.by_key.values())

    def notes(self, id: str) -> str:
        return "; ".join(note for (own, _), each in self.by_key.items() if own == id for note in each.notes if note)


@dataclass
class ObservedRows:
    """The distinct rows of one asset: event time -> values and quality."""

    channels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    streams: list[str] = field(default_factory=list)
    rows: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)


@dataclass
class TrafficRecorder:
    """The messages of one run.

    Attributes:
        results: asset -> event time -> the time and confidence of each result of the row (None: no decision).
        flow: times of new data on each topic of the steady flow; for `CLOCKED`, times of its scored rows.
        executed: command id -> monotonic time at which SensorIngestion first logged the execution.
    """

    rows: dict[str, ObservedRows] = field(default_factory=dict)
    results: dict[str, dict[int, list[tuple[float, float | None]]]] = field(default_factory=dict)
    model: str = ""
    alerts: ObservedAlerts = field(default_factory=ObservedAlerts)
    commands: dict[str, Command] = field(default_factory=dict)
    acks: dict[str, list[CommandAck]] = field(default_factory=dict)
    executed: dict[str, float] = field(default_factory=dict)
    flow: dict[str, list[float]] = field(default_factory=lambda: {topics.SENSORS: [], topics.RESULTS: [], CLOCKED: []})
    unreadable: int = 0

    def take(self, topic: str, payload: bytes, sender: str | None, at_s: float) -> Message | None:
        """Record a message on a local topic; returns the decoded message, if it is one of the suite's."""
        if not topic.startswith("edgeml/") or topic.startswith(topics.heartbeat("")):
            return None
        try:
            message = decode(payload)
            self._learn(message, sender, at_s)
        except MessageError:
            self.unreadable += 1
            return None
        return message

    def observe_log(self, line: str, monotonic_s: float) -> None:
        """Record a log line of SensorIngestion."""
        found = _EXECUTED.search(line)
        if found:
            self.executed.setdefault(found[1], monotonic_s)

    def length_s(self, asset: str) -> float:
        """Seconds of event time from the first to the last row, inclusive; 0 without rows."""
        rows = self.rows[asset].rows if asset in self.rows else {}
        return (max(rows) - min(rows)) / SECOND + 1 if rows else 0.0

    @property
    def rows_without_result(self) -> int:
        """Number of rows without a result, except those of the clocked machine, which never ends."""
        return sum(len(rows.rows.keys() - self.results.get(asset, {}).keys()) for asset, rows in self.rows.items() if asset != CLOCKED)

    def _learn(self, message: Message, sender: str | None, at_s: float) -> None:
        if isinstance(message, SensorBatch):
            self._add_rows(message, at_s)
        elif isinstance(message, ResultBlock):
            self._add_results(message, at_s)
        elif isinstance(message, Alert):
            self.alerts.take(message, at_s)
        elif isinstance(message, Command):
            self.commands.setdefault(message.id, message)
        elif isinstance(message, CommandAck):
            self.acks.setdefault(message.id, []).append(message)

    def _add_rows(self, batch: SensorBatch, at_s: float) -> None:
        rows = self.rows.setdefault(batch.asset, ObservedRows(batch.channels, batch.units))
        if batch.stream not in rows.streams:
            rows.streams.append(batch.stream)
        times, values, quality = batch.arrays()
        before = len(rows.rows)
        for i, time in enumerate(times.tolist()):
            rows.rows.setdefault(time, (values[i], quality[i]))
        if len(rows.rows) > before:
            self.flow[topics.SENSORS].append(at_s)

    def _add_results(self, block: ResultBlock, at_s: float) -> None:
        self.model = block.model
        columns, known = block.arrays(), self.results.setdefault(block.asset, {})
        before = len(known)
        for time, confidence, reason in zip(columns.times.tolist(), columns.confidence.tolist(), columns.reason.tolist(), strict=True):
            known.setdefault(time, []).append((at_s, None if reason else confidence))
        if len(known) > before:
            self.flow[topics.RESULTS].append(at_s)
            if block.asset == CLOCKED and not columns.reason.all():
                self.flow[CLOCKED].append(at_s)


def cloud_alerts(record: Path, thing: str, began: float) -> ObservedAlerts:
    """The alerts that arrived in IoT Core, from gglocal's record.

    Args:
        began: start of the run in seconds since the epoch.
    """
    received = ObservedAlerts()
    for line in _lines(record):
        entry = json.loads(line)
        if entry["topic"] == topics.cloud_alerts(thing):
            message = decode(entry["text"].encode())
            if isinstance(message, Alert):
                received.take(message, entry["at"] - began)
    return received


def _lines(path: Path) -> Iterable[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else ()
