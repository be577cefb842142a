"""Counts the messages that the nucleus accepts; duplicates count once.

Pure: messages in, numbers out. A producer may resend messages under the same sequence number (a replay) or, after a restart,
in a new stream; a restarted source may also publish its last rows again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from edgeml.messages import Alert, Command, CommandAck, Health, KeepAlive, Message, ResultBlock, SensorBatch
from edgeml.timestamps import from_iso, to_iso

STATES = ("pending", "active", "acknowledged", "cleared")


class SequenceNumbers:
    """The sequence numbers received from one stream.

    Args:
        resumed: the stream belongs to a restarted producer. Its numbers are expected from the first one received instead of
            from 0, because a restarted producer need not resend the messages before its checkpoint. If it should have,
            rows without a result reveal that.
    """

    def __init__(self, resumed: bool = False) -> None:
        self._seen: set[int] = set()
        self._resumed = resumed

    def add(self, seq: int) -> bool:
        """Add a number; returns whether it is new."""
        new = seq not in self._seen
        self._seen.add(seq)
        return new

    @property
    def missing(self) -> int:
        if not self._seen:
            return 0
        return max(self._seen) + 1 - (min(self._seen) if self._resumed else 0) - len(self._seen)


class EventTimes:
    """Event times; each counts as often as it occurs in the stream with the most occurrences."""

    def __init__(self) -> None:
        self._streams: dict[str, Counter[int]] = {}
        self.counted: Counter[int] = Counter()

    def add(self, stream: str, times: Iterable[int]) -> list[bool]:
        """Add the event times of one message; returns for each whether it is new."""
        of_stream = self._streams.setdefault(stream, Counter())
        new = []
        for time in times:
            of_stream[time] += 1
            new.append(of_stream[time] > self.counted[time])
            if new[-1]:
                self.counted[time] = of_stream[time]
        return new


@dataclass
class ObservedAlarm:
    """One alarm as reported by its alerts; times are event times in ns, `why` is the explanation when it became active."""

    id: str
    asset: str
    model: str
    state: str
    began_at: int
    raised_at: int | None = None
    cleared_at: int | None = None
    reported_peak: float | None = None
    note: str = ""
    why: str = ""


@dataclass
class ObservedCommand:
    """One command and its acknowledgement.

    Attributes:
        sender: the component that published it; None for a person.
        acknowledged_at: event time in ns at which it was executed.
        status: status in the acknowledgement; empty while there is none.
    """

    id: str
    asset: str
    action: str
    alarm: str
    sender: str | None
    timeout_s: float
    acknowledged_at: int | None = None
    status: str = ""
    detail: str = ""


@dataclass
class Statistics:
    """Counts of the messages so far.

    Attributes:
        alarms, commands: by id, in order of arrival.
        results: number of distinct results, including those without a decision.
        scored: number of results with a decision.
        reasons: number of results without a decision, by reason.
        repeated: number of duplicate messages.
    """

    alarms: dict[str, ObservedAlarm] = field(default_factory=dict)
    commands: dict[str, ObservedCommand] = field(default_factory=dict)
    results: int = 0
    rows: int = 0
    scored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    _sequence_numbers: dict[tuple[str, str, str], SequenceNumbers] = field(default_factory=dict)
    _rows: dict[str, EventTimes] = field(default_factory=dict)
    _results: dict[tuple[str, str], EventTimes] = field(default_factory=dict)
    _confidences: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=dict)
    _latest_time: dict[str, int] = field(default_factory=dict)

    def add(self, message: Message, sender: str | None = None) -> list[int]:
        """Count one message.

        Args:
            sender: the component that published it; None for a person.

        Returns:
            For a batch or a block of results, the indices of its new rows. For any other message, [0] if it contains anything
            new, otherwise [].

        Raises:
            MessageError: the columns of a batch or block have different lengths.
        """
        if isinstance(message, SensorBatch | ResultBlock | Alert) and not self._is_new(message):
            self.repeated += 1
            return []
        if isinstance(message, SensorBatch):
            return self._add_rows(message)
        if isinstance(message, ResultBlock):
            return self._add_results(message)
        if isinstance(message, Alert):
            return self._add_alert(message)
        if isinstance(message, Command):
            return self._add_command(message, sender)
        if isinstance(message, CommandAck):
            return self._add_ack(message)
        return [] if isinstance(message, KeepAlive | Health) else [0]

    @property
    def rows_without_result(self) -> int:
        """Number of missing results: each row needs one from every model that has reported results for its asset, and at least one."""
        missing = 0
        for asset, rows in self._rows.items():
            models = [results for (of_asset, _), results in self._results.items() if of_asset == asset] or [EventTimes()]
            missing += max((rows.counted - results.counted).total() for results in models)
        return missing

    @property
    def gaps(self) -> int:
        """Number of missing sequence numbers, over all streams."""
        return sum(numbers.missing for numbers in self._sequence_numbers.values())

    @property
    def raised(self) -> list[ObservedAlarm]:
        """The alarms that became active, in order of arrival."""
        return [alarm for alarm in self.alarms.values() if alarm.raised_at is not None]

    def peak(self, alarm: ObservedAlarm) -> float | None:
        """The highest confidence from the alarm's pending state to its end; the peak in its alerts if no result was received."""
        end = math.inf if alarm.cleared_at is None else alarm.cleared_at
        confidences = self._confidences.get((alarm.asset, alarm.model), ())
        return max((confidence for time, confidence in confidences if alarm.began_at <= time <= end), default=alarm.reported_peak)

    def _is_new(self, message: SensorBatch | ResultBlock | Alert) -> bool:
        key = (type(message).__name__, message.asset, message.stream)
        if key not in self._sequence_numbers:
            self._sequence_numbers[key] = SequenceNumbers(resumed=any(known[:2] == key[:2] for known in self._sequence_numbers))
        return self._sequence_numbers[key].add(message.seq)

    def _add_rows(self, batch: SensorBatch) -> list[int]:
        times = batch.arrays()[0].tolist()
        new = [i for i, is_new in enumerate(self._rows.setdefault(batch.asset, EventTimes()).add(batch.stream, times)) if is_new]
        self.rows += len(new)
        if times:
            self._latest_time[batch.asset] = max(times)
        return new

    def _add_results(self, block: ResultBlock) -> list[int]:
        columns, key = block.arrays(), (block.asset, block.model)
        times, confidences, codes = columns.times.tolist(), columns.confidence.tolist(), columns.reason.tolist()
        new = [i for i, is_new in enumerate(self._results.setdefault(key, EventTimes()).add(block.stream, times)) if is_new]
        self.results += len(new)
        for i in new:
            if codes[i]:
                self.reasons[reason_without_progress(block.reasons[codes[i] - 1])] += 1
            else:
                self.scored += 1
                self._confidences.setdefault(key, []).append((times[i], confidences[i]))
        return new

    def _add_alert(self, alert: Alert) -> list[int]:
        known = self.alarms.get(alert.id)
        if known is None:
            known = self.alarms[alert.id] = ObservedAlarm(alert.id, alert.asset, alert.model, "", from_iso(alert.at))
        elif _rank(alert.state) < _rank(known.state) or (alert.state, alert.note) == (known.state, known.note):
            return []
        known.state, known.note = alert.state, alert.note
        known.raised_at = from_iso(alert.raised_at) if alert.raised_at else known.raised_at
        known.cleared_at = from_iso(alert.cleared_at) if alert.cleared_at else known.cleared_at
        if alert.state == "active" and not known.why:
            known.why = alert.why.removeprefix(f"{alert.asset}: ")
        known.reported_peak = known.reported_peak if alert.peak_confidence is None else alert.peak_confidence
        return [0]

    def _add_command(self, command: Command, sender: str | None) -> list[int]:
        if command.id in self.commands:
            return []
        self.commands[command.id] = ObservedCommand(command.id, command.asset, command.action, command.alarm, sender, command.timeout_s)
        return [0]

    def _add_ack(self, ack: CommandAck) -> list[int]:
        command = self.commands.get(ack.id)
        if command is None or command.status == "executed":
            return []
        command.status, command.detail = ack.status, ack.detail
        if ack.status == "executed":
            command.acknowledged_at = from_iso(ack.at) if ack.at else self._latest_time.get(ack.asset)
        return [0]


def reason_without_progress(reason: str) -> str:
    """`learning` for `learning 12/400`; any other reason unchanged."""
    head, _, progress = reason.rpartition(" ")
    return head if head and progress.replace("/", "").isdigit() else reason


def _rank(state: str) -> int:
    return STATES.index(state) if state in STATES else -1


def summary(stats: Statistics) -> dict[str, Any]:
    """The counts as the JSON object that the demo prints; event times are ISO 8601."""

    def iso(ns: int | None) -> str | None:
        return None if ns is None else to_iso(ns)

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    def commands_of(operator: bool) -> list[dict[str, Any]]:
        return [
            {
                "id": command.id,
                "asset": command.asset,
                "acknowledged_at": iso(command.acknowledged_at),
                "action": command.action,
                "status": command.status or "not acknowledged",
            }
            for command in stats.commands.values()
            if (command.sender is None) == operator
        ]

    return {
        "rows": stats.rows,
        "windows": stats.scored,
        "results": stats.results,
        "no_decision": stats.results - stats.scored,
        "no_decision_reasons": dict(stats.reasons.most_common()),
        "alarms": [
            {
                "asset": alarm.asset,
                "raised_at": iso(alarm.raised_at),
                "cleared_at": iso(alarm.cleared_at),
                "peak_confidence": rounded(stats.peak(alarm)),
                "id": alarm.id,
                "why": alarm.why,
            }
            for alarm in stats.raised
        ],
        "commands": commands_of(operator=False),
        "operator_commands": commands_of(operator=True),
        "lost_messages": stats.gaps + stats.rows_without_result,
        "rows_without_result": stats.rows_without_result,
    }
