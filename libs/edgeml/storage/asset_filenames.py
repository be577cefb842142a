"""Names of files that belong to an asset, whose own name may be anything."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

LONGEST = 200
"""Bytes; file systems take 255, and what a file is of stands behind it."""


def file_name(asset: str) -> str:
    """The asset's own name where that is possible, else with `%` signs; one that would be too long ends with a digest."""
    name = quote(asset, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > LONGEST:
        name = name[:180] + "~" + hashlib.sha256(asset.encode()).hexdigest()[:16]
    return name
