"""Text payloads, for the command line and for the record of IoT Core."""

from __future__ import annotations

import json
import re

# Terminals interpret these characters, and line readers end a line there; tab, LF and CR are text.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]")


def text_of(payload: bytes) -> str | None:
    """The payload as text; None: it is not UTF-8, or contains control characters."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


_PIP = re.compile(
    r" *(Collecting|Downloading|Using cached|Ignoring|Obtaining|Preparing|Getting requirements|Building|Created wheel|Stored in|"
    r"Installing (collected|build)|Successfully (installed|built)|Requirement already|Looking in|Attempting|Found existing|Uninstalling|"
    r"Discarding|Processing) "
)


def is_pip_progress(line: str) -> bool:
    """Whether a line is progress output of pip; warnings and errors are not."""
    return _PIP.match(line) is not None


def one_line(text: str) -> str:
    """A JSON object or array on one line, with a space after each `,` and `:`; any other text unchanged."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
