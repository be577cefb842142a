"""The network: fixed means over ever longer spans of each view, then small dense networks side by side; the mean of their sigmoids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model_training import tflite

MEMBERS = 3
SPANS = ((2, 3, 5, 5, 10, 15, 20), (1, 2, 2, 3, 4, 6, 8, 10, 12, 12))
"""For each view, how many steps go into each mean, from the newest on; together all steps of the view."""


def train(x: np.ndarray, y: np.ndarray, seed: int, epochs: int, progress: Callable[[str], None]) -> Any:
    """Train on x (n, steps, features), y (n,) 0 or 1; gives a Keras model with inputs (1, steps, features).

    Half of the weight goes to each answer: the prior of the score. Each member learns for itself.
    """
    tf = tflite.begin(seed)
    layers = tf.keras.layers
    weight = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean())).astype(np.float32)
    pooled = _pooling(tf, x.shape[1:])
    inputs = layers.Input(pooled.output_shape[1:])
    members = tf.keras.Model(inputs, [_member(layers, inputs) for _ in range(MEMBERS)])
    batch = 256
    schedule = tf.keras.optimizers.schedules.CosineDecay(2e-3, epochs * (len(x) // batch + 1))
    members.compile(tf.keras.optimizers.Adam(schedule), ["binary_crossentropy"] * MEMBERS)
    say = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: progress(f"epoch {epoch + 1}/{epochs}: loss {logs['loss'] / MEMBERS:.4f}")
    )
    # The means are fixed, so they are formed once.
    members.fit(
        pooled.predict(x, batch_size=4096, verbose=0), [y] * MEMBERS, sample_weight=[weight] * MEMBERS, batch_size=batch, epochs=epochs,
        shuffle=True, verbose=0, callbacks=[say],
    )
    whole = layers.Input(x.shape[1:])
    return tf.keras.Model(whole, layers.Average()(members(pooled(whole))))


def _pooling(tf: Any, shape: tuple[int, ...]) -> Any:
    """From (steps, views * c) to one row of means, and of the mean change from row to row of the first view."""
    layers = tf.keras.layers
    steps, c = shape[0], shape[1] // len(SPANS)
    inputs = layers.Input(shape)
    parts = []
    for number, spans in enumerate(SPANS):
        view = layers.Permute((2, 1))(inputs[:, :, number * c:(number + 1) * c])
        parts.append(_fixed(layers, means(steps, spans))(view))
        if number == 0:
            changes = np.eye(steps, steps - 1, -1) - np.eye(steps, steps - 1)
            both_ways = _fixed(layers, np.concatenate([changes, -changes], axis=1), "relu")(view)
            parts.append(_fixed(layers, np.full((2 * (steps - 1), 1), 1 / (steps - 1)))(both_ways))
    return tf.keras.Model(inputs, layers.Flatten()(layers.Concatenate(axis=2)(parts)))


def means(steps: int, spans: Sequence[int]) -> np.ndarray:
    """(steps, len(spans)): each column the mean of so many steps, the newest ones first."""
    ends = steps - np.concatenate([[0], np.cumsum(spans)])
    out = np.zeros((steps, len(spans)), np.float32)
    for column, (end, begin) in enumerate(zip(ends, ends[1:], strict=False)):
        out[begin:end, column] = 1 / (end - begin)
    return out


def _fixed(layers: Any, matrix: np.ndarray, activation: str | None = None) -> Any:
    """A linear map over the last axis that does not learn; a convolution, because its weights are quantised column by column."""
    return layers.Conv1D(
        matrix.shape[1], 1, use_bias=False, trainable=False, activation=activation,
        kernel_initializer=lambda shape, dtype=None: matrix.astype(np.float32).reshape(shape),
    )


def _member(layers: Any, inputs: Any) -> Any:
    x = layers.Dense(24, activation="relu")(layers.Dense(48, activation="relu")(inputs))
    return layers.Dense(1, activation="sigmoid")(x)
