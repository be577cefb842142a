"""Formats the responses of the nucleus for the command line. Pure: responses in, lines out."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from gglocal import message_plugins
from gglocal.payload_text import one_line, text_of

_COLUMNS = ("name", "version", "state", "starts", "pid")


def table(statuses: Sequence[dict[str, Any]]) -> list[str]:
    """A heading, and a line for each component, which ends with the cause of its state."""
    rows = [tuple(column.upper() for column in _COLUMNS)]
    rows += [tuple("-" if status[column] is None else str(status[column]) for column in _COLUMNS) for status in statuses]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    remarks = ["", *(f"  {status['detail']}" if status["detail"] else "" for status in statuses)]
    return [(line + remark).rstrip() for line, remark in zip(lines, remarks, strict=True)]


def details(status: dict[str, Any]) -> str:
    """The status and the configuration of one component."""
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


def published(response: dict[str, Any]) -> str:
    """The result of publishing; `subscriptions` is None for IoT Core, whose subscribers are unknown."""
    size, count = response["bytes"], response["subscriptions"]
    text = f"published {size} byte{'' if size == 1 else 's'} to {response['topic']}"
    return f"{text} on IoT Core" if count is None else f"{text}, received by {count} component subscription{'' if count == 1 else 's'}"


def message_lines(message: dict[str, Any], as_json: bool, as_base64: bool) -> list[str]:
    """A received message: its topic, and its payload as text, else as the lines of a message plugin, else as base64.

    Only base64 and the `payload` of JSON include a signature.

    Args:
        as_json: one line, an object with `text`, the text payload, and `value`, its content as JSON; either may be null.
    """
    topic, payload = message["topic"], message_plugins.body(base64.b64decode(message["payload"]))
    text = None if as_base64 else text_of(payload)
    if as_json:
        return [json.dumps({**message, "text": text, "value": _value(topic, payload, text)}, allow_nan=False)]
    if as_base64:
        return [f"{topic} {message['payload']}"]
    if text is not None:
        return [f"{topic} {one_line(text)}"]
    return [f"{topic} {line}" for line in message_plugins.lines(topic, payload) or [f"base64:{message['payload']}"]]


def _value(topic: str, payload: bytes, text: str | None) -> Any:
    if text is None:
        return message_plugins.value(topic, payload)
    try:
        found = json.loads(text, parse_constant=lambda constant: None)
        json.dumps(found, allow_nan=False)  # 1e999 is read as infinity, which JSON cannot represent
    except (ValueError, RecursionError):
        return None
    return found


def fault_line(fault: dict[str, Any]) -> str:
    """An active fault: its number, name and options."""
    return " ".join((f"{fault['number']} {fault['name']}", *(f"{key}={value}" for key, value in fault["options"].items())))
