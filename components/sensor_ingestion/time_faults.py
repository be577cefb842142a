"""Sentences about wrong clocks behind one asset's rows. Pure."""

from __future__ import annotations

import logging

import numpy as np

from edgeml.timeline import RESYNC_ROWS, Timeline
from edgeml.timestamps import SECOND, age_s, to_iso

log = logging.getLogger(__name__)

SHOWN_S = 600.0
"""How long a fault is reported after it was last detected."""


class TimeFaults:
    """Watches the timeline of one asset, and logs each fault of its clock once.

    Args:
        ahead_s: see `edgeml.timeline`.
    """

    def __init__(self, asset: str, ahead_s: float) -> None:
        self._asset, self._ahead_s = asset, ahead_s
        self._faults: dict[str, tuple[str, float]] = {}  # kind -> the sentence, and when it was last detected

    def check(self, timeline: Timeline, before: int | None, begun: bool, times: np.ndarray, wall_ns: int | None, now: float) -> None:
        """Check rows that the timeline has placed.

        Args:
            before: the latest time before them.
            begun: an epoch began with one of them.
            times: their event times, ns.
            wall_ns: the wall clock; None if the rows' times do not come from a clock.
            now: monotonic s.
        """
        latest = timeline.latest
        if begun:
            self._report(
                "step",
                now,
                f"the time of its rows went back from {_shown(before)} to {_shown(latest)} and stays there; windows and "
                "alarms restart at the earlier time; check the clock that dates the rows",
            )
        if wall_ns is not None:
            newest = int(times.max())
            if latest is not None and not timeline.strayed and age_s(wall_ns, latest) < -self._ahead_s:
                self._report("ahead", now, f"its rows are dated {_span(latest - wall_ns)} ahead of this device's clock; check both clocks")
            elif newest > (latest or 0) and age_s(wall_ns, newest) < -self._ahead_s:
                self._report(
                    "row",
                    now,
                    f"a row is dated {_shown(newest)}, {_span(newest - wall_ns)} ahead of this device's clock; such rows are "
                    "flagged and not scored; check the clock that dates the rows",
                )
        if timeline.strayed >= RESYNC_ROWS and latest is not None and int(times[-1]) <= latest:
            self._report(
                "late",
                now,
                f"its rows are dated {_shown(int(times[-1]))} and do not come after {_shown(latest)}; they are "
                "flagged and not scored; check the clock that dates the rows",
            )

    def fault(self, now: float) -> str:
        """The faults that were detected within `SHOWN_S`, or empty."""
        self._faults = {kind: fault for kind, fault in self._faults.items() if now - fault[1] < SHOWN_S}
        return "; ".join(sentence for sentence, _ in self._faults.values())

    def _report(self, kind: str, now: float, sentence: str) -> None:
        known = self._faults.get(kind)
        if known is None or now - known[1] >= SHOWN_S or kind == "step":
            log.warning("%s: %s", self._asset, sentence)
            known = sentence, now
        # The sentence does not change while the fault lasts: a new sentence with each row would be a new status with each row.
        self._faults[kind] = known[0], now


def _shown(at: int | None) -> str:
    try:
        return to_iso(at or 0)
    except (ValueError, OverflowError):
        return f"{at} ns"


def _span(ns: int) -> str:
    days = ns / SECOND / 86_400
    return f"{days:.0f} days" if days >= 2 else f"{ns / SECOND:.0f} s"
