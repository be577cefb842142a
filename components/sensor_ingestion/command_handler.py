"""Commands to a machine: each at most once, none too late, each with one answer for good."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import msgspec

from edgeml.messages import Command, CommandAck, Release, topics
from edgeml.parsing.sanitize import fit, is_name, one_line, visible
from edgeml.timestamps import Moment, from_iso, to_iso
from sensor_ingestion.command_journal import EXECUTED, UNKNOWN, Answer, CommandJournal, JournalError, Lockout

log = logging.getLogger(__name__)

LONGEST_ID = 256
LONGEST_DETAIL = 1500
"""Bytes of the sentence in an answer."""
"""Characters of an id."""
AHEAD_S = 5.0
"""By how much the sender's clock may be ahead of this device's."""
SAID_KEPT = 1_000
"""Answers held in memory because the disk did not take them."""


class CommandHandler:
    """Takes the commands for one asset.

    The order is: what is about to happen is on disk and synced; the machine acts; what the process itself remembers of the machine
    is saved; the outcome is on disk; the answer is returned. Killed in between, the command is `unknown` and never begun again, unless
    what was saved tells that it was obeyed, or had no effect.

    Args:
        actions: what the machine can do.
        lockout_after: the action after which every other one is refused until `release`; empty: none.
        acted: called after the machine has acted; saves `obeyed` with the machine's state where the machine is in this process.
        obeyed: for a machine in this process, what was saved of `obeyed`; None: a machine outside, of which this process knows nothing.

    Attributes:
        obeyed: id of the last command that the machine obeyed, empty at first.
        latched: a sentence for people while it is latched, else empty.
    """

    def __init__(
        self,
        asset: str,
        actions: Mapping[str, Callable[[], None]],
        journal: CommandJournal,
        lockout_after: str = "",
        acted: Callable[[], None] = lambda: None,
        obeyed: str | None = None,
    ) -> None:
        self._asset, self._actions, self._journal = asset, actions, journal
        self._lockout_after, self._acted = lockout_after, acted
        self._seldom = journal.lines
        self._said: dict[str, Answer] = {}
        self.obeyed = obeyed or ""
        self.latched = ""
        if actions:
            self._look_back(obeyed)

    def adopt(self, executed: Mapping[str, str]) -> None:
        """Commands that were executed by a version that kept them elsewhere: id -> event time of the execution."""
        try:
            self._journal.adopt(self._asset, executed)
        except JournalError as fault:
            log.error("%s: %s", self._asset, fault)
            for id, at in executed.items():
                self._say(id, Answer(EXECUTED, at))

    def take(self, command: Command, now: Moment, event_ns: int) -> CommandAck | None:
        """Execute it, or not; None when this machine hears no commands at all.

        Args:
            now: what the command's time of issue is compared with.
            event_ns: event time of the machine.
        """
        if not self._actions:
            shown = visible(command.id)[:LONGEST_ID], visible(command.action)[:64]
            self._seldom.info("%s cannot obey; command %s (%s) is not answered", command.asset, *shown)
            return None
        at = to_iso(event_ns)
        try:
            answer = self._said.get(command.id) or self._journal.find(self._asset, command.id) or self._decide(command, now, at)
        except JournalError as fault:
            answer = self._say(command.id, Answer("refused", at, str(fault)))
        (log if answer.status == EXECUTED else self._seldom).info(
            "command %s to %s: %s, %s %s",
            visible(command.id)[:LONGEST_ID],
            command.asset,
            visible(command.action)[:64],
            answer.status,
            answer.detail,
        )
        detail = one_line(answer.detail, LONGEST_DETAIL)
        return CommandAck(id=fit(command.id, 6 * LONGEST_ID), asset=command.asset, status=answer.status, at=answer.at, detail=detail)

    def release(self, release: Release) -> None:
        """A person lets the machine be commanded again."""
        by = fit(visible(release.by), 200)
        if not by:
            remedy = "put the name of the person who saw to it into `by`"
            self._seldom.warning("a release of %s names nobody and is ignored; %s", self._asset, remedy)
        elif not self.latched:
            self._seldom.info("%s releases %s, which is not latched", by, self._asset)
        else:
            try:
                self._journal.release(self._asset)
            except JournalError as fault:
                log.error("%s stays latched: %s", self._asset, fault)
                return
            self.latched = ""
            log.warning("%s is released by %s: %s", self._asset, by, fit(visible(release.note), 1000) or "no note")

    def _decide(self, command: Command, now: Moment, at: str) -> Answer:
        refusal = self._cannot(command)
        if refusal:
            # Whoever asks again gets the same answer, so nothing need be remembered.
            return Answer("refused", at, refusal)
        answer = self._must_not(command, now, at)
        if answer is not None:
            # The clock or a person may change what it hangs on; a copy of the command that comes then must not be executed.
            self._journal.note(self._asset, command.id, answer)
            return answer
        self._journal.begin(self._asset, command.id, at, latch=command.action == self._lockout_after)
        if command.action == self._lockout_after:
            self.latched = self._sentence(Lockout(command.id, at))
        try:
            self._actions[command.action]()
            answer, self.obeyed = Answer(EXECUTED, at), command.id
        except Exception as fault:
            log.exception("%s: the action %s failed", self._asset, command.action)
            answer = Answer(UNKNOWN, at, f"the machine's {command.action} failed ({str(fault)[:200]!r}); see whether the machine obeyed")
        self._acted()
        try:
            self._journal.finish(self._asset, command.id, answer)
        except JournalError as fault:
            log.error("%s: what came of command %s is not written down: %s", self._asset, command.id, fault)
            self._say(command.id, answer)
        return answer

    def _cannot(self, command: Command) -> str:
        """Why it would be refused at any time; empty if it would not."""
        if not 1 <= len(command.id) <= LONGEST_ID:
            return f"its id has {len(command.id)} characters; give it 1 to {LONGEST_ID}"
        if not is_name(command.id):
            return f"its id {command.id[:80]!r} has characters that do not print; use letters, digits and -"
        if command.action not in self._actions:
            return f"unknown action {command.action[:64]!r}; choose one of {', '.join(sorted(self._actions))}"
        if command.issued_at:
            try:
                from_iso(command.issued_at)
            except (ValueError, OverflowError):
                return f"`issued_at` is {command.issued_at[:40]!r}; wanted is an ISO 8601 time"
        return ""

    def _must_not(self, command: Command, now: Moment, at: str) -> Answer | None:
        """Why it is not executed now; None if it may be."""
        if command.issued_at:
            issued = _issued(command)
            ages = issued.ages(now)
            # Late by either clock is late. Written so that a time limit that is no number is late too.
            if not max(ages) <= command.timeout_s:
                return Answer("expired", at, f"it came {max(ages) - command.timeout_s:.1f} s after its deadline")
            if ages[-1] < -AHEAD_S:
                return Answer("refused", at, f"it is dated {-ages[-1]:.1f} s ahead of this device's clock; set the clocks")
            if issued.wall_ns < self._journal.lost_ns():
                return Answer(UNKNOWN, at, "it was issued before the memory of commands was lost; see whether the machine obeyed")
        if self.latched and command.action != self._lockout_after:
            return Answer("refused", at, self.latched)
        return None

    def _look_back(self, obeyed: str | None) -> None:
        try:
            for id in self._journal.unfinished(self._asset):
                self._settle(id, obeyed)
            self.latched = self._sentence(self._journal.latch(self._asset)) if self._lockout_after else ""
        except JournalError as fault:
            log.error("%s: %s", self._asset, fault)
            if self._lockout_after:
                self.latched = f"{self._asset} counts as latched: {fault}"

    def _settle(self, id: str, obeyed: str | None) -> None:
        """Find out what became of a command that an earlier process had begun."""
        answer = self._journal.find(self._asset, id)
        if obeyed is not None and id != obeyed:
            self._journal.forget(self._asset, id)
            log.info("command %s to %s was begun and had no effect; it may come again", id, self._asset)
        elif answer is not None:
            if id == obeyed:
                answer = Answer(EXECUTED, answer.at)
            else:
                log.error("command %s to %s was begun and not finished; see whether the machine obeyed", id, self._asset)
            self._journal.finish(self._asset, id, answer)

    def _sentence(self, latch: Lockout | None) -> str:
        if latch is None:
            return ""
        since = f"since {latch.at} by command {latch.command}" if latch.command else "because the memory of commands was lost"
        example = msgspec.json.encode({"type": "release", "asset": self._asset, "by": "…"}).decode()
        return f"{self._asset} is latched {since}; once a person has seen to it, publish {example} on {topics.COMMANDS_RELEASE}"

    def _say(self, id: str, answer: Answer) -> Answer:
        self._said[id] = answer
        while len(self._said) > SAID_KEPT:
            del self._said[next(iter(self._said))]
        return answer


def _issued(command: Command) -> Moment:
    wall_ns = from_iso(command.issued_at)
    if isinstance(command.boot, str) and isinstance(command.issued_monotonic_s, float):
        return Moment(wall_ns, command.issued_monotonic_s, command.boot)
    return Moment(wall_ns)
