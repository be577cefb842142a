"""What the command line prints of a nucleus's answers. Pure: answers in, lines out."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from gglocal import message_plugins
from gglocal.payload_text import one_line, text_of

_COLUMNS = ("name", "version", "state", "starts", "pid")


def table(statuses: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each component under a line of headings; what is wrong with a component stands at the end of its line."""
    rows = [tuple(column.upper() for column in _COLUMNS)]
    rows += [tuple("-" if status[column] is None else str(status[column]) for column in _COLUMNS) for status in statuses]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    remarks = ["", *(f"  {status['detail']}" if status["detail"] else "" for status in statuses)]
    return [(line + remark).rstrip() for line, remark in zip(lines, remarks, strict=True)]


def details(status: dict[str, Any]) -> str:
    """Everything about one component."""
    return "\n".join(
        (
            f"Component Name: {status['name']}",
            f"    Version: {status['version']}",
            f"    State: {status['state']}" + (f" ({status['detail']})" if status["detail"] else ""),
            f"    Starts: {status['starts']}, exit code {status['exit_code']}, pid {status['pid']}",
            f"    Log: {status['log']}",
            f"    Configuration: {json.dumps(status['configuration'])}",
        )
    )


def published(answer: dict[str, Any]) -> str:
    """What became of a message; `heard` None is IoT Core, where nobody can say who hears it."""
    size = f"{answer['bytes']} byte{'' if answer['bytes'] == 1 else 's'}"
    if answer["heard"] is None:
        return f"published {size} to {answer['topic']} on IoT Core"
    heard = f"{answer['heard']} subscription{'' if answer['heard'] == 1 else 's'}"
    return f"published {size} to {answer['topic']}; {heard} of components heard it"


def heard_lines(answer: dict[str, Any], as_json: bool, as_base64: bool) -> list[str]:
    """A message that was heard: its topic, and its payload as text where it is text, as a line for each of its rows where an application
    knows how to read it, else in base64. A signature is not shown.

    Args:
        as_json: one line, an object with `text`, the payload where it is text, and `value`, what it holds as JSON; either may be null.
    """
    topic, payload = answer["topic"], message_plugins.body(base64.b64decode(answer["payload"]))
    text = None if as_base64 else text_of(payload)
    if as_json:
        return [json.dumps({**answer, "text": text, "value": _value(topic, payload, text)}, allow_nan=False)]
    if as_base64:
        return [f"{topic} {answer['payload']}"]
    if text is not None:
        return [f"{topic} {one_line(text)}"]
    return [f"{topic} {line}" for line in message_plugins.lines(topic, payload) or [f"base64:{answer['payload']}"]]


def _value(topic: str, payload: bytes, text: str | None) -> Any:
    if text is None:
        return message_plugins.value(topic, payload)
    try:
        found = json.loads(text, parse_constant=lambda constant: None)
        json.dumps(found, allow_nan=False)  # 1e999 is read as infinity, which JSON cannot write
    except (ValueError, RecursionError):
        return None
    return found


def fault_line(answer: dict[str, Any]) -> str:
    """A fault that was begun, by its number."""
    return " ".join((f"{answer['number']} {answer['name']}", *(f"{key}={value}" for key, value in answer["options"].items())))
