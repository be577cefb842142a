"""Trivial methods that score well without using the sensors."""

from __future__ import annotations

import numpy as np

from model_training.evaluation.recordings import Recording

FIRST, LAST = 570, 970
"""Nearly all anomalies of the benchmark lie between these rows."""


def always(recording: Recording) -> np.ndarray:
    """Verdicts (n,) bool: all positive."""
    return np.ones(len(recording), bool)


def position(recording: Recording) -> np.ndarray:
    """Verdicts (n,) bool: positive from row `FIRST` to row `LAST`, independent of the values."""
    row = np.arange(len(recording))
    return (row >= FIRST) & (row <= LAST)
