"""Commands to machines, their answers, and the messages that permit or lock out commands."""

from __future__ import annotations

import msgspec

from edgeml.messages.message import Message, Name


class Command(Message, frozen=True, kw_only=True, tag="command"):
    """An action for a machine, executed at most once per id.

    Attributes:
        id: the idempotency key. A machine that receives an id a second time acknowledges again and does nothing else.
        action: `stop`, `start`, or another action of the machine's source.
        alarm: the alarm that caused it, or empty.
        issued_at: wall-clock time, ISO 8601.
        timeout_s: seconds after `issued_at` from which on it must not be executed.
        issued_monotonic_s, boot: the same instant by the monotonic clock (see `edgeml.timestamps.Moment`), if the sender runs on the
            same device.
    """

    id: str
    asset: Name
    action: str
    alarm: Name = ""
    issued_at: str = ""
    timeout_s: float = 10.0
    # An unset field is not encoded, which keeps the bytes of messages from before the field existed.
    issued_monotonic_s: float | msgspec.UnsetType = msgspec.UNSET
    boot: str | msgspec.UnsetType = msgspec.UNSET


class CommandAck(Message, frozen=True, kw_only=True, tag="command-ack"):
    """The machine's answer to a command.

    Attributes:
        id: the id of the command.
        status: `executed`, `refused` (the machine cannot or must not do it), `expired` (it arrived too late), or `unknown` (execution
            began, the outcome is not known, and it will not be repeated).
        at: event time of the machine, ISO 8601.
        detail: the reason, for all but `executed`.
    """

    id: str
    asset: Name
    status: Name
    at: str = ""
    detail: str = ""


class Release(Message, frozen=True, kw_only=True, tag="release"):
    """A person ends the lockout of a machine: it may be commanded again. `by` is that person's name."""

    asset: Name
    by: str
    note: str = ""


class Permit(Message, frozen=True, kw_only=True, tag="permit"):
    """Whether automatic commands to `asset` are allowed now. Repeated periodically, because a missing permit forbids commands.

    Attributes:
        reason: for people, why commands are not allowed.
    """

    asset: Name
    allowed: bool
    reason: str = ""
