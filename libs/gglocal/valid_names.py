"""Validation of names that become parts of paths, topics and command lines, by the rules of Greengrass."""

from __future__ import annotations

import re

MAX_COMPONENT_NAME, MAX_VERSION, MAX_THING_NAME = 128, 64, 128
"""Characters."""
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_THING = re.compile(r"[a-zA-Z0-9:_-]+")
_MAX_SHOWN = 80


def component_name_error(name: str) -> str:
    """Why this is not a valid component name, with the remedy; empty: it is valid."""
    if len(name) > MAX_COMPONENT_NAME:
        return f"{name[:_MAX_SHOWN]!r}… has {len(name)} characters; a component name has at most {MAX_COMPONENT_NAME}"
    if not _NAME.fullmatch(name) or not name.strip("."):
        return f"{name!r} is not a valid component name; use letters, digits, '-', '_' and '.', as in com.example.Name"
    return ""


def thing_name_error(name: str) -> str:
    """Why this is not a valid thing name, with the remedy; empty: it is valid."""
    if len(name) > MAX_THING_NAME or not _THING.fullmatch(name):
        return f"{name[:_MAX_SHOWN]!r} is not a valid thing name; use 1 to {MAX_THING_NAME} letters, digits, ':', '-' and '_'"
    return ""


def file_name_error(name: str) -> str:
    """Why this is not a valid name of an artifact file or of its unpacked folder, with the remedy; empty: it is valid."""
    if not name.strip(". ") or "/" in name or not name.isprintable():
        return f"{name[:_MAX_SHOWN]!r} is not a valid file name; end the URI with a name such as model.zip"
    if len(name.encode()) > 200:
        return f"{name[:_MAX_SHOWN]!r}… is too long for a file name; use at most 200 bytes"
    return ""
