"""What people are told of the times of one asset's rows. Pure."""

from __future__ import annotations

import logging

import numpy as np

from edgeml.timeline import RESYNC_ROWS, Timeline
from edgeml.timestamps import SECOND, age_s, to_iso

log = logging.getLogger(__name__)

SHOWN_S = 600.0
"""For how long a fault is reported after it was seen last."""


class TimeFaults:
    """Watches the timeline of one asset, and logs each fault of its clock once.

    Args:
        ahead_s: see `edgeml.timeline`.
    """

    def __init__(self, asset: str, ahead_s: float) -> None:
        self._asset, self._ahead_s = asset, ahead_s
        self._faults: dict[str, tuple[str, float]] = {}  # by kind: the sentence, and when it was true last

    def look(self, timeline: Timeline, before: int | None, begun: bool, times: np.ndarray, wall_ns: int | None, now: float) -> None:
        """Rows were placed.

        Args:
            before: the latest time ahead of them.
            begun: an epoch began with one of them.
            times: theirs, ns.
            wall_ns: the wall clock; None where these rows are dated by none.
            now: monotonic s.
        """
        latest = timeline.latest
        if begun:
            self._say(
                "step",
                now,
                f"the time of its rows went back from {_shown(before)} to {_shown(latest)} and stays there; windows and "
                "alarms begin at the earlier time; check the clock that dates the rows",
            )
        if wall_ns is not None:
            most = int(times.max())
            if latest is not None and not timeline.strayed and age_s(wall_ns, latest) < -self._ahead_s:
                self._say("ahead", now, f"its rows are dated {_span(latest - wall_ns)} ahead of this device's clock; check which is wrong")
            elif most > (latest or 0) and age_s(wall_ns, most) < -self._ahead_s:
                self._say(
                    "row",
                    now,
                    f"a row is dated {_shown(most)}, {_span(most - wall_ns)} ahead of this device's clock; such rows are "
                    "flagged and not judged; check the clock that dates the rows",
                )
        if timeline.strayed >= RESYNC_ROWS and latest is not None and int(times[-1]) <= latest:
            self._say(
                "late",
                now,
                f"its rows are dated {_shown(int(times[-1]))} and do not come after {_shown(latest)}; they are "
                "flagged and not judged; check the clock that dates the rows",
            )

    def fault(self, now: float) -> str:
        """What is wrong or was within `SHOWN_S`, or empty."""
        self._faults = {kind: said for kind, said in self._faults.items() if now - said[1] < SHOWN_S}
        return "; ".join(sentence for sentence, _ in self._faults.values())

    def _say(self, kind: str, now: float, sentence: str) -> None:
        known = self._faults.get(kind)
        if known is None or now - known[1] >= SHOWN_S or kind == "step":
            log.warning("%s: %s", self._asset, sentence)
            known = sentence, now
        # The sentence stays as it is while the fault goes on: a new one with each row would be a new status with each row.
        self._faults[kind] = known[0], now


def _shown(at: int | None) -> str:
    try:
        return to_iso(at or 0)
    except (ValueError, OverflowError):
        return f"{at} ns"


def _span(ns: int) -> str:
    days = ns / SECOND / 86_400
    return f"{days:.0f} days" if days >= 2 else f"{ns / SECOND:.0f} s"
