"""The order in which people number things."""

from __future__ import annotations

import re


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort key in natural order: `valve1/2` before `valve1/10`."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]
