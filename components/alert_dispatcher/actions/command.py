"""Commands the machine, once for each alarm, as far as the interlock and the rate limit let it, and waits for its acknowledgement."""

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
from alert_dispatcher.health_alarms import PREFIX, SOURCE
from alert_dispatcher.state_db import CommandRow
from edgeml.alarms.alarm_policy import ACTIVE, CLEARED
from edgeml.backoff import Backoff
from edgeml.log_throttle import RateLimitedLog
from edgeml.messages import Alert, Command, CommandAck, Message, encode, topics
from edgeml.parsing.sanitize import fit, visible
from edgeml.timestamps import SECOND, Moment, boot_id, to_iso

log = logging.getLogger(__name__)

OPEN = "open"
WITHDRAWN, UNACKNOWLEDGED, FORBIDDEN, LIMITED, DRY_RUN = "withdrawn", "unacknowledged", "forbidden", "limited", "dry-run"
OURS = (WITHDRAWN, UNACKNOWLEDGED, FORBIDDEN, LIMITED, DRY_RUN)
"""How a command ends here; any other status is the machine's answer."""
LOOK_S = 0.2
"""How often the interlock is asked again while it forbids."""
LONGEST_STATUS, LONGEST_DETAIL = 20, 300
"""Characters of an answer that go into an alarm's note: an alert must fit into a message."""


class CommandOptions(ActionOptions, frozen=True, kw_only=True):
    """What the machine is told when an alarm is raised."""

    action: Annotated[str, Meta(min_length=1, max_length=64, description="what the machine is to do, a name it knows")] = "stop"
    timeout_s: Annotated[float, Meta(gt=0, le=3600, description="s of the clock until which an acknowledgement is awaited")] = 10.0
    retry_s: Annotated[
        float, Meta(ge=0.1, le=3600, description="s of the clock between the first two sendings of the same command, then doubled")
    ] = 1.0
    retry_max_s: Annotated[float, Meta(ge=0.1, le=3600, description="s of the clock between two sendings, at most")] = 15.0
    on_source_stalled: Annotated[
        bool, Meta(description="command a machine whose source is stalled, too, not only because of a model's alarm")
    ] = False
    dry_run: Annotated[bool, Meta(description="the command is decided, logged and noted on the alarm, but not sent")] = False
    rate_limit: Annotated[int, Meta(ge=0, le=1000, description="commands to an asset in a period, at most; 0: no limit")] = 0
    rate_period_s: Annotated[float, Meta(gt=0, le=31_536_000, description="s of the clock, the period of `rate_limit`")] = 3600.0
    interlock: Annotated[InterlockOptions, Meta(description="what must be so for a command to be sent")] = InterlockOptions()

    def check(self, where: str) -> list[str]:
        dot = f"{where}." if where else ""
        if self.retry_s > self.retry_max_s:
            return [
                f"`{dot}retry_s` is {self.retry_s:g}, which is more than `{dot}retry_max_s`, {self.retry_max_s:g}; "
                "lower the one or raise the other"
            ]
        return []


@dataclass
class _Awaited:
    """A command that is open.

    Attributes:
        issued: when it was decided; its monotonic part is of this start of the system.
        deadline, due: monotonic seconds: when it ends, and when there is something to do about it; at first that is at once.
        sendings: how often it was sent, in earlier processes too.
        forbidden: what the interlock said last; empty: nothing.
    """

    row: CommandRow
    issued: Moment
    deadline: float
    due: float
    sendings: int
    backoff: Backoff
    forbidden: str = field(default="")


class CommandAction(Action):
    """Sends `Command` with the id `<alarm id>:<action>` until it is acknowledged or its deadline has passed."""

    local = True

    def __init__(self, surroundings: ActionContext, options: CommandOptions) -> None:
        self._seldom = RateLimitedLog(log, surroundings.monotonic)
        self._s, self._options = surroundings, options
        self._interlock = Interlock(options.interlock)
        self.topics = (topics.COMMANDS_ACK, *self._interlock.topics)
        self._awaited: dict[str, _Awaited] = {}
        for row in surroundings.store.open_commands():
            kept = surroundings.store.recall(_issued_key(row.id), tuple[float, str])
            self._await(row, Moment(row.issued_ns, *kept) if kept else Moment(row.issued_ns))

    def act(self, alert: Alert, decided_ns: int) -> None:
        if alert.model.startswith(PREFIX) and not (self._options.on_source_stalled and alert.model == SOURCE):
            return
        if alert.state == ACTIVE:
            row = CommandRow(
                id=f"{alert.id}:{self._options.action}",
                alarm=alert.id,
                asset=alert.asset,
                action=self._options.action,
                issued_ns=decided_ns,
                timeout_s=self._options.timeout_s,
                status=OPEN,
                sent=0,
            )
            if self._s.store.issue(row):
                self._await(row, Moment(decided_ns))
        elif alert.state == CLEARED:
            # One that was sent may be being executed: it runs to its deadline, so that a missing answer is told.
            for awaited in [a for a in self._awaited.values() if a.row.alarm == alert.id and not a.sendings]:
                log.info("command %s is withdrawn: its alarm has cleared before it was sent", awaited.row.id)
                self._settle(awaited, WITHDRAWN)

    def on_message(self, topic: str, message: Message, sent_at: float) -> None:
        if topic in self._interlock.topics:
            passed_ns = round((self._s.monotonic() - sent_at) * SECOND)
            self._interlock.hear(topic, message, sent_at, self._s.wall_ns() - passed_ns)
            return
        if not isinstance(message, CommandAck):
            self._seldom.warning("a message on %s is no command-ack; check who publishes there", topic)
            return
        awaited = self._awaited.get(message.id)
        if awaited is None or awaited.row.asset != message.asset:
            self._late(message)
        elif message.status == "executed":
            self._settle(awaited, message.status)
            log.info("command %s was executed by %s", message.id, message.asset)
        else:
            status, detail = _answer(message)
            self._settle(awaited, status, f"{message.asset} answered the {awaited.row.action} command with {status}{detail}")

    def tick(self, now: float) -> float:
        wait = IDLE_S
        for awaited in list(self._awaited.values()):
            # Each at its own instant: the sending of the one before may have taken seconds, in which deadlines, readings and permits age.
            now = max(now, self._s.monotonic())
            if self._is_over(awaited, now):
                self._give_up(awaited)
            elif now >= awaited.due:
                self._try(awaited, now)
            # What has just ended may have put a note on its alarm, which is to be acted upon at once.
            over = awaited.row.id not in self._awaited
            wait = 0.0 if over else min(wait, awaited.due - now, awaited.deadline - now)
        return max(0.0, wait)

    # -- time

    def _await(self, row: CommandRow, issued: Moment) -> None:
        now = self._now()
        # By the clock that says more; over a restart of the system only the wall clock has gone on, and one that was set back must not
        # stretch the deadline by more than once.
        passed = max(0.0, *issued.ages(now))
        issued = Moment(row.issued_ns, now.monotonic_s - passed, now.boot)
        self._s.store.remember(_issued_key(row.id), [issued.monotonic_s, issued.boot])
        deadline = issued.monotonic_s + row.timeout_s
        backoff = Backoff(self._options.retry_s, self._options.retry_max_s)
        # Due at once and not from an instant on: one read here is later than that of the tick which is to send it.
        self._awaited[row.id] = _Awaited(row, issued, deadline, -math.inf, row.sent, backoff)

    def _now(self) -> Moment:
        return Moment(self._s.wall_ns(), self._s.monotonic(), boot_id())

    def _is_over(self, awaited: _Awaited, now: float) -> bool:
        # The machine counts the wall clock too: what it would answer with `expired` need not be sent.
        by_wall = (self._s.wall_ns() - awaited.row.issued_ns) / SECOND
        return now >= awaited.deadline or by_wall > awaited.row.timeout_s

    # -- sending

    def _try(self, awaited: _Awaited, now: float) -> None:
        row = awaited.row
        # A denial, or a reading that forbids, may be here already and wait for its turn.
        self._s.catch_up(self._interlock.topics)
        forbidden = self._interlock.forbids(row.asset, max(now, self._s.monotonic()), self._s.wall_ns())
        if forbidden:
            self._hold(awaited, forbidden, now)
        elif awaited.sendings:
            if self._options.dry_run:
                awaited.due = awaited.deadline
            else:
                self._send(awaited, now)
        else:
            key = f"command/sent/{row.asset}"
            before = recent([Moment(*at) for at in self._s.store.recall(key) or ()], self._now(), self._options.rate_period_s)
            limit = self._options.rate_limit
            if limit and len(before) >= limit:
                self._settle(
                    awaited,
                    LIMITED,
                    (
                        f"the {row.action} command for {row.asset} is refused: {len(before)} went out in the last "
                        f"{self._options.rate_period_s:g} s, and `rate_limit` is {limit}"
                    ),
                )
            elif self._options.dry_run:
                self._count(key, before)
                self._settle(awaited, DRY_RUN, f"dry run: the {row.action} command for {row.asset} was decided and not sent")
            else:
                # A kill in between counts one that did not go out, never the other way round.
                self._count(key, before)
                self._send(awaited, now)

    def _count(self, key: str, before: list[Moment]) -> None:
        if self._options.rate_limit:
            self._s.store.remember(key, [*before, self._now()][-self._options.rate_limit :])

    def _hold(self, awaited: _Awaited, forbidden: str, now: float) -> None:
        row = awaited.row
        awaited.due = now + LOOK_S
        if not awaited.forbidden:
            sentence = f"the {row.action} command for {row.asset} is held back by the interlock: {forbidden}"
            self._s.note(row.alarm, sentence)
            log.error("command %s: %s", row.id, sentence)
        awaited.forbidden = forbidden

    def _send(self, awaited: _Awaited, now: float) -> None:
        row = awaited.row
        awaited.due = now + awaited.backoff.next()
        # Before it is published: what may have been sent must not be reported as never sent.
        self._s.store.sent(row.id)
        awaited.sendings += 1
        command = Command(
            id=row.id, asset=row.asset, action=row.action, alarm=row.alarm, issued_at=to_iso(row.issued_ns), timeout_s=row.timeout_s
        )
        if awaited.issued.boot:
            command = msgspec.structs.replace(command, issued_monotonic_s=awaited.issued.monotonic_s, boot=awaited.issued.boot)
        if self._s.bus.publish(topics.COMMANDS, encode(command)) and awaited.sendings == 1:
            log.info("command %s is sent to %s", row.id, row.asset)

    # -- ends

    def _give_up(self, awaited: _Awaited) -> None:
        row = awaited.row
        if awaited.sendings:
            status, sentence = UNACKNOWLEDGED, f"{row.asset} did not acknowledge the {row.action} command within {row.timeout_s:g} s"
        else:
            status = FORBIDDEN if awaited.forbidden else UNACKNOWLEDGED
            sentence = f"the {row.action} command for {row.asset} was not sent within {row.timeout_s:g} s of the alarm"
            if awaited.forbidden:
                sentence += f", at last because {awaited.forbidden}"
        self._settle(awaited, status, sentence)

    def _late(self, ack: CommandAck) -> None:
        row = self._s.store.command(ack.id)
        if row is None or row.asset != ack.asset:
            log.debug("an acknowledgement of %r by %r, which nobody here asked for", ack.id[:80], ack.asset[:80])
        elif row.status in OURS:
            status, detail = _answer(ack)
            with self._s.store.transaction():
                self._s.store.settle(row.id, status)
                self._s.note(row.alarm, f"{row.asset} answered the {row.action} command late with {status}{detail}")
            log.info("command %s was answered late with %s by %s", row.id, status, row.asset)

    def _settle(self, awaited: _Awaited, status: str, trouble: str = "") -> None:
        row = awaited.row
        with self._s.store.transaction():
            self._s.store.settle(row.id, status)
            self._s.store.forget(_issued_key(row.id))
            if trouble:
                self._s.note(row.alarm, trouble)
        del self._awaited[row.id]
        if status == DRY_RUN:
            log.warning("command %s: %s", row.id, trouble)
        elif trouble:
            log.error("command %s: %s; see to the machine", row.id, trouble)


def _issued_key(command_id: str) -> str:
    return f"command/issued/{command_id}"


def _answer(ack: CommandAck) -> tuple[str, str]:
    """The status, and what follows it in a sentence; both cut to what a note may hold."""
    status, detail = (visible(text) for text in (ack.status, ack.detail))
    return status[:LONGEST_STATUS] or "nothing", f": {fit(detail, LONGEST_DETAIL)}" if detail else ""
