"""Commands to a machine: each at most once, none too late."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from edgeml.messages import Command, CommandAck
from edgeml.times import SECOND, from_iso, to_iso

log = logging.getLogger(__name__)

REMEMBERED = 1000
"""Commands whose execution is remembered, per asset."""


class Desk:
    """Takes the commands for one asset.

    Args:
        actions: what the machine can do.
        executed: `executed` of an earlier desk: command id -> event time of its execution, ISO 8601.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]], executed: dict[str, str] | None = None) -> None:
        self._actions = actions
        self.executed: dict[str, str] = dict(executed or {})

    def take(self, command: Command, wall_ns: int, event_ns: int) -> CommandAck | None:
        """Execute it, or not; None when this machine hears no commands at all.

        Args:
            wall_ns: now, against which `issued_at` and `timeout_s` count.
            event_ns: event time of the machine.
        """
        if not self._actions:
            log.info("%s cannot obey; command %s (%s) is not answered", command.asset, command.id, command.action)
            return None
        if command.id in self.executed:
            return CommandAck(id=command.id, asset=command.asset, status="executed", at=self.executed[command.id])
        at = to_iso(event_ns)
        status, detail = self._judge(command, wall_ns)
        if not status:
            self._actions[command.action]()
            status = "executed"
            self.executed[command.id] = at
            while len(self.executed) > REMEMBERED:
                del self.executed[next(iter(self.executed))]
        log.info("command %s to %s: %s, %s %s", command.id, command.asset, command.action, status, detail)
        return CommandAck(id=command.id, asset=command.asset, status=status, at=at, detail=detail)

    def _judge(self, command: Command, wall_ns: int) -> tuple[str, str]:
        if command.action not in self._actions:
            return "refused", f"unknown action {command.action!r}; choose one of {', '.join(sorted(self._actions))}"
        if not command.issued_at:
            return "", ""
        try:
            issued_ns = from_iso(command.issued_at)
        except (ValueError, OverflowError):
            return "refused", f"`issued_at` is {command.issued_at[:40]!r}; wanted is an ISO 8601 time"
        late_s = (wall_ns - issued_ns) / SECOND - command.timeout_s
        if late_s > 0:
            return "expired", f"it came {late_s:.1f} s after its deadline"
        return "", ""
