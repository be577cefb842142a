"""Splits of rows, each of which judges what it did not fit."""

from __future__ import annotations

import numpy as np

from model_training import calibration
from model_training.classification import manifest_template


def folds(classes: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Masks (n,) bool of `count` parts, over which every class is dealt alike."""
    rng, fold = np.random.default_rng(seed), np.empty(len(classes), int)
    dealt = 0
    for each in np.unique(classes):
        at = rng.permutation(np.flatnonzero(classes == each))
        fold[at] = (np.arange(len(at)) + dealt) % count
        dealt += len(at)
    return [fold == part for part in range(count)]


def cross_calibrate(score: np.ndarray, failure: np.ndarray, seed: int) -> np.ndarray:
    """Confidences (n,), each half's by the table that the other half fits."""
    halves, confidence = folds(failure.astype(int), 2, seed), np.empty(len(score))
    for fits, measured in (halves, halves[::-1]):
        confidence[measured] = calibration.apply(calibration.fit(score[fits], failure[fits], manifest_template.PRIOR), score[measured])
    return confidence
