"""Names that become parts of paths, topics and command lines: what Greengrass accepts, checked once, where they come in."""

from __future__ import annotations

import re

LONGEST_NAME, LONGEST_VERSION, LONGEST_THING = 128, 64, 128
"""Characters of a component's name, of its version, and of a thing's name."""
_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
_THING = re.compile(r"[a-zA-Z0-9:_-]+")
_SHOWN = 80


def component_fault(name: str) -> str:
    """Why this cannot be the name of a component, with the remedy; empty: it can."""
    if len(name) > LONGEST_NAME:
        return f"{name[:_SHOWN]!r}… has {len(name)} characters; a component's name has at most {LONGEST_NAME}"
    if not _NAME.fullmatch(name) or not name.strip("."):
        return f"{name!r} is not a component's name; use letters, digits, '-', '_' and '.', as com.example.Name"
    return ""


def thing_fault(name: str) -> str:
    """Why this cannot be the name of a thing, with the remedy; empty: it can."""
    if len(name) > LONGEST_THING or not _THING.fullmatch(name):
        return f"{name[:_SHOWN]!r} is not a thing's name; use 1 to {LONGEST_THING} letters, digits, ':', '-' and '_'"
    return ""


def file_fault(name: str) -> str:
    """Why this cannot be the name of an artifact's file, or of the folder that it is unpacked to; empty: it can."""
    if not name.strip(". ") or "/" in name or not name.isprintable():
        return f"{name[:_SHOWN]!r} cannot be the name of a file; end the URI with a name such as model.zip"
    if len(name.encode()) > 200:
        return f"{name[:_SHOWN]!r}… is too long for the name of a file; use at most 200 bytes"
    return ""
