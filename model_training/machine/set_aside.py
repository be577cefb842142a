"""Stretches of a history that are set aside, because they stand out like a fault that nobody marked.

What a machine does again and again is its normal running, however much it stands out: a start each Monday, a backwash each night.
"""

from __future__ import annotations

import numpy as np

from model_training.machine.budget import block_rows
from model_training.machine.contrasts import Rows

MAX_SHARE = 0.1
"""Maximum share of a history that is set aside; if more stands out, it is normal running."""
FAR = 5.0
"""A row stands out if its largest scaled score lies so far above the largest that chance explains: once in 150 histories."""
DAY_NS = 86_400 * 10**9
SAME_TIME_NS = 15 * 60 * 10**9
"""Two stretches that begin at the same time of different days, give or take this, are a habit."""


def outlying(scores: np.ndarray) -> np.ndarray:
    """Rows whose scores are too far from the others to be chance, (n,) bool.

    Args:
        scores: (n, s), NaN before the first decision.
    """
    ready = np.flatnonzero(np.isfinite(scores).all(1))
    block = block_rows(len(ready))
    count = len(ready) // block
    out = np.zeros(len(scores), bool)
    if not count:
        return out
    maxima = scores[ready[: count * block]].reshape(count, block, -1).max(1)
    # Quartiles, which a few outlying blocks do not move as they move the mean.
    low, middle, high = np.quantile(maxima, (0.25, 0.5, 0.75), axis=0)
    scale = np.maximum((high - low) / 1.5725, 1e-3)
    location = middle - 0.3665 * scale
    out[ready] = ((scores[ready] - location) / scale).max(1) > np.log(count * scores.shape[1]) + FAR
    return out


def rare(rows: Rows, out: np.ndarray, normal: np.ndarray, budget_rows: float) -> np.ndarray:
    """The outlying rows without habits; none if so much stands out that it is how the machine runs.

    Args:
        out: (n,) bool, outlying rows.
        normal: (n,) bool, rows that nobody marked as a fault.
        budget_rows: rows from one false alarm to the next that the user accepts. What happens more than twice as often is no fault.
    """
    stretches = _stretches(out & rows.accepted, block_rows(len(rows)))
    starts = [int(rows.times[each[0]]) for each in stretches]
    single = [each for number, each in enumerate(stretches) if not _habit(number, starts)]
    kept = np.zeros(len(out), bool)
    for each in single:
        kept[each] = True
    aside = normal & (kept | ~rows.accepted)
    several = len(_stretches(aside, block_rows(len(rows)))) > max(2, round(2 * len(rows) / budget_rows))
    if several or aside.sum() > MAX_SHARE * normal.sum():
        return np.zeros(len(out), bool)
    return kept


def _habit(number: int, starts: list[int]) -> bool:
    """Whether another stretch begins at the same time of another day."""
    for other, start in enumerate(starts):
        apart = abs(start - starts[number])
        if other != number and apart > DAY_NS // 2 and min(apart % DAY_NS, -apart % DAY_NS) <= SAME_TIME_NS:
            return True
    return False


def _stretches(rows: np.ndarray, apart: int) -> list[np.ndarray]:
    """The rows of each stretch; those less than so many rows apart are one."""
    places = np.flatnonzero(rows)
    return np.split(places, np.flatnonzero(np.diff(places) > apart) + 1) if len(places) else []
