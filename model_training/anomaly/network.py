"""The network: three convolutions over time, a dense layer, a sigmoid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from model_training import tflite


def train(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray, seed: int, epochs: int, progress: Callable[[str], None],
) -> Any:
    """Train on x (n, steps, features), y (n,) 0 or 1; gives a Keras model with inputs (1, steps, features)."""
    tf = tflite.begin(seed)
    layers = tf.keras.layers
    model = tf.keras.Sequential([
        layers.Input(x.shape[1:]),
        layers.Conv1D(24, 5, strides=2, activation="relu", padding="same"),
        layers.Conv1D(32, 5, strides=2, activation="relu", padding="same"),
        layers.Conv1D(32, 3, strides=2, activation="relu", padding="same"),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(40, activation="relu"),
        layers.Dense(1, activation="sigmoid"),
    ])
    batch = 256
    schedule = tf.keras.optimizers.schedules.CosineDecay(2e-3, epochs * (len(x) // batch + 1))
    model.compile(tf.keras.optimizers.Adam(schedule), "binary_crossentropy")
    say = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: progress(f"epoch {epoch + 1}/{epochs}: loss {logs['loss']:.4f}")
    )
    model.fit(x, y, sample_weight=weight, batch_size=batch, epochs=epochs, shuffle=True, verbose=0, callbacks=[say])
    return model
