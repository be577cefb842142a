"""From a scaled score to a confidence: 0.9 at the level of the budget, 0.3 some three units below."""

from __future__ import annotations

import math

import numpy as np

from edgeml.model.manifest import Calibration

ACT_AT = 0.9
SPAN = 12.0
POINTS = 49


def calibration(level: float) -> Calibration:
    """The logistic function with slope 1 that is 0.9 at the level.

    Each unit of the score divides the rate of normal rows by e. With a fault whose scores are spread evenly, the odds of a fault
    therefore grow by e with each unit.
    """
    middle = level - math.log(ACT_AT / (1 - ACT_AT))
    scores = np.unique(np.append(np.linspace(middle - SPAN, middle + SPAN, POINTS), level))
    confidences = 1 / (1 + np.exp(middle - scores))
    # 0.9 exactly at the level and beyond, whatever the rounding.
    confidences[scores == level] = ACT_AT
    return Calibration(kind="table", scores=tuple(scores.tolist()), confidences=tuple(np.round(confidences, 6).tolist()))


def score_at(confidence: float, level: float) -> float:
    """The scaled score that has this confidence."""
    return level - math.log(ACT_AT / (1 - ACT_AT)) + math.log(confidence / (1 - confidence))
