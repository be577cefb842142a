"""Event times: integer nanoseconds since the epoch, UTC, and the ISO 8601 text that people read."""

from __future__ import annotations

from datetime import datetime, timezone

SECOND = 1_000_000_000


def to_iso(ns: int) -> str:
    """`2020-03-09T10:14:33.000Z`: UTC, milliseconds."""
    seconds, rest = divmod(int(ns), SECOND)
    text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1_000_000:03d}Z"


def from_iso(text: str) -> int:
    """Nanoseconds; a time without a zone is UTC.

    Raises:
        ValueError: not an ISO 8601 time.
    """
    # datetime.fromisoformat understands Z only from Python 3.11 on.
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * SECOND + moment.microsecond * 1000
