"""A limit on events in a period, which holds over restarts and over steps of the wall clock. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edgeml.timestamps import Moment


def recent(before: Sequence[Moment], now: Moment, period_s: float) -> list[Moment]:
    """The moments of `before` that are less than `period_s` ago.

    Within one boot the monotonic clock counts, else the wall clock. A moment in the future, because the clock was set back, counts as
    now: it is kept for one more period, and not until the clock reaches it again.
    """
    kept = []
    for at in before:
        age = at.ages(now)[-1]
        if age < 0:
            kept.append(now)
        elif age < period_s:
            kept.append(at)
    return kept
