"""Quality codes of sensor values. The codes and the names are part of the wire format."""

from __future__ import annotations

GOOD, MISSING, OUT_OF_RANGE, STUCK, GAP, BACKWARDS, AHEAD = range(7)
QUALITY_NAMES = ("good", "missing", "out of range", "stuck", "after a gap", "time running backwards", "ahead of the clock")
IMPLAUSIBLE_TIME = (BACKWARDS, AHEAD)
"""Quality codes of rows whose event time cannot be true; readers never use such a row as the latest of its series."""
