"""The convolutional autoencoder of the SKAB leaderboard: one model for each recording. Needs TensorFlow."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from model_training.evaluation.baselines.control_chart import filled
from model_training.evaluation.recordings import Recording
from model_training.evaluation.splits import BASELINE_ROWS

WINDOW, QUANTILE, FACTOR, SEED = 60, 0.999, 4 / 3, 0
DEFINITION = {
    "window": WINDOW,
    "quantile": QUANTILE,
    "factor": FACTOR,
    "seed": SEED,
    "filters": (32, 16),
    "kernel": 7,
    "dropout": 0.2,
    "epochs": 100,
    "patience": 5,
    "batch": 32,
    "rate": 1e-3,
    "validation": 0.1,
    "version": 1,
}


class ConvAe:
    """Reconstruction errors of an autoencoder trained on a recording's baseline; copies with the same baseline share the model."""

    def __init__(self) -> None:
        self._models: dict[bytes, tuple[Any, float]] = {}

    def causal(self, recording: Recording) -> np.ndarray:
        """Verdicts (n,) bool: row i is anomalous if the window that ends at i is."""
        over = self._over(recording)
        return np.concatenate([np.zeros(WINDOW - 1, bool), over])

    def published(self, recording: Recording) -> np.ndarray:
        """Verdicts (n,) bool as published: row i is anomalous if all windows that begin at rows i - 59 to i - 1 are. Not causal."""
        over = np.append(self._over(recording), np.zeros(WINDOW - 1, bool))
        all_over = np.convolve(over, np.ones(WINDOW - 1))[: len(over)] >= WINDOW - 1 - 1e-6
        return np.concatenate([[False], all_over[:-1]])

    def _over(self, recording: Recording) -> np.ndarray:
        """Windows with an error above the limit, by first row, (n - 59,) bool."""
        values = filled(recording.values)
        normal = values[:BASELINE_ROWS]
        spread = np.where(normal.std(0) > 0, normal.std(0), 1.0)
        windows = cut_windows(((values - normal.mean(0)) / spread).astype(np.float32))
        key = normal.tobytes()
        if key not in self._models:
            model = train(windows[: BASELINE_ROWS - WINDOW + 1])
            errors = reconstruction_errors(model, windows[: BASELINE_ROWS - WINDOW + 1])
            self._models[key] = model, FACTOR * float(np.quantile(errors, QUANTILE))
        model, limit = self._models[key]
        return reconstruction_errors(model, windows) > limit


def cut_windows(z: np.ndarray) -> np.ndarray:
    """All windows of `WINDOW` successive rows, (n - 59, 60, c)."""
    return np.stack([z[i : i + WINDOW] for i in range(len(z) - WINDOW + 1)])


def reconstruction_errors(model: Any, windows: np.ndarray) -> np.ndarray:
    """Mean absolute error (k,) of each window."""
    return np.abs(windows - model.predict(windows, batch_size=512, verbose=0)).mean((1, 2))


def train(windows: np.ndarray) -> Any:
    """Train an autoencoder on windows (k, 60, c) of normal rows."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    import tensorflow as tf

    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(SEED)
    layers = tf.keras.layers
    steps: dict[str, Any] = {"kernel_size": 7, "strides": 2, "padding": "same", "activation": "relu"}
    model = tf.keras.Sequential(
        [
            layers.Input(windows.shape[1:]),
            layers.Conv1D(32, **steps),
            layers.Dropout(0.2),
            layers.Conv1D(16, **steps),
            layers.Conv1DTranspose(16, **steps),
            layers.Dropout(0.2),
            layers.Conv1DTranspose(32, **steps),
            # One output for all channels, as published.
            layers.Conv1DTranspose(1, kernel_size=7, padding="same"),
        ]
    )
    model.compile(tf.keras.optimizers.Adam(1e-3), "mse")
    stop = tf.keras.callbacks.EarlyStopping(monitor="val_loss", patience=5, mode="min")
    model.fit(windows, windows, epochs=100, batch_size=32, validation_split=0.1, callbacks=[stop], verbose=0)
    return model
