"""Changepoint score of the Numenta Anomaly Benchmark: standard profile, a window after each changepoint."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

WINDOW_S = 60.0
A_TP, A_FP, A_FN = 1.0, -0.11, -1.0


class NabScore(NamedTuple):
    """Raw score of recordings, and their number of changepoints. Both can be summed over recordings."""

    raw: float
    windows: int

    @property
    def score(self) -> float:
        """Normalised score: 100 for a perfect detector, 0 for one without predictions; NaN without changepoints."""
        if not self.windows:
            return math.nan
        null, perfect = self.windows * A_FN, self.windows * A_TP
        return 100.0 * (self.raw - null) / (perfect - null)


def total(parts: Iterable[NabScore]) -> NabScore:
    """Sum over recordings."""
    parts = list(parts)
    return NabScore(sum(part.raw for part in parts), sum(part.windows for part in parts))


def score_changepoints(times: np.ndarray, verdict: np.ndarray, changepoint: np.ndarray) -> NabScore:
    """Score one recording.

    Args:
        times: (n,) int64, ns, increasing.
        verdict: (n,) bool; each change of it from row to row predicts a changepoint.
        changepoint: (n,) bool, the true changepoints. Each opens a window of `WINDOW_S`, which ends at the next changepoint. The first
            prediction in a window scores from `A_TP` at its start down to `A_FP` at its end; further ones in it score 0. A prediction
            outside all windows scores `A_FP`, a window without a prediction `A_FN`.
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
    """Score of a prediction at position `part` (0 to 1) in a window."""
    u = math.pi * (part - 0.5)
    return (A_TP - A_FP) / 2 * (1 - math.tanh(u) / math.tanh(math.pi / 2)) + A_FP
