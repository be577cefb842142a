"""A control chart: moving averages of the channels, relative to their spread in the baseline."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from model_training.evaluation import metrics
from model_training.evaluation.recordings import Recording, labelled
from model_training.evaluation.splits import BASELINE_ROWS, halves

WINDOWS = (10, 20, 30, 45, 60)
LIMITS = (3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0)
RIDGE = 0.01
"""Share of each channel's variance added to it, because the covariance of so few means is nearly singular."""


def furthest(means: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Largest deviation (n,) among the channels of the means (n, c), in standard deviations of `normal` (m, c)."""
    return np.abs((means - normal.mean(0)) / np.maximum(normal.std(0), 1e-9)).max(1)


def mahalanobis(means: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Mahalanobis distance (n,) of the means (n, c) from `normal` (m, c), divided by the square root of the number of channels."""
    covariance = np.cov(normal.T)
    variance = np.maximum(np.diag(covariance), 1e-18)
    offset = means - normal.mean(0)
    inverse = np.linalg.inv(covariance + RIDGE * np.diag(variance))
    return np.sqrt(np.einsum("ij,jk,ik->i", offset, inverse, offset) / means.shape[1])


CHARTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"furthest": furthest, "mahalanobis": mahalanobis}
DEFINITION = {"charts": list(CHARTS), "windows": WINDOWS, "limits": LIMITS, "ridge": RIDGE, "version": 2}


class Setting(NamedTuple):
    """A name in `CHARTS`, the number of averaged rows, and the limit above which a verdict is positive."""

    chart: str
    window: int
    limit: float


def statistic(values: np.ndarray, chart: str, window: int) -> np.ndarray:
    """Statistic (n,) of values (n, c): distance of the means over the last `window` rows from those in the baseline."""
    values = filled(values)
    normal = values[:BASELINE_ROWS]
    z = (values - normal.mean(0)) / np.maximum(normal.std(0), 1e-9 + 1e-6 * np.abs(normal.mean(0)))
    sums = np.concatenate([np.zeros((1, z.shape[1])), np.cumsum(z, axis=0)])
    last = np.arange(1, len(z) + 1)
    first = np.maximum(0, last - window)
    means = (sums[last] - sums[first]) / (last - first)[:, None]
    return CHARTS[chart](means, means[window - 1 : BASELINE_ROWS])


def verdict(recording: Recording, setting: Setting) -> np.ndarray:
    """Verdicts (n,) bool."""
    return statistic(recording.values, setting.chart, setting.window) > setting.limit


def choose(recordings: Sequence[Recording]) -> dict[str, Setting]:
    """Select for each labelled recording, by full name, the setting with the best pooled F1 on the other half.

    The key "" has the selection of the first half, for all other recordings.
    """
    marked = {recording.full_name: recording for recording in labelled(recordings)}
    sides = halves(list(marked))
    choice = [_best([marked[name] for name in side]) for side in sides]
    by_name = {name: choice[1 - number] for number, side in enumerate(sides) for name in side}
    return {"": choice[0], **by_name}


def filled(values: np.ndarray) -> np.ndarray:
    """Fill missing values (n, c) with their predecessors, and those at the beginning with 0."""
    values = np.array(values, np.float64)
    place = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values))[:, None], 0), axis=0)
    return np.nan_to_num(np.take_along_axis(values, place, axis=0), posinf=0.0, neginf=0.0)


def _best(recordings: Sequence[Recording]) -> Setting:
    """Setting with the best pooled F1; a default without recordings."""
    best, best_f1 = Setting("mahalanobis", WINDOWS[2], LIMITS[3]), -1.0
    for chart, window in itertools.product(CHARTS, WINDOWS):
        statistics = [statistic(recording.values, chart, window)[BASELINE_ROWS:] for recording in recordings]
        for limit in LIMITS:
            f1 = metrics.pooled(
                metrics.confusion_matrix(each > limit, recording.anomaly[BASELINE_ROWS:])
                for each, recording in zip(statistics, recordings, strict=True)
                if recording.anomaly is not None
            ).f1
            if f1 > best_f1:
                best, best_f1 = Setting(chart, window, limit), f1
    return best
