"""Splits of rows, each of which judges what it did not fit."""

from __future__ import annotations

import numpy as np

from model_training import calibration
from model_training.classification import manifest_template


def folds(classes: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Masks (n,) bool of `count` parts, over which every class is dealt alike."""
    rng, place = np.random.default_rng(seed), np.empty(len(classes), int)
    begun = 0
    for each in np.unique(classes):
        at = rng.permutation(np.flatnonzero(classes == each))
        place[at] = (np.arange(len(at)) + begun) % count
        begun += len(at)
    return [place == part for part in range(count)]


def crosswise(score: np.ndarray, failure: np.ndarray, seed: int) -> np.ndarray:
    """Confidences (n,), each half's by the table that the other half fits."""
    halves, confidence = folds(failure.astype(int), 2, seed), np.empty(len(score))
    for fits, judged in (halves, halves[::-1]):
        confidence[judged] = calibration.apply(calibration.fit(score[fits], failure[fits], manifest_template.PRIOR), score[judged])
    return confidence
