"""A control chart: moving averages of each channel, against their spread in the baseline."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from model_training.evaluation import metrics
from model_training.evaluation.protocol import BASELINE_ROWS, halves
from model_training.evaluation.recordings import Recording, labelled

WINDOWS = (10, 20, 30, 45, 60)
LIMITS = (3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0)
DEFINITION = {"windows": WINDOWS, "limits": LIMITS, "version": 1}


def statistic(values: np.ndarray, window: int) -> np.ndarray:
    """(n,): the largest deviation among the channels' means over the last `window` rows, in their baseline's spread."""
    values = filled(values)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values - values[:BASELINE_ROWS].mean(0), axis=0)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - window)
    means = (sums[last] - sums[first]) / (last - first)[:, None]
    normal = means[window - 1:BASELINE_ROWS]
    spread = np.maximum(normal.std(0), 1e-9 + 1e-6 * np.abs(values[:BASELINE_ROWS].mean(0)))
    return np.abs((means - normal.mean(0)) / spread).max(1)


def verdict(recording: Recording, window: int, limit: float) -> np.ndarray:
    """(n,) bool."""
    return statistic(recording.values, window) > limit


def choose(recordings: Sequence[Recording]) -> dict[str, tuple[int, float]]:
    """For each labelled recording, by its full name, the window and limit with the best pooled F1 on the other half of them;
    "" stands for all other recordings and has the choice of the first half."""
    marked = {recording.full_name: recording for recording in labelled(recordings)}
    sides = halves(list(marked))
    choice = [_best([marked[name] for name in side]) for side in sides]
    own = {name: choice[1 - number] for number, side in enumerate(sides) for name in side}
    return {"": choice[0], **own}


def filled(values: np.ndarray) -> np.ndarray:
    """(n, c) float64 with each missing value as its predecessor, and those at the beginning as 0."""
    values = np.array(values, np.float64)
    place = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values))[:, None], 0), axis=0)
    return np.nan_to_num(np.take_along_axis(values, place, axis=0), posinf=0.0, neginf=0.0)


def _best(recordings: Sequence[Recording]) -> tuple[int, float]:
    if not recordings:
        return WINDOWS[0], LIMITS[0]
    charts = {window: [statistic(recording.values, window)[BASELINE_ROWS:] for recording in recordings] for window in WINDOWS}

    def f1(setting: tuple[int, float]) -> float:
        window, limit = setting
        return metrics.pooled(
            metrics.count(chart > limit, recording.anomaly[BASELINE_ROWS:])
            for chart, recording in zip(charts[window], recordings, strict=True) if recording.anomaly is not None
        ).f1

    return max(itertools.product(WINDOWS, LIMITS), key=f1)
