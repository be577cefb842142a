"""Tells a run in sentences: what each message changes, if it changes anything that a person would want to know.

Pure: messages in, events out.
"""

from __future__ import annotations

from edgeml.messages import Acknowledge, Alert, Command, CommandAck, Message, ResultBlock, SensorBatch, Status
from edgeml.timestamps import from_iso
from edgeml_cli.demo.recorder import Event, Recorder
from edgeml_cli.demo.statistics import Statistics, plain_reason

_ALERT_KINDS = {"pending": "warn", "active": "alarm", "acknowledged": "info", "cleared": "good"}
_ALERT_TEXTS = {"pending": "alarm pending", "active": "ALARM ACTIVE", "acknowledged": "alarm acknowledged", "cleared": "alarm cleared"}
_DECIDING = ""


class EventLog:
    """Events of one run, from messages that are told in the order in which they passed."""

    def __init__(self, trace: Recorder, tally: Statistics) -> None:
        self._trace, self._tally = trace, tally
        self._reason: dict[str, str] = {}
        self._faults: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._states: dict[str, str] = {}

    def take(self, message: Message, new: list[int], sender: str | None) -> list[Event]:
        """The events that a message makes.

        Args:
            new: what `Statistics.take` gave for it.
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
            who = "AlertDispatcher" if sender else "maintenance"
            return [self._event(message.asset, "command", f"{who} sends the command {message.action}")]
        if isinstance(message, CommandAck):
            return [self._ack(message)]
        if isinstance(message, Acknowledge):
            return [Event(self._latest(), "info", f"{message.by or 'somebody'} acknowledges alarm {message.alarm}")]
        if isinstance(message, Status):
            return self._status(message)
        return []

    def _rows(self, batch: SensorBatch, new: list[int]) -> list[Event]:
        known = batch.asset in self._trace.assets
        asset = self._trace.asset(batch.asset)
        asset.add_rows(batch, new)
        if known or asset.last_time is None:
            return []
        first = int(batch.arrays()[0][new[0]])
        return [Event(first, "info", f"{batch.asset} measures {', '.join(batch.channels)}")]

    def _results(self, block: ResultBlock, new: list[int]) -> list[Event]:
        self._trace.asset(block.asset).add_results(block, new)
        columns, events = block.arrays(), []
        times, codes = columns.times.tolist(), columns.reason.tolist()
        for i in new:
            reason = plain_reason(block.reasons[codes[i] - 1]) if codes[i] else _DECIDING
            before = self._reason.get(block.asset)
            if reason != before:
                self._reason[block.asset] = reason
                events.append(Event(times[i], "info", _turn(before, reason, block)))
        return events

    def _alert(self, alert: Alert) -> Event:
        before = self._states.get(alert.id)
        self._states[alert.id] = alert.state
        if alert.state == before:
            return Event(from_iso(alert.at), "warn", f"noted about alarm {alert.id}: {alert.note}")
        confidence = "" if alert.confidence is None else f" at confidence {alert.confidence:.2f}"
        why = f": {alert.why.removeprefix(f'{alert.asset}: ')}" if alert.why else ""
        text = f"{_ALERT_TEXTS.get(alert.state, alert.state)}{confidence}{why}"
        return Event(from_iso(alert.at), _ALERT_KINDS.get(alert.state, "info"), text)

    def _ack(self, ack: CommandAck) -> Event:
        command = self._tally.commands.get(ack.id)
        action = command.action if command else ack.id
        detail = f": {ack.detail}" if ack.detail else ""
        kind = "good" if ack.status == "executed" else "warn"
        return self._event(ack.asset, kind, f"{ack.asset} answers: {action} {ack.status}{detail}", ack.at)

    def _status(self, status: Status) -> list[Event]:
        now, before = (status.state, status.faults), self._faults.get(status.component)
        self._faults[status.component] = now
        if now == before:
            return []
        name = status.component.rpartition(".")[2]
        if status.faults:
            return [Event(self._latest(), "fault", f"{name}: {fault}") for fault in status.faults]
        return [Event(self._latest(), "info", f"{name} is {status.state}")]

    def _latest(self) -> int | None:
        """The event time that the run has reached, for what carries none of its own; None before the first row."""
        return max((asset.last_time for asset in self._trace.assets.values() if asset.last_time is not None), default=None)

    def _event(self, asset: str, kind: str, text: str, at: str = "") -> Event:
        return Event(from_iso(at) if at else self._trace.asset(asset).last_time, kind, text)


def _turn(before: str | None, reason: str, block: ResultBlock) -> str:
    if reason == _DECIDING:
        if before == "learning":
            return f"baseline learned; {block.model} {block.model_version} decides"
        return f"{block.model} decides" if before is None else f"{block.model} decides again"
    return f"no decision: {reason}"
