"""A run in a few lines, for whoever does not read JSON; and lines that a terminal does not break within a word. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any


def brief(counts: Mapping[str, Any]) -> list[str]:
    """What came of a run.

    Args:
        counts: what `edgeml_cli.demo.statistics.summary` gave.
    """
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts["no_decision_reasons"].items())
    lines = [
        f"{many(counts['rows'], 'row')} published, {counts['windows']} scored, {counts['no_decision']} without a decision"
        + (f" ({reasons})" if reasons else ""),
        *(_alarm(alarm) for alarm in counts["alarms"]),
    ]
    if not counts["alarms"]:
        lines.append("no alarm")
    for who, commands in (("AlertDispatcher", counts["commands"]), ("maintenance", counts["maintenance"])):
        if commands:
            lines.append(f"{who} commanded " + ", ".join(f"{command['action']} ({command['status']})" for command in commands))
    return [*lines, f"{many(counts['lost_messages'], 'message')} lost"]


def wrapped(text: str, columns: int, hanging: int = 0) -> str:
    """The text on lines of at most `columns`, those after the first indented by `hanging`; a longer word stays whole."""
    indent = text[: len(text) - len(text.lstrip(" "))]
    return textwrap.fill(
        text.strip(" "),
        max(20, columns),
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _alarm(alarm: Mapping[str, Any]) -> str:
    end = "not cleared" if alarm["cleared_at"] is None else f"cleared at {alarm['cleared_at'][11:19]}"
    peak = "" if alarm["peak_confidence"] is None else f", peak confidence {alarm['peak_confidence']:.2f}"
    return f"alarm on {alarm['asset']}: raised at {alarm['raised_at'][11:19]}, {end}{peak}"


def many(count: int, what: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {what}{'' if count == 1 else 's'}"
