"""File names for assets, whose own names may contain any character."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

MAX_BYTES = 200
"""File systems allow 255 bytes, and a suffix follows."""


def file_name(asset: str) -> str:
    """The asset's own name if possible, else with percent-encoding; a name that would be too long ends with a digest."""
    name = quote(asset, safe="")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > MAX_BYTES:
        name = name[:180] + "~" + hashlib.sha256(asset.encode()).hexdigest()[:16]
    return name
