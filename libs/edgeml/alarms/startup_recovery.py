"""Detects that a recently started machine is returning to normal running: all channels far from normal approach it steadily. Pure.

A cold machine and a faulty one look alike in a single row. Over two minutes they differ: the temperatures of the cold one approach their
usual values, and the flow of the faulty one stays away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from edgeml.timestamps import SECOND

STOPPED = "stopped"
"""Prefix of the reason for no decision while the machine stands, or has just been started."""
STEP_S, STEPS = 10, 12
"""Deviations are averaged over steps of event time; the latest half of the steps is compared with the earlier half."""
FAR = 10.0
"""From this many standard deviations on, a channel is far from normal. Slow drift, for example of a vibration,
oscillates up to half of that;
a cold motor, a closed valve or an unbalanced rotor are far beyond it."""
MIN_DECREASE, NOISE = 0.01, 0.3
"""The distance of each far channel must shrink by this share of itself, and at least by this many standard deviations: more than the
averages of 60 rows differ by chance."""


def is_stopped(reason: str) -> bool:
    """Whether this reason for no decision means that the machine stands, or has just been started."""
    return reason.startswith(STOPPED)


class Step(msgspec.Struct, array_like=True):
    """One step: event times of its first and last row, ns; number of rows; for each channel the sum of its distances from normal."""

    start: int
    last: int
    rows: int
    sums: list[float | None]


def record(trail: list[Step], time: int, deviations: Sequence[float]) -> None:
    """Add a row at event time `time`, ns, to the trail.

    Args:
        trail: the latest steps; modified in place.
        deviations: distance of each channel from normal running in its standard deviations; NaN where unknown.
    """
    far = [abs(float(z)) for z in deviations]
    if all(map(math.isnan, far)):
        return  # nothing is known, as in the first rows of a window
    if trail and (time - trail[-1].last > STEP_S * SECOND or any(len(step.sums) != len(far) for step in trail)):
        trail.clear()
    if not trail or time - trail[-1].start >= STEP_S * SECOND:
        trail.append(Step(time, time, 0, [0.0] * len(far)))
        del trail[:-STEPS]
    step = trail[-1]
    step.last, step.rows = time, step.rows + 1
    # A channel that is unknown in one row is unknown in its step: None, because JSON has no NaN.
    step.sums = [None if sum_ is None or not math.isfinite(z) else sum_ + z for sum_, z in zip(step.sums, far, strict=True)]


def approaches_normal(trail: Sequence[Step]) -> bool:
    """Whether at least one channel is far from normal, and all such channels approach it. A channel with unknown steps does not."""
    if len(trail) < STEPS:
        return False
    before, after = _distances(trail[: STEPS // 2]), _distances(trail[STEPS // 2 :])
    if before is None or after is None:
        return False
    far = [(earlier, later) for earlier, later in zip(before, after, strict=True) if later >= FAR]
    return bool(far) and all(later <= earlier - max(NOISE, MIN_DECREASE * earlier) for earlier, later in far)


def _distances(steps: Sequence[Step]) -> list[float] | None:
    rows = max(1, sum(step.rows for step in steps))
    distances = []
    for sums in zip(*(step.sums for step in steps), strict=True):
        known = [sum_ for sum_ in sums if sum_ is not None]
        if len(known) < len(sums):
            return None
        distances.append(sum(known) / rows)
    return distances
