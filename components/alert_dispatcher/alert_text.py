"""The sentence of an alert for an operator. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgeml.alarms.alarm_policy import ACKNOWLEDGED, ACTIVE, CLEARED, PENDING, Alarm
from edgeml.timestamps import SECOND, to_iso

NOTABLE_SIGMAS = 3.0
MAX_CHANNELS = 3
MIN_DURATION_S = 0.05
"""A shorter duration would read `0.0 s`, as of a change in the row in which the alarm began; no sentence has it."""


def why(alarm: Alarm, at: int, view: str = "", because: str = "") -> str:
    """One sentence: the asset, the channels that speak for the condition, the confidence, the duration.

    Args:
        at: event time of the change, ns.
        view: the channels, in words: the model's explanation, or `deviation_text`.
        because: the reason for an end that no result has confirmed.
    """
    percent = f"{alarm.confidence * 100:.0f} %"
    elapsed_s = (at - alarm.pending_at) / SECOND
    elapsed, lasted = duration(elapsed_s), elapsed_s >= MIN_DURATION_S
    if alarm.state == CLEARED:
        peak = f"{alarm.peak * 100:.0f} %"
        if because:
            return f"{alarm.asset}: ended, and not known to be over: {because}; confidence {percent} at last, at most {peak}"
        if alarm.raised_at is None:
            return f"{alarm.asset}: did not last, no alarm; confidence {percent}{f' after {elapsed}' if lasted else ''}, at most {peak}"
        return f"{alarm.asset}: back to normal; confidence {percent}, at most {peak}{f' in {elapsed}' if lasted else ''}"
    held = f"confidence {percent}{f' for {elapsed}' if lasted else ''}"
    heads = {
        PENDING: f"confidence {percent} since {to_iso(at)}",
        ACTIVE: held,
        ACKNOWLEDGED: f"acknowledged{f' by {alarm.acknowledged_by}' if alarm.acknowledged_by else ''}, {held}",
    }
    return f"{alarm.asset}: " + (f"{view}; " if view else "") + heads[alarm.state]


def deviation_text(channels: Sequence[str], deviations: Sequence[float]) -> str:
    """`flow 6.2σ below normal, pressure 4.1σ above`, the farthest first; empty if no deviation is known.

    Args:
        channels, deviations: names, and the distance of each from normal running in its standard deviations; NaN if unknown.
    """
    known = [(abs(z), z, name) for name, z in zip(channels, deviations, strict=False) if not math.isnan(z)]
    if not known:
        return ""
    known.sort(reverse=True)
    notable = [item for item in known if item[0] >= NOTABLE_SIGMAS][:MAX_CHANNELS]
    if not notable:
        return f"no channel alone is far from normal, farthest {_one(*known[0], first=False)}"
    return ", ".join(_one(*item, first=index == 0) for index, item in enumerate(notable))


def duration(seconds: float) -> str:
    """`5 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 1 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _one(size: float, z: float, name: str, *, first: bool) -> str:
    far = "over 100σ" if size > 100 else f"{size:.1f}σ"
    return f"{name} {far} {'above' if z > 0 else 'below'}" + (" normal" if first else "")
