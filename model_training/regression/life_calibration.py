"""Calibration of the remaining life: the confidence that it is below the horizon falls as the predicted life rises."""

from __future__ import annotations

import numpy as np

from edgeml.model.manifest import Calibration
from model_training import calibration
from model_training.regression import manifest_template
from model_training.regression.examples import Examples, folds


def falling(score: np.ndarray, below: np.ndarray, prior: float) -> Calibration:
    """Fit a decreasing table from score to the probability of `below` at the prior."""
    table = calibration.fit(-score, below, prior)
    return Calibration(
        kind="table", scores=tuple(-value for value in reversed(table.scores)), confidences=tuple(reversed(table.confidences))
    )


def cross_calibrate(score: np.ndarray, training_set: Examples, seed: int) -> np.ndarray:
    """Confidences (n,) of each half of the engines by a table fitted on the other half."""
    halves = [np.isin(training_set.engine, part) for part in folds(training_set.engine, 2, seed)]
    below = training_set.life < manifest_template.HORIZON
    confidence = np.empty(len(score))
    for fits, measured in (halves, halves[::-1]):
        confidence[measured] = calibration.apply(falling(score[fits], below[fits], manifest_template.PRIOR), score[measured])
    return confidence
