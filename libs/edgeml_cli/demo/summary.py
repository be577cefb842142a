"""The outcome of a run as a few lines of text, and line wrapping between words. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

DAY_S = 86_400.0


def summary_lines(counts: Mapping[str, Any], dated: bool = False) -> list[str]:
    """The outcome of a run as lines of text.

    Args:
        counts: result of `edgeml_cli.demo.statistics.summary`.
        dated: times with their day, for a run of more than a day.
    """
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts["no_decision_reasons"].items())
    lines = [
        f"{plural(counts['rows'], 'row')} published, {counts['windows']} scored, {counts['no_decision']} without a decision"
        + (f" ({reasons})" if reasons else ""),
        *(_alarm(alarm, dated) for alarm in counts["alarms"]),
    ]
    if not counts["alarms"]:
        lines.append("no alarm was raised")
    for sender, commands in (("AlertDispatcher", counts["commands"]), ("the operator", counts["operator_commands"])):
        if commands:
            lines.append(f"commands sent by {sender}: " + ", ".join(f"{command['action']} ({command['status']})" for command in commands))
    return [*lines, f"{plural(counts['lost_messages'], 'message')} lost"]


def wrapped(text: str, columns: int, hanging: int = 0) -> str:
    """Wrap text at `columns`, with `hanging` spaces before each line but the first; a longer word is not broken."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return textwrap.fill(
        text.strip(" "),
        max(20, columns),
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _alarm(alarm: Mapping[str, Any], dated: bool) -> str:
    end = "not cleared" if alarm["cleared_at"] is None else f"cleared at {short(alarm['cleared_at'], dated)}"
    peak = "" if alarm["peak_confidence"] is None else f", peak confidence {alarm['peak_confidence']:.2f}"
    why = f": {alarm['why']}" if alarm.get("why") else ""
    return f"alarm on {alarm['asset']}: raised at {short(alarm['raised_at'], dated)}, {end}{peak}{why}"


def short(iso: str, dated: bool = False) -> str:
    """`12:34:56`, or `02-05 12:34` with the month and day, from an ISO 8601 time."""
    return f"{iso[5:10]} {iso[11:16]}" if dated else iso[11:19]


def duration(seconds: float) -> str:
    """A time for people: `7 s`, `13 min`, `3.4 h`, `5.4 days`."""
    for limit, size, unit in ((600.0, 1.0, "s"), (2 * 3600.0, 60.0, "min")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * DAY_S else f"{seconds / DAY_S:.1f} days"


def plural(count: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
