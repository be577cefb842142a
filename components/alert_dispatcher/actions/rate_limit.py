"""At most so many in a period, over restarts and whatever is done to the wall clock. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from edgeml.timestamps import Moment


def recent(before: Sequence[Moment], now: Moment, period_s: float) -> list[Moment]:
    """Those of `before` that are less than `period_s` ago.

    Within one start of the system the monotonic clock counts, else the wall clock. What seems to be in the future, because the clock
    was set back, counts as of now: it is kept for one more period, and not until the clock is there again.
    """
    kept = []
    for at in before:
        age = at.ages(now)[-1]
        if age < 0:
            kept.append(now)
        elif age < period_s:
            kept.append(at)
    return kept
