"""Stratified folds, and calibration by cross-validation."""

from __future__ import annotations

import numpy as np

from model_training import calibration
from model_training.classification import manifest_template


def folds(classes: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Masks (n,) bool of `count` stratified folds."""
    rng, fold = np.random.default_rng(seed), np.empty(len(classes), int)
    dealt = 0
    for each in np.unique(classes):
        at = rng.permutation(np.flatnonzero(classes == each))
        fold[at] = (np.arange(len(at)) + dealt) % count
        dealt += len(at)
    return [fold == part for part in range(count)]


def cross_calibrate(score: np.ndarray, failure: np.ndarray, seed: int) -> np.ndarray:
    """Confidences (n,) of each half by a calibration table fitted on the other half."""
    halves, confidence = folds(failure.astype(int), 2, seed), np.empty(len(score))
    for fits, measured in (halves, halves[::-1]):
        confidence[measured] = calibration.apply(calibration.fit(score[fits], failure[fits], manifest_template.PRIOR), score[measured])
    return confidence
