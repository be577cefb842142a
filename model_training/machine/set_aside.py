"""Stretches of a history that are set aside, because they deviate like a fault that nobody marked.

Recurring behavior is normal running of a machine, however much it deviates: a start each Monday, a backwash each night.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_training.machine.budget import block_rows

MAX_SHARE = 0.1
"""Maximum share of a history that is set aside; a larger one is normal running."""
FAR = 5.0
"""A row deviates if its largest scaled score lies so far above the largest that chance explains: once in 150 histories."""
MIN_BLOCKS = 20
"""Blocks of a history below which nothing is set aside: their quartiles do not show what is beyond chance."""
RECURRING = 3
"""Stretches in which the same channel deviates most are normal running from this number on."""


@dataclass(frozen=True)
class Scores:
    """The scores of n rows.

    Attributes:
        values: (n, s), NaN before the first decision.
        leads: (n, s): the channel that contributes most to each.
        spans: (s,): rows that each looks at.
        ready: (n,) bool: rows of normal running with a decision.
    """

    values: np.ndarray
    leads: np.ndarray
    spans: np.ndarray
    ready: np.ndarray


@dataclass(frozen=True)
class Stretch:
    """Rows that deviate, and the channel that deviates most."""

    rows: np.ndarray
    channel: int


class SetAside:
    """Collects the deviating stretches of successive fits.

    Args:
        normal: (n,) bool, rows that nobody marked as a fault.
    """

    def __init__(self, normal: np.ndarray) -> None:
        self._normal = normal
        self._found: list[Stretch] = []

    def accepted(self, scores: Scores) -> np.ndarray | None:
        """The rows of normal running, (n,) bool, after a fit with these scores; None if no further stretch deviates."""
        known = self._recurring()
        new = [each for each in _stretches(scores) if each.channel not in known]
        if not new:
            return None
        self._found += new
        recurring = self._recurring()
        kept = self._normal.copy()
        for each in self._found:
            if each.channel not in recurring:
                kept[each.rows] = False
        return kept if (self._normal & ~kept).sum() <= MAX_SHARE * self._normal.sum() else None

    def _recurring(self) -> set[int]:
        """Channels whose deviations recur."""
        apart = block_rows(int(self._normal.sum())) // 2
        counts: dict[int, list[int]] = {}
        for each in sorted(self._found, key=lambda one: int(one.rows[0])):
            ends = counts.setdefault(each.channel, [])
            if ends and each.rows[0] - ends[-1] <= apart:
                ends[-1] = int(each.rows[-1])
            else:
                ends.append(int(each.rows[-1]))
        return {channel for channel, ends in counts.items() if len(ends) >= RECURRING}


def _stretches(scores: Scores) -> list[Stretch]:
    """The stretches that are too far from the other rows to be chance."""
    ready = np.flatnonzero(scores.ready)
    block = block_rows(len(ready))
    count = len(ready) // block
    if count < MIN_BLOCKS:
        return []
    maxima = scores.values[ready[: count * block]].reshape(count, block, -1).max(1)
    # Quartiles, which a few outlying blocks do not move as they move the mean.
    low, middle, high = np.quantile(maxima, (0.25, 0.5, 0.75), axis=0)
    scale = np.maximum((high - low) / 1.5725, 1e-3)
    far = np.zeros(scores.values.shape, bool)
    far[ready] = (scores.values[ready] - (middle - 0.3665 * scale)) / scale > np.log(count * scores.values.shape[1]) + FAR
    marked, channel = np.zeros(len(far), bool), np.zeros(len(far), np.int64)
    end = np.arange(1, len(far) + 1)
    for score in np.argsort(scores.spans, kind="stable"):
        # A long mean deviates for as long as it contains a row that deviates by itself.
        before = np.concatenate([[0], np.cumsum(marked)])
        explained = before[end] > before[np.maximum(end - scores.spans[score], 0)]
        new = far[:, score] & ~explained
        channel[new & ~marked] = scores.leads[new & ~marked, score]
        marked |= new
    places = np.flatnonzero(marked)
    if not len(places):
        return []
    parts = np.split(places, np.flatnonzero(np.diff(places) > block // 2) + 1)
    return [Stretch(part, int(np.bincount(channel[part]).argmax())) for part in parts]
