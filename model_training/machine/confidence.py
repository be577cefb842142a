"""From a scaled score to a confidence: 0.9 at the level of the budget, 0.3 at most three units below."""

from __future__ import annotations

import math

import numpy as np

from edgeml.model.manifest import Calibration

ACT_AT = 0.9
SPAN = 12.0
STEEPNESS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
MAX_NORMAL = 0.05
"""Maximum mean confidence of held-out normal rows."""
POINTS = 49


def steepness(scores: np.ndarray, level: float) -> float:
    """How steeply the confidence falls below the level.

    The tail counts excursions of normal running, not rows: on long time scales one excursion lasts for many rows. The confidence is made
    so steep that held-out normal rows have a low one on average.

    Args:
        scores: (n,) scaled scores of normal rows by a model that did not train on them.
    """
    return next((each for each in STEEPNESS if float(_logistic(scores, level, each).mean()) <= MAX_NORMAL), STEEPNESS[-1])


def calibration(level: float, steep: float = 1.0) -> Calibration:
    """The logistic function that is 0.9 at the level.

    With a steepness of 1, each unit of the score divides the rate of normal rows by e. With a fault whose scores are spread evenly, the
    odds of a fault therefore grow by e with each unit.
    """
    middle = level - math.log(ACT_AT / (1 - ACT_AT)) / steep
    scores = np.unique(np.append(np.linspace(middle - SPAN / steep, middle + SPAN / steep, POINTS), level))
    confidences = _logistic(scores, level, steep)
    # 0.9 exactly at the level and beyond, whatever the rounding.
    confidences[scores == level] = ACT_AT
    return Calibration(kind="table", scores=tuple(scores.tolist()), confidences=tuple(np.round(confidences, 6).tolist()))


def _logistic(scores: np.ndarray, level: float, steep: float) -> np.ndarray:
    return 1 / (1 + (1 / ACT_AT - 1) * np.exp(np.clip(steep * (level - scores), -100, 100)))
