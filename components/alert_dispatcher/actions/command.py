"""Sends the machine one command for each alarm, if the interlock and the rate limit allow it, and waits for its acknowledgement."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from alert_dispatcher.actions.base import IDLE_S, Action, ActionContext, ActionOptions
from alert_dispatcher.actions.interlock import Interlock, InterlockOptions
from alert_dispatcher.actions.rate_limit import recent
from alert_dispatcher.health_conditions import PREFIX, SOURCE_STALLED
from alert_dispatcher.state_db import CommandRow, PendingAlert
from edgeml.alarms.alarm_policy import ACTIVE, CLEARED
from edgeml.backoff import Backoff
from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import Command, CommandAck, Message, encode, topics
from edgeml.parsing.sanitize import fit, visible
from edgeml.timestamps import SECOND, Moment, boot_id, to_iso

log = logging.getLogger(__name__)

OPEN = "open"
WITHDRAWN, UNACKNOWLEDGED, FORBIDDEN, LIMITED, DRY_RUN = "withdrawn", "unacknowledged", "forbidden", "limited", "dry-run"
LOCAL_STATUSES = (WITHDRAWN, UNACKNOWLEDGED, FORBIDDEN, LIMITED, DRY_RUN)
"""Ends of a command in this component; any other status is the machine's answer."""
INTERLOCK_RETRY_S = 0.2
"""Interval of checks while the interlock holds a command back."""
MAX_STATUS, MAX_DETAIL = 20, 300
"""Characters of an answer in an alarm's note: an alert must fit into a message."""


class CommandOptions(ActionOptions, frozen=True, kw_only=True):
    """The command that is sent when an alarm is raised."""

    action: Annotated[str, Meta(min_length=1, max_length=64, description="the machine's action, a name that its source knows")] = "stop"
    timeout_s: Annotated[
        float, Meta(gt=0, le=3600, description="s of the clock until the command times out without an acknowledgement")
    ] = 10.0
    retry_s: Annotated[float, Meta(ge=0.1, le=3600, description="s of the clock until the command is sent again; doubled each time")] = 1.0
    retry_max_s: Annotated[float, Meta(ge=0.1, le=3600, description="s of the clock between two sendings, at most")] = 15.0
    on_source_stalled: Annotated[
        bool, Meta(description="command a machine whose source is stalled, too, as if a model raised the alarm")
    ] = False
    dry_run: Annotated[bool, Meta(description="decide, log and note the command on the alarm, but do not send it")] = False
    rate_limit: Annotated[int, Meta(ge=0, le=1000, description="commands to an asset in a period, at most; 0: no limit")] = 0
    rate_period_s: Annotated[float, Meta(gt=0, le=31_536_000, description="s of the clock, the period of `rate_limit`")] = 3600.0
    interlock: Annotated[InterlockOptions, Meta(description="conditions for a command to be sent")] = InterlockOptions()

    def check(self, where: str) -> list[str]:
        dot = f"{where}." if where else ""
        if self.retry_s > self.retry_max_s:
            return [
                f"`{dot}retry_s` is {self.retry_s:g}, which is more than `{dot}retry_max_s`, {self.retry_max_s:g}; "
                "lower the first or raise the second"
            ]
        return []


@dataclass
class _OpenCommand:
    """A command without an answer.

    Attributes:
        issued: time of the decision; its monotonic part is of this boot.
        deadline, due: monotonic seconds of its end and of its next step; the first step is due at once.
        send_count: how often it was sent, in earlier processes too.
        held_because: the interlock's last reason to hold it back; empty: none.
    """

    row: CommandRow
    issued: Moment
    deadline: float
    due: float
    send_count: int
    backoff: Backoff
    held_because: str = field(default="")


class CommandAction(Action):
    """Sends `Command` with the id `<alarm id>:<action>` until it is acknowledged or its deadline has passed."""

    local = True

    def __init__(self, context: ActionContext, options: CommandOptions) -> None:
        self._throttled_log = RateLimitedLog(log, context.monotonic)
        self._context, self._options, self._store = context, options, context.store
        self._interlock = Interlock(options.interlock)
        self.topics = (topics.COMMANDS_ACK, *self._interlock.topics)
        self._open: dict[str, _OpenCommand] = {}
        for row in self._store.open_commands():
            saved = self._store.get_value(_issued_key(row.id), tuple[float, str])
            self._add(row, Moment(row.issued_ns, *saved) if saved else Moment(row.issued_ns))

    def act(self, pending: PendingAlert) -> None:
        alert = pending.alert
        if alert.model.startswith(PREFIX) and not (self._options.on_source_stalled and alert.model == PREFIX + SOURCE_STALLED):
            return
        if alert.state == ACTIVE:
            row = CommandRow(
                id=f"{alert.id}:{self._options.action}",
                alarm=alert.id,
                asset=alert.asset,
                action=self._options.action,
                issued_ns=pending.decided_ns,
                timeout_s=self._options.timeout_s,
                status=OPEN,
                send_count=0,
            )
            if self._store.add_command(row):
                self._add(row, Moment(pending.decided_ns))
        elif alert.state == CLEARED:
            # A command that was sent may be running: it stays open until its deadline, so that a missing answer is reported.
            for one in [one for one in self._open.values() if one.row.alarm == alert.id and not one.send_count]:
                log.info("command %s is withdrawn: its alarm has cleared before it was sent", one.row.id)
                self._close(one, WITHDRAWN)

    def on_message(self, topic: str, message: Message, sent_at: float) -> None:
        if topic in self._interlock.topics:
            passed_ns = round((self._context.monotonic() - sent_at) * SECOND)
            self._interlock.take(topic, message, sent_at, self._context.wall_ns() - passed_ns)
            return
        if not isinstance(message, CommandAck):
            self._throttled_log.warning("a message on %s is dropped: it is no command-ack; check its publisher", topic)
            return
        one = self._open.get(message.id)
        if one is None or one.row.asset != message.asset:
            self._take_late(message)
        elif message.status == "executed":
            self._close(one, message.status)
            log.info("command %s was executed by %s", message.id, message.asset)
        else:
            status, detail = _answer(message)
            self._close(one, status, f"{message.asset} answered the {one.row.action} command with {status}{detail}")

    def tick(self, now: float) -> float:
        wait = IDLE_S
        for one in list(self._open.values()):
            # Read the clock for each command: sending the previous one may have taken seconds, in which deadlines,
            # readings and permits age.
            now = max(now, self._context.monotonic())
            if self._is_over(one, now):
                self._time_out(one)
            elif now >= one.due:
                self._try(one, now)
            # A command that has just ended may have added a note to its alarm, which every action gets at once.
            over = one.row.id not in self._open
            wait = 0.0 if over else min(wait, one.due - now, one.deadline - now)
        return max(0.0, wait)

    # -- time

    def _add(self, row: CommandRow, issued: Moment) -> None:
        now = self._now()
        # The clock that shows more time counts. After a reboot only the wall clock has advanced, and if it was set back, it must not
        # extend the deadline more than once.
        passed = max(0.0, *issued.ages(now))
        issued = Moment(row.issued_ns, now.monotonic_s - passed, now.boot)
        self._store.set_value(_issued_key(row.id), [issued.monotonic_s, issued.boot])
        deadline = issued.monotonic_s + row.timeout_s
        backoff = Backoff(self._options.retry_s, self._options.retry_max_s)
        # Due at once: a time read here would be later than that of the tick in which the command is to be sent.
        self._open[row.id] = _OpenCommand(row, issued, deadline, -math.inf, row.send_count, backoff)

    def _now(self) -> Moment:
        return Moment(self._context.wall_ns(), self._context.monotonic(), boot_id())

    def _is_over(self, one: _OpenCommand, now: float) -> bool:
        # The machine uses the wall clock too: a command that it would answer with `expired` need not be sent.
        by_wall_clock = (self._context.wall_ns() - one.row.issued_ns) / SECOND
        return now >= one.deadline or by_wall_clock > one.row.timeout_s

    # -- sending

    def _try(self, one: _OpenCommand, now: float) -> None:
        row = one.row
        # A denied permit, or a reading that forbids the command, may already wait for its turn.
        self._context.receive_waiting(self._interlock.topics)
        reason = self._interlock.forbids(row.asset, max(now, self._context.monotonic()), self._context.wall_ns())
        if reason:
            self._hold_back(one, reason, now)
        elif one.send_count:
            if self._options.dry_run:
                one.due = one.deadline
            else:
                self._send(one, now)
        else:
            self._send_first(one, now)

    def _send_first(self, one: _OpenCommand, now: float) -> None:
        row, limit = one.row, self._options.rate_limit
        key = f"command/sent/{row.asset}"
        before = recent([Moment(*at) for at in self._store.get_value(key) or ()], self._now(), self._options.rate_period_s)
        if limit and len(before) >= limit:
            sentence = (
                f"the {row.action} command for {row.asset} is refused: {len(before)} were sent in the last "
                f"{self._options.rate_period_s:g} s, and `rate_limit` is {limit}"
            )
            self._close(one, LIMITED, sentence)
        elif self._options.dry_run:
            self._count(key, before)
            self._close(one, DRY_RUN, f"dry run: the {row.action} command for {row.asset} was decided and not sent")
        else:
            # Counted before it is sent: a process that is killed in between counts one too many, never one too few.
            self._count(key, before)
            self._send(one, now)

    def _count(self, key: str, before: list[Moment]) -> None:
        if self._options.rate_limit:
            self._store.set_value(key, [*before, self._now()][-self._options.rate_limit :])

    def _hold_back(self, one: _OpenCommand, reason: str, now: float) -> None:
        row = one.row
        one.due = now + INTERLOCK_RETRY_S
        if not one.held_because:
            sentence = f"the {row.action} command for {row.asset} is held back by the interlock: {reason}"
            self._context.add_note(row.alarm, sentence)
            log.error("command %s: %s", row.id, sentence)
        one.held_because = reason

    def _send(self, one: _OpenCommand, now: float) -> None:
        row = one.row
        one.due = now + one.backoff.next()
        # Saved before it is published: a command that may have been sent must not be reported as never sent.
        self._store.count_sending(row.id)
        one.send_count += 1
        command = Command(
            id=row.id, asset=row.asset, action=row.action, alarm=row.alarm, issued_at=to_iso(row.issued_ns), timeout_s=row.timeout_s
        )
        if one.issued.boot:
            command = msgspec.structs.replace(command, issued_monotonic_s=one.issued.monotonic_s, boot=one.issued.boot)
        if self._context.bus.publish(topics.COMMANDS, encode(command)) and one.send_count == 1:
            log.info("command %s is sent to %s", row.id, row.asset)

    # -- ends

    def _time_out(self, one: _OpenCommand) -> None:
        row = one.row
        if one.send_count:
            status, sentence = UNACKNOWLEDGED, f"{row.asset} did not acknowledge the {row.action} command within {row.timeout_s:g} s"
        else:
            status = FORBIDDEN if one.held_because else UNACKNOWLEDGED
            sentence = f"the {row.action} command for {row.asset} was not sent within {row.timeout_s:g} s of the alarm"
            if one.held_because:
                sentence += f", at last because {one.held_because}"
        self._close(one, status, sentence)

    def _take_late(self, ack: CommandAck) -> None:
        row = self._store.command(ack.id)
        if row is None or row.asset != ack.asset:
            log.debug("acknowledgement of %r by %r is ignored: this component sent no such command", ack.id[:80], ack.asset[:80])
        elif row.status in LOCAL_STATUSES:
            status, detail = _answer(ack)
            with self._store.transaction():
                self._store.set_command_status(row.id, status)
                self._context.add_note(row.alarm, f"{row.asset} answered the {row.action} command late with {status}{detail}")
            log.info("command %s was answered late with %s by %s", row.id, status, row.asset)

    def _close(self, one: _OpenCommand, status: str, sentence: str = "") -> None:
        """End a command; `sentence`, if the machine has not executed it, becomes a note on the alarm."""
        row = one.row
        with self._store.transaction():
            self._store.set_command_status(row.id, status)
            self._store.delete_value(_issued_key(row.id))
            if sentence:
                self._context.add_note(row.alarm, sentence)
        del self._open[row.id]
        if status == DRY_RUN:
            log.warning("command %s: %s", row.id, sentence)
        elif sentence:
            log.error("command %s: %s; check the machine", row.id, sentence)


def _issued_key(command_id: str) -> str:
    return f"command/issued/{command_id}"


def _answer(ack: CommandAck) -> tuple[str, str]:
    """The status, and the rest of the sentence, both short enough for a note."""
    status, detail = (visible(text) for text in (ack.status, ack.detail))
    return status[:MAX_STATUS] or "nothing", f": {fit(detail, MAX_DETAIL)}" if detail else ""
