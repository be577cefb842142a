"""Confidence from remaining life: fewer cycles left, more confidence that they are fewer than the horizon."""

from __future__ import annotations

import numpy as np

from edgeml.model.manifest import Calibration
from model_training import calibration
from model_training.regression import manifest_template
from model_training.regression.examples import Examples, folds


def falling(score: np.ndarray, below: np.ndarray, prior: float) -> Calibration:
    """A table of confidences that fall as the score rises: how probable `below` is, at the prior."""
    table = calibration.fit(-score, below, prior)
    return Calibration(
        kind="table", scores=tuple(-value for value in reversed(table.scores)), confidences=tuple(reversed(table.confidences))
    )


def crosswise(score: np.ndarray, given: Examples, seed: int) -> np.ndarray:
    """Confidences (n,): each half of the engines by the table that the other half fits."""
    halves = [np.isin(given.engine, part) for part in folds(given.engine, 2, seed)]
    below = given.life < manifest_template.HORIZON
    confidence = np.empty(len(score))
    for fits, judged in (halves, halves[::-1]):
        confidence[judged] = calibration.apply(falling(score[fits], below[fits], manifest_template.PRIOR), score[judged])
    return confidence
