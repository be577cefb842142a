"""The methods compared with: from normal rows to functions that score rows. A score is larger, the less normal a row is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from model_training.evaluation.baselines import conv_autoencoder
from model_training.evaluation.baselines.pca import VARIANCE

WEIGHT = 0.2
"""Weight of the latest row in the moving average of the EWMA chart."""

Scores = Callable[[np.ndarray], np.ndarray]
"""Values (n, c) to scores (n, s), NaN before the first decision."""

Fit = Callable[[Sequence[np.ndarray]], Scores]
"""Stretches of normal values, (n, c) each, to a function that scores."""


def shewhart(stretches: Sequence[np.ndarray]) -> Scores:
    """A control chart for each channel: how far its value is from its mean, in standard deviations."""
    scale = _standard(np.concatenate(stretches))
    return lambda values: np.abs(scale(values))


def ewma(stretches: Sequence[np.ndarray]) -> Scores:
    """A control chart for each channel of its exponentially weighted moving average."""
    scale = _standard(np.concatenate(stretches))

    def score(values: np.ndarray) -> np.ndarray:
        z = scale(values)
        mean, out = np.zeros(z.shape[1]), np.empty_like(z)
        for row, value in enumerate(z):
            mean = mean + WEIGHT * (value - mean)
            out[row] = mean
        return np.abs(out)

    return score


def pca(stretches: Sequence[np.ndarray]) -> Scores:
    """Hotelling's T² in the principal components, and Q, the squared distance from them; T² alone for one channel."""
    normal = np.concatenate(stretches)
    scale = _standard(normal)
    z = scale(normal)
    variances, vectors = np.linalg.eigh(z.T @ z / len(z))
    variances, vectors = np.maximum(variances[::-1], 1e-9), vectors[:, ::-1]
    enough = int(np.searchsorted(np.cumsum(variances) / variances.sum(), VARIANCE)) + 1
    kept = max(1, min(enough, len(variances) - 1))

    def score(values: np.ndarray) -> np.ndarray:
        z = scale(values)
        inside = z @ vectors[:, :kept]
        scores = [(inside**2 / variances[:kept]).sum(1)]
        if kept < len(variances):
            scores.append(((z - inside @ vectors[:, :kept].T) ** 2).sum(1))
        return np.stack(scores, axis=1)

    return score


def autoencoder(stretches: Sequence[np.ndarray]) -> Scores:
    """A convolutional autoencoder of windows of rows: the mean absolute error of the window that ends with the row. Needs TensorFlow."""
    scale = _standard(np.concatenate(stretches))
    window = conv_autoencoder.WINDOW
    model = conv_autoencoder.train(
        np.concatenate([conv_autoencoder.cut_windows(scale(each).astype(np.float32)) for each in stretches if len(each) >= window])
    )

    def score(values: np.ndarray) -> np.ndarray:
        out = np.full((len(values), 1), np.nan)
        if len(values) >= window:
            out[window - 1 :, 0] = conv_autoencoder.reconstruction_errors(
                model, conv_autoencoder.cut_windows(scale(values).astype(np.float32))
            )
        return out

    return score


def _standard(normal: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that gives deviations from the mean in standard deviations of `normal` (n, c)."""
    mean = normal.mean(0)
    std = np.maximum(normal.std(0), np.maximum(np.abs(mean) * 1e-6, 1e-9))
    return lambda values: (values - mean) / std
