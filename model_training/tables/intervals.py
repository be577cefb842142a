"""Intervals of regression by conformal prediction on held-out units.

The errors of held-out rows give the interval of a new row: each unit weighs the same, and one more unit with an infinite error stands for
the new one, so that a random row of a new unit is covered with at least the stated probability if units are exchangeable. Bounds are
separate for ranges of the estimate, because errors grow with it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from model_training.tables import split

BINS = 4
MIN_BIN_UNITS = 40
"""Units in a range of the estimate; with fewer, ranges are joined."""


class Intervals(NamedTuple):
    """Errors to add to an estimate, by its range.

    Attributes:
        coverage: share of true values that the interval contains.
        edges: (k + 1,), increasing; range i is from `edges[i]` to `edges[i + 1]`, the first and the last one are open.
        low, high: (k,), true value minus estimate.
    """

    coverage: float
    edges: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def bounds(self, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound (n,) of estimates (n,)."""
        at = np.clip(np.searchsorted(self.edges, estimate, side="right") - 1, 0, len(self.low) - 1)
        return estimate + self.low[at], estimate + self.high[at]

    def as_json(self) -> dict[str, Any]:
        def shown(values: np.ndarray) -> list[float]:
            return [float(f"{value:.5g}") for value in values]

        return {"coverage": self.coverage, "edges": shown(self.edges), "low": shown(self.low), "high": shown(self.high)}


def fit(estimate: np.ndarray, target: np.ndarray, unit: np.ndarray, coverage: float) -> Intervals:
    """Fit intervals to held-out estimates (n,) of targets (n,)."""
    bins = max(1, min(BINS, len(np.unique(unit)) // MIN_BIN_UNITS))
    edges = np.unique(np.quantile(estimate, np.linspace(0, 1, bins + 1)))
    if len(edges) < 2:
        edges = np.array([estimate[0] - 1, estimate[0] + 1], float)
    place = np.clip(np.searchsorted(edges, estimate, side="right") - 1, 0, len(edges) - 2)
    tail = (1 - coverage) / 2
    low, high = [], []
    for each in range(len(edges) - 1):
        inside = place == each
        errors, weights = (target - estimate)[inside], _weights(unit[inside])
        low.append(-_quantile(-errors, weights, 1 - tail))
        high.append(_quantile(errors, weights, 1 - tail))
    return Intervals(coverage, edges, np.array(low), np.array(high))


def measured(estimate: np.ndarray, target: np.ndarray, unit: np.ndarray, coverage: float, seed: int) -> tuple[float, float]:
    """Share of true values in the intervals that the other half of the units gave, and their mean width; each unit weighs the same."""
    inside, width = np.empty(len(estimate), bool), np.empty(len(estimate))
    for half in split.folds(unit, None, 2, seed):
        low, high = fit(estimate[~half], target[~half], unit[~half], coverage).bounds(estimate[half])
        inside[half], width[half] = (low <= target[half]) & (target[half] <= high), high - low
    weights = _weights(unit)
    return float((inside * weights).sum() / weights.sum()), float((width * weights).sum() / weights.sum())


def share_inside(intervals: Intervals, estimate: np.ndarray, target: np.ndarray) -> float:
    """Share of targets (n,) in the intervals of estimates (n,)."""
    low, high = intervals.bounds(estimate)
    return float(((low <= target) & (target <= high)).mean())


def _weights(unit: np.ndarray) -> np.ndarray:
    """Weight (n,) of each row: 1 over the rows of its unit."""
    _, index, counts = np.unique(unit, return_inverse=True, return_counts=True)
    return 1 / counts[index]


def _quantile(errors: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The smallest error at or below which the share of the weight lies, with the weight of one more unit; at most the largest error."""
    order = np.argsort(errors, kind="stable")
    cumulated = np.cumsum(weights[order])
    at = int(np.searchsorted(cumulated, share * (cumulated[-1] + 1)))
    return float(errors[order][min(at, len(errors) - 1)])
