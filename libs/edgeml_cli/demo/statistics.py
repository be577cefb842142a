"""Counts what passes the nucleus, each thing once, however often it is sent.

Pure: messages in, numbers out. Producers may send again what they have sent, under the same number (a replay) or, after a
restart, in a new stream; a restarted source may also publish its last rows again.
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


class Numbers:
    """The sequence numbers of one stream; they count from 0, or, where `anew`, from the first that came: a producer that was launched anew
    goes on from what it remembers, and need not send that. Rows without a result would tell if it had to.
    """

    def __init__(self, anew: bool = False) -> None:
        self._seen: set[int] = set()
        self._anew = anew

    def add(self, seq: int) -> bool:
        """Whether this number is new."""
        new = seq not in self._seen
        self._seen.add(seq)
        return new

    @property
    def missing(self) -> int:
        if not self._seen:
            return 0
        return max(self._seen) + 1 - (min(self._seen) if self._anew else 0) - len(self._seen)


class Times:
    """Event times, each counted as often as the one stream that has it most often."""

    def __init__(self) -> None:
        self._streams: dict[str, Counter[int]] = {}
        self.counted: Counter[int] = Counter()

    def add(self, stream: str, times: Iterable[int]) -> list[bool]:
        """For each time whether it is new."""
        own = self._streams.setdefault(stream, Counter())
        new = []
        for time in times:
            own[time] += 1
            new.append(own[time] > self.counted[time])
            if new[-1]:
                self.counted[time] = own[time]
        return new


@dataclass
class AlarmSeen:
    """One alarm as its alerts told it; times are event times in ns."""

    id: str
    asset: str
    model: str
    state: str
    began_at: int
    raised_at: int | None = None
    cleared_at: int | None = None
    told_peak: float | None = None
    note: str = ""


@dataclass
class CommandSeen:
    """One command and its answer.

    Attributes:
        sender: the component that published it; None: a person.
        acknowledged_at: event time in ns, once it was executed.
        status: of the answer; empty while there is none.
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
    """What has passed so far.

    Attributes:
        alarms, commands: by id, in the order in which they came.
        results: how many different results, those without a decision included.
        reasons: how many of them were without a decision, by reason.
    """

    alarms: dict[str, AlarmSeen] = field(default_factory=dict)
    commands: dict[str, CommandSeen] = field(default_factory=dict)
    results: int = 0
    rows: int = 0
    scored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    _numbers: dict[tuple[str, str, str], Numbers] = field(default_factory=dict)
    _rows: dict[str, Times] = field(default_factory=dict)
    _results: dict[tuple[str, str], Times] = field(default_factory=dict)
    _confidences: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=dict)
    _latest: dict[str, int] = field(default_factory=dict)

    def take(self, message: Message, sender: str | None = None) -> list[int]:
        """Count one message.

        Args:
            sender: the component that published it; None: a person.

        Returns:
            For a block: the indices of its rows that are new. For any other message: [0] when it tells something new, else [].

        Raises:
            MessageError: a block whose columns do not agree.
        """
        if isinstance(message, SensorBatch | ResultBlock | Alert) and not self._is_new(message):
            self.repeated += 1
            return []
        if isinstance(message, SensorBatch):
            return self._take_rows(message)
        if isinstance(message, ResultBlock):
            return self._take_results(message)
        if isinstance(message, Alert):
            return self._take_alert(message)
        if isinstance(message, Command):
            return self._take_command(message, sender)
        if isinstance(message, CommandAck):
            return self._take_ack(message)
        return [] if isinstance(message, KeepAlive | Health) else [0]

    @property
    def unanswered(self) -> int:
        """Rows that have no result yet of some model that speaks of their asset, or of any model where none does."""
        missing = 0
        for asset, rows in self._rows.items():
            models = [results for (named, _), results in self._results.items() if named == asset] or [Times()]
            missing += max((rows.counted - results.counted).total() for results in models)
        return missing

    @property
    def gaps(self) -> int:
        """Numbers that are missing from a stream."""
        return sum(numbers.missing for numbers in self._numbers.values())

    @property
    def raised(self) -> list[AlarmSeen]:
        """The alarms that went active, in the order in which they came."""
        return [alarm for alarm in self.alarms.values() if alarm.raised_at is not None]

    def peak(self, alarm: AlarmSeen) -> float | None:
        """The highest confidence of the alarm's results from its pending to its end; what its alerts say where the tap saw none."""
        end = math.inf if alarm.cleared_at is None else alarm.cleared_at
        seen = self._confidences.get((alarm.asset, alarm.model), ())
        return max((confidence for time, confidence in seen if alarm.began_at <= time <= end), default=alarm.told_peak)

    def _is_new(self, message: SensorBatch | ResultBlock | Alert) -> bool:
        key = (type(message).__name__, message.asset, message.stream)
        if key not in self._numbers:
            self._numbers[key] = Numbers(anew=any(known[:2] == key[:2] for known in self._numbers))
        return self._numbers[key].add(message.seq)

    def _take_rows(self, batch: SensorBatch) -> list[int]:
        times = batch.arrays()[0].tolist()
        new = [i for i, is_new in enumerate(self._rows.setdefault(batch.asset, Times()).add(batch.stream, times)) if is_new]
        self.rows += len(new)
        if times:
            self._latest[batch.asset] = max(times)
        return new

    def _take_results(self, block: ResultBlock) -> list[int]:
        columns, key = block.arrays(), (block.asset, block.model)
        times, confidences, codes = columns.times.tolist(), columns.confidence.tolist(), columns.reason.tolist()
        new = [i for i, is_new in enumerate(self._results.setdefault(key, Times()).add(block.stream, times)) if is_new]
        self.results += len(new)
        for i in new:
            if codes[i]:
                self.reasons[plain_reason(block.reasons[codes[i] - 1])] += 1
            else:
                self.scored += 1
                self._confidences.setdefault(key, []).append((times[i], confidences[i]))
        return new

    def _take_alert(self, alert: Alert) -> list[int]:
        known = self.alarms.get(alert.id)
        if known is None:
            known = self.alarms[alert.id] = AlarmSeen(alert.id, alert.asset, alert.model, "", from_iso(alert.at))
        elif _rank(alert.state) < _rank(known.state) or (alert.state, alert.note) == (known.state, known.note):
            return []
        known.state, known.note = alert.state, alert.note
        known.raised_at = from_iso(alert.raised_at) if alert.raised_at else known.raised_at
        known.cleared_at = from_iso(alert.cleared_at) if alert.cleared_at else known.cleared_at
        known.told_peak = known.told_peak if alert.peak_confidence is None else alert.peak_confidence
        return [0]

    def _take_command(self, command: Command, sender: str | None) -> list[int]:
        if command.id in self.commands:
            return []
        self.commands[command.id] = CommandSeen(command.id, command.asset, command.action, command.alarm, sender, command.timeout_s)
        return [0]

    def _take_ack(self, ack: CommandAck) -> list[int]:
        command = self.commands.get(ack.id)
        if command is None or command.status == "executed":
            return []
        command.status, command.detail = ack.status, ack.detail
        if ack.status == "executed":
            command.acknowledged_at = from_iso(ack.at) if ack.at else self._latest.get(ack.asset)
        return [0]


def plain_reason(reason: str) -> str:
    """`learning` for `learning 12/400`; every other reason as it is."""
    head, _, progress = reason.rpartition(" ")
    return head if head and progress.replace("/", "").isdigit() else reason


def _rank(state: str) -> int:
    return STATES.index(state) if state in STATES else -1


def summary(tally: Statistics) -> dict[str, Any]:
    """The counts as the JSON object that the demo prints; event times are ISO 8601."""

    def iso(ns: int | None) -> str | None:
        return None if ns is None else to_iso(ns)

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    def listed(people: bool) -> list[dict[str, Any]]:
        return [
            {
                "id": command.id,
                "asset": command.asset,
                "acknowledged_at": iso(command.acknowledged_at),
                "action": command.action,
                "status": command.status or "unanswered",
            }
            for command in tally.commands.values()
            if (command.sender is None) == people
        ]

    return {
        "rows": tally.rows,
        "windows": tally.scored,
        "results": tally.results,
        "no_decision": tally.results - tally.scored,
        "no_decision_reasons": dict(tally.reasons.most_common()),
        "alarms": [
            {
                "asset": alarm.asset,
                "raised_at": iso(alarm.raised_at),
                "cleared_at": iso(alarm.cleared_at),
                "peak_confidence": rounded(tally.peak(alarm)),
                "id": alarm.id,
            }
            for alarm in tally.raised
        ],
        "commands": listed(people=False),
        "maintenance": listed(people=True),
        "lost_messages": tally.gaps + tally.unanswered,
        "unanswered_rows": tally.unanswered,
    }
