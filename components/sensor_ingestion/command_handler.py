"""Commands to a machine: each is executed at most once, none too late, and each has one final answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from edgeml.messages import Command, CommandAck, Release, topics
from edgeml.parsing.sanitize import fit, is_name, one_line, visible
from edgeml.timestamps import Moment, from_iso, to_iso
from sensor_ingestion.command_journal import EXECUTED, UNKNOWN, Answer, CommandJournal, JournalError, Lockout

log = logging.getLogger(__name__)

MAX_ID = 256
"""Characters of an id."""
MAX_DETAIL_BYTES = 1500
"""Of the sentence in an answer."""
MAX_AHEAD_S = 5.0
"""By how much the sender's clock may be ahead of this device's."""
MAX_UNSAVED = 1_000
"""Answers kept in memory because they could not be written."""


class CommandHandler:
    """Takes the commands for one asset.

    The order: the command is noted on disk and synced; the machine acts; the checkpoint is saved; the outcome is saved; the answer is
    returned. If the process is killed in between, the command is `unknown` and never begun again, unless the checkpoint shows that it was
    executed, or had no effect.

    Args:
        actions: the machine's actions.
        lockout_after: the action after which every other one is refused until `release`; empty: none.
        on_executed: called after the machine has acted; saves `last_executed_id` with the state of a machine in this process.
        last_executed_id: for a machine in this process, the saved one; None: a machine outside this process.

    Attributes:
        last_executed_id: id of the last command that the machine executed, empty at first.
        lockout: a sentence for people during a lockout, else empty.
    """

    def __init__(
        self,
        asset: str,
        actions: Mapping[str, Callable[[], None]],
        journal: CommandJournal,
        lockout_after: str = "",
        on_executed: Callable[[], None] = lambda: None,
        last_executed_id: str | None = None,
    ) -> None:
        self._asset, self._actions, self._journal = asset, actions, journal
        self._lockout_after, self._on_executed = lockout_after, on_executed
        self._throttled_log = journal.throttled_log
        self._unsaved: dict[str, Answer] = {}
        self.last_executed_id = last_executed_id or ""
        self.lockout = ""
        if actions:
            self._check_unfinished(last_executed_id)

    def import_executed(self, executed: Mapping[str, str]) -> None:
        """Take over the commands that an earlier version kept elsewhere: id -> event time of the execution."""
        try:
            self._journal.import_executed(self._asset, executed)
        except JournalError as fault:
            log.error("%s: %s", self._asset, fault)
            for id, at in executed.items():
                self._keep_unsaved(id, Answer(EXECUTED, at))

    def take(self, command: Command, now: Moment, event_ns: int) -> CommandAck | None:
        """Execute a command, or refuse it; None if the machine executes no commands at all.

        Args:
            now: the time with which the command's time of issue is compared.
            event_ns: event time of the machine.
        """
        if not self._actions:
            shown = visible(command.id)[:MAX_ID], visible(command.action)[:64]
            self._throttled_log.info("%s executes no commands; command %s (%s) is not answered", command.asset, *shown)
            return None
        at = to_iso(event_ns)
        try:
            answer = self._unsaved.get(command.id) or self._journal.find(self._asset, command.id) or self._decide(command, now, at)
        except JournalError as fault:
            answer = self._keep_unsaved(command.id, Answer("refused", at, str(fault)))
        (log if answer.status == EXECUTED else self._throttled_log).info(
            "command %s to %s: %s, %s %s",
            visible(command.id)[:MAX_ID],
            command.asset,
            visible(command.action)[:64],
            answer.status,
            answer.detail,
        )
        detail = one_line(answer.detail, MAX_DETAIL_BYTES)
        return CommandAck(id=fit(command.id, 6 * MAX_ID), asset=command.asset, status=answer.status, at=answer.at, detail=detail)

    def release(self, release: Release) -> None:
        """End the lockout, if a person is named."""
        by = fit(visible(release.by), 200)
        if not by:
            remedy = "put the name of the person who checked the machine into `by`"
            self._throttled_log.warning("release of %s is ignored: it names nobody; %s", self._asset, remedy)
        elif not self.lockout:
            self._throttled_log.info("%s releases %s, which is not locked out", by, self._asset)
        else:
            try:
                self._journal.release(self._asset)
            except JournalError as fault:
                log.error("%s stays locked out: %s", self._asset, fault)
                return
            self.lockout = ""
            log.warning("%s is released by %s: %s", self._asset, by, fit(visible(release.note), 1000) or "no note")

    def _decide(self, command: Command, now: Moment, at: str) -> Answer:
        refusal = self._invalid(command)
        if refusal:
            # A repetition gets the same answer, so nothing is saved.
            return Answer("refused", at, refusal)
        answer = self._not_now(command, now, at)
        if answer is not None:
            # The clock or a person may remove the cause; a copy of the command that arrives then must not be executed.
            self._journal.note(self._asset, command.id, answer)
            return answer
        self._journal.begin(self._asset, command.id, at, lockout=command.action == self._lockout_after)
        if command.action == self._lockout_after:
            self.lockout = self._sentence(Lockout(command.id, at))
        try:
            self._actions[command.action]()
            answer, self.last_executed_id = Answer(EXECUTED, at), command.id
        except Exception as fault:
            log.exception("%s: the action %s failed", self._asset, command.action)
            answer = Answer(
                UNKNOWN, at, f"the machine's {command.action} failed ({str(fault)[:200]!r}); check whether the machine executed it"
            )
        self._on_executed()
        try:
            self._journal.finish(self._asset, command.id, answer)
        except JournalError as fault:
            log.error("%s: the outcome of command %s cannot be saved: %s", self._asset, command.id, fault)
            self._keep_unsaved(command.id, answer)
        return answer

    def _invalid(self, command: Command) -> str:
        """The reason to refuse the command at any time, or empty."""
        if not 1 <= len(command.id) <= MAX_ID:
            return f"its id has {len(command.id)} characters; give it 1 to {MAX_ID}"
        if not is_name(command.id):
            return f"its id {command.id[:80]!r} has characters that are not printable; use letters, digits and -"
        if command.action not in self._actions:
            return f"unknown action {command.action[:64]!r}; choose one of {', '.join(sorted(self._actions))}"
        if command.issued_at:
            try:
                from_iso(command.issued_at)
            except (ValueError, OverflowError):
                return f"`issued_at` is {command.issued_at[:40]!r}; expected an ISO 8601 time"
        return ""

    def _not_now(self, command: Command, now: Moment, at: str) -> Answer | None:
        """The answer if the command must not be executed now, else None."""
        if command.issued_at:
            issued = _issued(command)
            ages = issued.ages(now)
            # Late by either clock is late. This form makes a timeout that is NaN late, too.
            if not max(ages) <= command.timeout_s:
                return Answer("expired", at, f"it arrived {max(ages) - command.timeout_s:.1f} s after its deadline")
            if ages[-1] < -MAX_AHEAD_S:
                return Answer("refused", at, f"it is dated {-ages[-1]:.1f} s ahead of this device's clock; set the clocks")
            if issued.wall_ns < self._journal.lost_ns():
                return Answer(UNKNOWN, at, "it was issued before the journal of commands was lost; check whether the machine executed it")
        if self.lockout and command.action != self._lockout_after:
            return Answer("refused", at, self.lockout)
        return None

    def _check_unfinished(self, last_executed_id: str | None) -> None:
        try:
            for id in self._journal.unfinished(self._asset):
                self._resolve(id, last_executed_id)
            self.lockout = self._sentence(self._journal.lockout(self._asset)) if self._lockout_after else ""
        except JournalError as fault:
            log.error("%s: %s", self._asset, fault)
            if self._lockout_after:
                self.lockout = f"{self._asset} counts as locked out: {fault}"

    def _resolve(self, id: str, last_executed_id: str | None) -> None:
        """Determine the outcome of a command that an earlier process had begun."""
        answer = self._journal.find(self._asset, id)
        if last_executed_id is not None and id != last_executed_id:
            self._journal.delete(self._asset, id)
            log.info("command %s to %s was begun and had no effect; it may be sent again", id, self._asset)
        elif answer is not None:
            if id == last_executed_id:
                answer = Answer(EXECUTED, answer.at)
            else:
                log.error("command %s to %s was begun and not finished; check whether the machine executed it", id, self._asset)
            self._journal.finish(self._asset, id, answer)

    def _sentence(self, lockout: Lockout | None) -> str:
        if lockout is None:
            return ""
        since = f"since {lockout.at} by command {lockout.command}" if lockout.command else "because the journal of commands was lost"
        example = msgspec.json.encode({"type": "release", "asset": self._asset, "by": "…"}).decode()
        return f"{self._asset} is locked out {since}; after a person has checked it, publish {example} on {topics.COMMANDS_RELEASE}"

    def _keep_unsaved(self, id: str, answer: Answer) -> Answer:
        self._unsaved[id] = answer
        while len(self._unsaved) > MAX_UNSAVED:
            del self._unsaved[next(iter(self._unsaved))]
        return answer


def _issued(command: Command) -> Moment:
    wall_ns = from_iso(command.issued_at)
    if isinstance(command.boot, str) and isinstance(command.issued_monotonic_s, float):
        return Moment(wall_ns, command.issued_monotonic_s, command.boot)
    return Moment(wall_ns)
