"""Commands the machine, once for each alarm, and waits for its acknowledgement."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from alert_dispatcher.actions.base import IDLE_S, Action, ActionOptions, Surroundings
from alert_dispatcher.store import CommandRow
from edgeml import topics
from edgeml.messages import Alert, Command, CommandAck, Message, encode
from edgeml.policy import ACTIVE, CLEARED
from edgeml.times import SECOND, to_iso

log = logging.getLogger(__name__)

OPEN, WITHDRAWN, UNACKNOWLEDGED = "open", "withdrawn", "unacknowledged"


class CommandOptions(ActionOptions, frozen=True, kw_only=True):
    """What the machine is told when an alarm is raised."""

    action: Annotated[str, Meta(min_length=1, max_length=64, description="what the machine is to do, a name it knows")] = "stop"
    timeout_s: Annotated[float, Meta(gt=0, le=3600, description="s of the clock until which an acknowledgement is awaited")] = 10.0
    retry_s: Annotated[float, Meta(ge=0.1, le=3600, description="s of the clock between two sendings of the same command")] = 2.0


@dataclass
class _Awaited:
    row: CommandRow
    deadline: float
    due: float
    sendings: int


class CommandAction(Action):
    """Sends `Command` with the id `<alarm id>:<action>` until it is acknowledged or its deadline has passed."""

    topics = (topics.COMMANDS_ACK,)
    local = True

    def __init__(self, surroundings: Surroundings, options: CommandOptions) -> None:
        self._s, self._options = surroundings, options
        self._awaited: dict[str, _Awaited] = {}
        for row in surroundings.store.open_commands():
            self._await(row)

    def act(self, alert: Alert, decided_ns: int) -> None:
        if alert.state == ACTIVE:
            row = CommandRow(
                id=f"{alert.id}:{self._options.action}", alarm=alert.id, asset=alert.asset, action=self._options.action,
                issued_ns=decided_ns, timeout_s=self._options.timeout_s, status=OPEN, sent=0,
            )
            if self._s.store.issue(row):
                self._await(row)
        elif alert.state == CLEARED:
            # One that was sent may be being executed: it runs to its deadline, so that a missing answer is told.
            for awaited in [a for a in self._awaited.values() if a.row.alarm == alert.id and not a.sendings]:
                log.info("command %s is withdrawn: its alarm has cleared before it was sent", awaited.row.id)
                self._settle(awaited, WITHDRAWN)

    def on_message(self, topic: str, message: Message) -> None:
        if not isinstance(message, CommandAck):
            log.warning("a message on %s is no command-ack; check who publishes there", topic)
            return
        awaited = self._awaited.get(message.id)
        if awaited is None or awaited.row.asset != message.asset:
            self._late(message)
        elif message.status == "executed":
            self._settle(awaited, message.status)
            log.info("command %s was executed by %s", message.id, message.asset)
        else:
            detail = f": {message.detail}" if message.detail else ""
            sentence = f"{message.asset} answered the {awaited.row.action} command with {message.status}{detail}"
            self._settle(awaited, message.status, sentence)

    def tick(self, now: float) -> float:
        wait = IDLE_S
        for awaited in list(self._awaited.values()):
            if now >= awaited.deadline:
                self._give_up(awaited)
                continue
            if now >= awaited.due:
                self._send(awaited, now)
            wait = min(wait, awaited.due - now, awaited.deadline - now)
        return max(0.0, wait)

    def _await(self, row: CommandRow) -> None:
        # Over a restart only the wall clock has gone on; a clock that was set back must not stretch the deadline.
        passed = max(0.0, (self._s.wall_ns() - row.issued_ns) / SECOND)
        now = self._s.monotonic()
        self._awaited[row.id] = _Awaited(row, now + row.timeout_s - passed, now, row.sent)

    def _send(self, awaited: _Awaited, now: float) -> None:
        row = awaited.row
        command = Command(
            id=row.id, asset=row.asset, action=row.action, alarm=row.alarm, issued_at=to_iso(row.issued_ns), timeout_s=row.timeout_s
        )
        awaited.due = now + self._options.retry_s
        # Before it is published: what may have been sent must not be reported as never sent.
        self._s.store.sent(row.id)
        awaited.sendings += 1
        if self._s.bus.publish(topics.COMMANDS, encode(command)) and awaited.sendings == 1:
            log.info("command %s is sent to %s", row.id, row.asset)

    def _give_up(self, awaited: _Awaited) -> None:
        row = awaited.row
        if awaited.sendings:
            sentence = f"{row.asset} did not acknowledge the {row.action} command within {row.timeout_s:g} s"
        else:
            sentence = f"the {row.action} command for {row.asset} was not sent within {row.timeout_s:g} s of the alarm"
        self._settle(awaited, UNACKNOWLEDGED, sentence)

    def _late(self, ack: CommandAck) -> None:
        row = self._s.store.command(ack.id)
        if row is None or row.asset != ack.asset:
            log.debug("an acknowledgement of %r by %r, which nobody here asked for", ack.id, ack.asset)
        elif row.status in (WITHDRAWN, UNACKNOWLEDGED):
            with self._s.store.transaction():
                self._s.store.settle(row.id, ack.status)
                self._s.note(row.alarm, f"{row.asset} answered the {row.action} command late with {ack.status}")
            log.info("command %s was answered late with %s by %s", row.id, ack.status, row.asset)

    def _settle(self, awaited: _Awaited, status: str, trouble: str = "") -> None:
        row = awaited.row
        with self._s.store.transaction():
            self._s.store.settle(row.id, status)
            if trouble:
                self._s.note(row.alarm, trouble)
        del self._awaited[row.id]
        if trouble:
            log.error("command %s: %s; see to the machine", row.id, trouble)
