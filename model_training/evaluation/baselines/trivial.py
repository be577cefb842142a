"""What scores well without a sensor."""

from __future__ import annotations

import numpy as np

from model_training.evaluation.recordings import Recording

FIRST, LAST = 570, 970
"""Nearly all anomalies of the benchmark lie between these rows."""


def always(recording: Recording) -> np.ndarray:
    """(n,) bool: yes."""
    return np.ones(len(recording), bool)


def position(recording: Recording) -> np.ndarray:
    """(n,) bool: yes from row `FIRST` to row `LAST` of what it is given, whatever was measured."""
    row = np.arange(len(recording))
    return (row >= FIRST) & (row <= LAST)
