"""Alerts, and their acknowledgement by a person."""

from __future__ import annotations

from edgeml.messages.message import Message, Name


class Alert(Message, frozen=True, kw_only=True, tag="alert"):
    """A state change of an alarm; the id stays the same from `pending` to `cleared`.

    Attributes:
        state: `pending`, `active`, `acknowledged` or `cleared`.
        at, raised_at, cleared_at: event times, ISO 8601.
        confidence, peak_confidence: the latest one, and the highest since the alarm was pending.
        why: an explanation for the operator, one sentence.
        acknowledged_by, note: from the person who acknowledged.
    """

    id: Name
    asset: Name
    stream: Name
    seq: int
    model: Name
    model_version: Name
    state: Name
    at: str
    raised_at: str | None = None
    cleared_at: str | None = None
    confidence: float | None = None
    peak_confidence: float | None = None
    why: str = ""
    acknowledged_by: str = ""
    note: str = ""


class Acknowledge(Message, frozen=True, kw_only=True, tag="acknowledge"):
    """A person has acknowledged an alarm. `alarm` is the alert's id."""

    alarm: Name
    by: str = ""
    note: str = ""
