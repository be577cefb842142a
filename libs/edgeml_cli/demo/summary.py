"""The outcome of a run as a few lines of text, and line wrapping between words. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any


def summary_lines(counts: Mapping[str, Any]) -> list[str]:
    """The outcome of a run as lines of text.

    Args:
        counts: result of `edgeml_cli.demo.statistics.summary`.
    """
    reasons = ", ".join(f"{reason} {n}" for reason, n in counts["no_decision_reasons"].items())
    lines = [
        f"{plural(counts['rows'], 'row')} published, {counts['windows']} scored, {counts['no_decision']} without a decision"
        + (f" ({reasons})" if reasons else ""),
        *(_alarm(alarm) for alarm in counts["alarms"]),
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


def _alarm(alarm: Mapping[str, Any]) -> str:
    end = "not cleared" if alarm["cleared_at"] is None else f"cleared at {alarm['cleared_at'][11:19]}"
    peak = "" if alarm["peak_confidence"] is None else f", peak confidence {alarm['peak_confidence']:.2f}"
    return f"alarm on {alarm['asset']}: raised at {alarm['raised_at'][11:19]}, {end}{peak}"


def plural(count: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
