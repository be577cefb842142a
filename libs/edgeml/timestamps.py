"""Event times: integer nanoseconds since the epoch, UTC, and the ISO 8601 text that people read; instants by both clocks."""

from __future__ import annotations

import functools
import re
from datetime import date, datetime, timezone
from pathlib import Path
from typing import NamedTuple

SECOND = 1_000_000_000
_EPOCH = date(1970, 1, 1).toordinal()
# datetime.fromisoformat differs from one Python to the next: 3.10 reads no `Z` and only 3 or 6 decimals, 3.11 week dates too.
_CLOCK_END = r"(?:[.,]([0-9]{1,64}))?"
_ZONE = r"(?: ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?))?"
_EXTENDED = re.compile(rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})(?:[Tt ]([0-9]{{2}}):([0-9]{{2}})(?::([0-9]{{2}}){_CLOCK_END})?{_ZONE})?")
_BASIC = re.compile(rf"([0-9]{{4}})([0-9]{{2}})([0-9]{{2}})[Tt]([0-9]{{2}})([0-9]{{2}})(?:([0-9]{{2}}){_CLOCK_END})?{_ZONE}")


def to_iso(ns: int) -> str:
    """`2020-03-09T10:14:33.000Z`: UTC, milliseconds."""
    seconds, rest = divmod(int(ns), SECOND)
    text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest // 1_000_000:03d}Z"


def from_iso(text: str) -> int:
    """Nanoseconds; a time without a zone is UTC. The result is the same on every supported Python.

    Accepted are `2020-03-09`, `2020-03-09 10:14`, `2020-03-09T10:14:33.5Z`, `2020-03-09T11:14:33,5+01:00` and `20200309T101433Z`: ASCII
    digits, a year of four, any number of decimals (rounded to nanoseconds), blanks around it.

    Raises:
        ValueError: not such a time, or before 1678 or after 2261, where nanoseconds leave 64 bits. Its text is the reason.
    """
    plain = text.strip(" \t")
    found = _EXTENDED.fullmatch(plain) or _BASIC.fullmatch(plain)
    if found is None:
        raise ValueError("not an ISO 8601 time")
    year, month, day, hour, minute, second, fraction, zone = found.groups("0")
    if second == "60":
        raise ValueError("a leap second, which Unix time cannot represent")
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError("not an ISO 8601 time (no such time of day)")
    try:
        days = _days(year, month, day)
    except ValueError as fault:
        raise ValueError(f"not an ISO 8601 time ({fault})") from None
    ns = (days * 86_400 + hours * 3600 + minutes * 60 + seconds - _offset_s(zone)) * SECOND + _fraction_ns(fraction)
    if not -(2**63) <= ns < 2**63:
        raise ValueError("not in the years 1678 to 2261")
    return ns


@functools.lru_cache(maxsize=64)
def _days(year: str, month: str, day: str) -> int:
    return date(int(year), int(month), int(day)).toordinal() - _EPOCH


def _fraction_ns(digits: str) -> int:
    """Nanoseconds of the decimals of a second, rounded."""
    if len(digits) <= 9:
        return int(digits.ljust(9, "0"))
    return round(int(digits[:12].ljust(12, "0")) / 1000)


def _offset_s(zone: str) -> int:
    if zone in ("0", "Z", "z"):
        return 0
    digits = zone[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("not an ISO 8601 time (invalid offset)")
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)


def age_s(wall_ns: int, event_ns: int) -> float:
    """Seconds from an event time to a wall clock's time."""
    return (wall_ns - event_ns) / SECOND


class Moment(NamedTuple):
    """An instant by both clocks of one device, comparable between its processes and over their restarts.

    Attributes:
        wall_ns: nanoseconds since the epoch; this clock can be set.
        monotonic_s: seconds since the system started; this clock neither jumps nor runs while the system is suspended.
        boot: id of the system's start; empty: unknown, and then only the wall clock counts.
    """

    wall_ns: int
    monotonic_s: float = 0.0
    boot: str = ""

    def ages(self, now: Moment) -> tuple[float, ...]:
        """Seconds from here to `now` by the wall clock, and also by the monotonic clock if both belong to the same start of the system."""
        by_wall = (now.wall_ns - self.wall_ns) / SECOND
        if not self.boot or self.boot != now.boot:
            return (by_wall,)
        return by_wall, now.monotonic_s - self.monotonic_s


@functools.cache
def boot_id() -> str:
    """Id of the present start of the system; empty if the system does not provide one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
