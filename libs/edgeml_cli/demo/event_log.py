"""Turns messages into the event log: one short sentence for each change that matters to a reader.

Pure: messages in, events out.
"""

from __future__ import annotations

from edgeml.messages import Acknowledge, Alert, Command, CommandAck, Message, ResultBlock, SensorBatch, Status
from edgeml.timestamps import from_iso
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.statistics import Statistics, reason_without_progress

_ALERT_KINDS = {"pending": "warn", "active": "alarm", "acknowledged": "info", "cleared": "good"}
_ALERT_TEXTS = {"pending": "alarm pending", "active": "ALARM ACTIVE", "acknowledged": "alarm acknowledged", "cleared": "alarm cleared"}
_DECIDING = ""


class EventLog:
    """Derives the events of one run from its messages, in the order in which the nucleus accepted them."""

    def __init__(self, recorder: Recorder, stats: Statistics) -> None:
        self._recorder, self._stats = recorder, stats
        self._reasons: dict[str, str] = {}
        self._statuses: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._alarm_states: dict[str, str] = {}
        self._scored: set[str] = set()

    def events_of(self, message: Message, new: list[int], sender: str | None) -> list[Event]:
        """The events that a message causes.

        Args:
            new: result of `Statistics.add` for this message.
        """
        if not new:
            return []
        if isinstance(message, SensorBatch):
            return self._rows(message, new)
        if isinstance(message, ResultBlock):
            return self._results(message, new)
        if isinstance(message, Alert):
            return [self._alert(message)]
        if isinstance(message, Command):
            source = "AlertDispatcher" if sender else "operator"
            return [self._event(message.asset, "command", f"{source} sends the command: {message.action}")]
        if isinstance(message, CommandAck):
            return [self._ack(message)]
        if isinstance(message, Acknowledge):
            return [Event(self._latest(), "info", f"{message.by or 'an unnamed person'} acknowledges alarm {message.alarm}")]
        if isinstance(message, Status):
            return self._status(message)
        return []

    def _rows(self, batch: SensorBatch, new: list[int]) -> list[Event]:
        known = batch.asset in self._recorder.assets
        asset = self._recorder.asset(batch.asset)
        asset.add_rows(batch, new)
        if known or asset.last_time is None:
            return []
        first = int(batch.arrays()[0][new[0]])
        return [Event(first, "info", f"first reading of {batch.asset}; channels: {', '.join(batch.channels)}")]

    def _results(self, block: ResultBlock, new: list[int]) -> list[Event]:
        self._recorder.asset(block.asset).add_results(block, new)
        columns, events = block.arrays(), []
        times, codes = columns.times.tolist(), columns.reason.tolist()
        for i in new:
            reason = reason_without_progress(block.reasons[codes[i] - 1]) if codes[i] else _DECIDING
            before = self._reasons.get(block.asset)
            if reason != before:
                self._reasons[block.asset] = reason
                events.append(Event(times[i], "info", _decision_change(before, reason, block, block.asset in self._scored)))
                if reason == _DECIDING:
                    self._scored.add(block.asset)
        return events

    def _alert(self, alert: Alert) -> Event:
        before = self._alarm_states.get(alert.id)
        self._alarm_states[alert.id] = alert.state
        if alert.state == before:
            return Event(from_iso(alert.at), "warn", f"note on alarm {alert.id}: {alert.note}")
        confidence = "" if alert.confidence is None else f", confidence {alert.confidence:.2f}"
        why = f": {alert.why.removeprefix(f'{alert.asset}: ')}" if alert.why else ""
        text = f"{_ALERT_TEXTS.get(alert.state, alert.state)}{confidence}{why}"
        return Event(from_iso(alert.at), _ALERT_KINDS.get(alert.state, "info"), text)

    def _ack(self, ack: CommandAck) -> Event:
        command = self._stats.commands.get(ack.id)
        action = command.action if command else ack.id
        detail = f": {ack.detail}" if ack.detail else ""
        kind = "good" if ack.status == "executed" else "warn"
        return self._event(ack.asset, kind, f"{ack.asset} acknowledges the command: {action} {ack.status}{detail}", ack.at)

    def _status(self, status: Status) -> list[Event]:
        current, before = (status.state, status.faults), self._statuses.get(status.component)
        self._statuses[status.component] = current
        if current == before:
            return []
        name = status.component.rpartition(".")[2]
        if status.faults:
            return [Event(self._latest(), "fault", f"{name}: {fault}") for fault in status.faults]
        return [Event(self._latest(), "info", f"{name} is {status.state}")]

    def _latest(self) -> int | None:
        """The latest event time of the run, for messages that carry none; None before the first row."""
        return max((asset.last_time for asset in self._recorder.assets.values() if asset.last_time is not None), default=None)

    def _event(self, asset: str, kind: str, text: str, at: str = "") -> Event:
        return Event(from_iso(at) if at else self._recorder.asset(asset).last_time, kind, text)


def _decision_change(before: str | None, reason: str, block: ResultBlock, scored: bool) -> str:
    if reason == _DECIDING:
        model = f"model {block.model} {block.model_version}"
        if before == "learning":
            return f"baseline learned; {model} starts scoring"
        return f"{model} {'resumes' if scored else 'starts'} scoring"
    return f"no decision: {reason}"
