"""Whether a machine that was started lately is on its way back to normal running: what is far from it comes steadily nearer. Pure.

A cold machine, and one that a fault has struck, look alike in a single row. Over two minutes they do not: the temperatures of the cold one
approach what they usually are, and the flow of the faulty one stays away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from edgeml.timestamps import SECOND

STOPPED = "stopped"
"""How the reason of a row without a decision begins while the machine stands, or has just been started."""
STEP_S, STEPS = 10, 12
"""Deviations are averaged over steps of event time; the latest half of the steps is compared with the half before it."""
FAR = 10.0
"""From so many standard deviations of normal running on a channel is far from it. Slow drift, of a vibration for example, reaches half of
that and goes to and fro; a cold motor, a closed valve or an unbalanced rotor are far beyond it."""
NEARER, NOISE = 0.01, 0.3
"""By which share of itself, and by how many standard deviations at least, the distance of each far channel must have shrunk: more than
the averages of 60 rows differ by chance."""


def is_stopped(reason: str) -> bool:
    """Whether a row without a decision for this reason is one of a machine that stands, or has just been started."""
    return reason.startswith(STOPPED)


class Step(msgspec.Struct, array_like=True):
    """One step: when it began and when its last row was, ns; its rows; for each channel the sum of its distances from normal."""

    start: int
    last: int
    rows: int
    sums: list[float | None]


def follow(trail: list[Step], time: int, deviations: Sequence[float]) -> None:
    """Take in a row at event time `time`, ns.

    Args:
        trail: the latest steps; it is changed.
        deviations: how far each channel is from normal running, in its standard deviations; NaN where that is not known.
    """
    far = [abs(float(z)) for z in deviations]
    if all(map(math.isnan, far)):
        return  # nothing is known of this row, as of the first ones of a window
    if trail and (time - trail[-1].last > STEP_S * SECOND or any(len(step.sums) != len(far) for step in trail)):
        trail.clear()
    if not trail or time - trail[-1].start >= STEP_S * SECOND:
        trail.append(Step(time, time, 0, [0.0] * len(far)))
        del trail[:-STEPS]
    step = trail[-1]
    step.last, step.rows = time, step.rows + 1
    # What is not known for one row is not known for its step: None, as plain data has no NaN.
    step.sums = [None if sum_ is None or not math.isfinite(z) else sum_ + z for sum_, z in zip(step.sums, far, strict=True)]


def comes_nearer(trail: Sequence[Step]) -> bool:
    """Whether something is far from normal, and all that is comes nearer. What is not known for long enough does not."""
    if len(trail) < STEPS:
        return False
    before, after = _distances(trail[: STEPS // 2]), _distances(trail[STEPS // 2 :])
    if before is None or after is None:
        return False
    far = [(earlier, later) for earlier, later in zip(before, after, strict=True) if later >= FAR]
    return bool(far) and all(later <= earlier - max(NOISE, NEARER * earlier) for earlier, later in far)


def _distances(steps: Sequence[Step]) -> list[float] | None:
    rows = max(1, sum(step.rows for step in steps))
    distances = []
    for sums in zip(*(step.sums for step in steps), strict=True):
        known = [sum_ for sum_ in sums if sum_ is not None]
        if len(known) < len(sums):
            return None
        distances.append(sum(known) / rows)
    return distances
