"""The changepoint score of the Numenta Anomaly Benchmark, standard profile, windows to the right of each changepoint."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

WINDOW_S = 60.0
A_TP, A_FP, A_FN = 1.0, -0.11, -1.0


class NabScore(NamedTuple):
    """Raw points of some recordings, and how many changepoints there were; `Points` add up."""

    raw: float
    windows: int

    @property
    def score(self) -> float:
        """100 for finding each changepoint at once and nothing else, 0 for finding nothing; NaN without a changepoint."""
        if not self.windows:
            return math.nan
        null, perfect = self.windows * A_FN, self.windows * A_TP
        return 100.0 * (self.raw - null) / (perfect - null)


def total(parts: Iterable[NabScore]) -> NabScore:
    """The sum over recordings."""
    parts = list(parts)
    return NabScore(sum(part.raw for part in parts), sum(part.windows for part in parts))


def score_changepoints(times: np.ndarray, verdict: np.ndarray, changepoint: np.ndarray) -> NabScore:
    """One recording's.

    Args:
        times: (n,) int64, ns, rising.
        verdict: (n,) bool; each change of it from row to row predicts a changepoint.
        changepoint: (n,) bool, the true ones. Each opens a window of `WINDOW_S` to its right, which ends early where the
            next one begins. The first prediction in a window earns `A_TP` at its left edge, falling to `A_FP` at its right
            edge; further ones in it count nothing; each prediction outside costs `-A_FP`, each window without one `-A_FN`.
    """
    predicted = times[np.flatnonzero(np.diff(verdict.astype(np.int8))) + 1] / 1e9
    begins = times[changepoint] / 1e9
    ends = begins + WINDOW_S
    following = np.append(begins, np.inf)[1:]
    cut = ends >= following
    ends = np.minimum(ends, following)
    outside = np.ones(len(predicted), bool)
    earned = 0.0
    for begin, end, is_cut in zip(begins, ends, cut, strict=True):
        inside = (predicted >= begin) & ((predicted < end) if is_cut else (predicted <= end))
        outside &= ~inside
        earned += _reward((predicted[inside][0] - begin) / (end - begin)) if inside.any() else A_FN
    return NabScore(float(earned + A_FP * outside.sum()), len(begins))


def _reward(part: float) -> float:
    """Of a prediction at `part` (0 to 1) of a window."""
    u = math.pi * (part - 0.5)
    return (A_TP - A_FP) / 2 * (1 - math.tanh(u) / math.tanh(math.pi / 2)) + A_FP
