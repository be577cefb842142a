"""Event times: integer nanoseconds since the epoch, UTC, and the ISO 8601 text that people read; instants by both clocks."""

from __future__ import annotations

import functools
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

SECOND = 1_000_000_000


def to_iso(ns: int) -> str:
    """`2020-03-09T10:14:33.000Z`: UTC, milliseconds."""
    seconds, rest = divmod(int(ns), SECOND)
    text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1_000_000:03d}Z"


def from_iso(text: str) -> int:
    """Nanoseconds; a time without a zone is UTC.

    Raises:
        ValueError: not an ISO 8601 time, or before 1678 or after 2261, where nanoseconds leave 64 bits.
    """
    # datetime.fromisoformat understands Z only from Python 3.11 on.
    moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    whole = int(moment.replace(microsecond=0).timestamp())
    ns = whole * SECOND + moment.microsecond * 1000
    if not -(2**63) <= ns < 2**63:
        raise ValueError(f"{text[:40]!r} is not in the years 1678 to 2261")
    return ns


def age_s(wall_ns: int, event_ns: int) -> float:
    """Seconds from an event time to a wall clock's time."""
    return (wall_ns - event_ns) / SECOND


class Moment(NamedTuple):
    """An instant by both clocks of one device, comparable between its processes and over their restarts.

    Attributes:
        wall_ns: nanoseconds since the epoch; this clock can be set.
        monotonic_s: seconds that the system counts since it started; it neither jumps nor counts while the system is suspended.
        boot: which start of the system that is; empty: unknown, and then only the wall clock can tell.
    """

    wall_ns: int
    monotonic_s: float = 0.0
    boot: str = ""

    def ages(self, now: Moment) -> tuple[float, ...]:
        """Seconds from here to `now`, by the wall clock, and then by the monotonic one if both are of one start of the system."""
        by_wall = (now.wall_ns - self.wall_ns) / SECOND
        if not self.boot or self.boot != now.boot:
            return (by_wall,)
        return by_wall, now.monotonic_s - self.monotonic_s


@functools.cache
def boot_id() -> str:
    """Which start of the system this is; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
