"""The network: fixed means over increasing spans of each view and the largest steps of the long view, followed by an ensemble of
small dense networks. The output is the mean of their sigmoids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from model_training import tflite_export

MEMBERS, UNITS = 6, (24, 16)
SPANS = ((2, 3, 5, 5, 10, 15, 20), (1, 2, 2, 3, 4, 6, 8, 10, 12, 12))
"""For each view, the number of steps in each mean, newest first. Together they cover the view."""
NEWER, OLDER = 2, 4
"""The step height in the long view is the mean of NEWER steps minus the mean of the OLDER steps before them. A persistent fault can
be as close to the baseline as slow drift; unlike drift, it began abruptly some minutes ago."""


def train(x: np.ndarray, y: np.ndarray, seed: int, epochs: int, log: Callable[[str], None]) -> Any:
    """Train on x (n, steps, features) and y (n,) 0 or 1. Returns a Keras model with inputs (1, steps, features).

    Each class has half of the total weight, which is the prior of the score. The members train independently.
    """
    tf = tflite_export.begin(seed)
    layers = tf.keras.layers
    weight = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean())).astype(np.float32)
    pooled = _pooling(tf, x.shape[1:])
    inputs = layers.Input(pooled.output_shape[1:])
    members = tf.keras.Model(inputs, [_member(layers, inputs) for _ in range(MEMBERS)])
    batch = 256
    schedule = tf.keras.optimizers.schedules.CosineDecay(2e-3, epochs * (len(x) // batch + 1))
    members.compile(tf.keras.optimizers.Adam(schedule), ["binary_crossentropy"] * MEMBERS)
    progress = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: log(f"epoch {epoch + 1}/{epochs}: loss {logs['loss'] / MEMBERS:.4f}")
    )
    # The means are fixed, so they are computed once.
    members.fit(
        pooled.predict(x, batch_size=4096, verbose=0),
        [y] * MEMBERS,
        sample_weight=[weight] * MEMBERS,
        batch_size=batch,
        epochs=epochs,
        shuffle=True,
        verbose=0,
        callbacks=[progress],
    )
    whole = layers.Input(x.shape[1:])
    return tf.keras.Model(whole, layers.Average()(members(pooled(whole))))


def _pooling(tf: Any, shape: tuple[int, ...]) -> Any:
    """Layer from (steps, views * c) to one row of features.

    The features are the means, the mean increase between rows of the first view, and the largest steps up and down of the last
    view. The steps are halved because all features share one int8 range.
    """
    layers = tf.keras.layers
    steps, c = shape[0], shape[1] // len(SPANS)
    inputs = layers.Input(shape)
    views = [inputs[:, :, number * c : (number + 1) * c] for number in range(len(SPANS))]
    parts = [_fixed(layers, means(steps, spans))(layers.Permute((2, 1))(view)) for view, spans in zip(views, SPANS, strict=True)]
    rises = layers.AveragePooling1D(steps - 1)(_along(layers, np.array([[-1, 1]]), "relu")(views[0]))
    step = np.concatenate([np.full(OLDER, -1 / OLDER), np.full(NEWER, 1 / NEWER)]) / 2
    largest = layers.MaxPooling1D(steps - len(step) + 1)(_along(layers, np.stack([step, -step]))(views[-1]))
    return tf.keras.Model(inputs, layers.Concatenate()([layers.Flatten()(part) for part in (*parts, rises, largest)]))


def means(steps: int, spans: Sequence[int]) -> np.ndarray:
    """Matrix (steps, len(spans)): each column is the mean over one span, newest first."""
    ends = steps - np.concatenate([[0], np.cumsum(spans)])
    out = np.zeros((steps, len(spans)), np.float32)
    for column, (end, begin) in enumerate(zip(ends, ends[1:], strict=False)):
        out[begin:end, column] = 1 / (end - begin)
    return out


def _fixed(layers: Any, matrix: np.ndarray) -> Any:
    """Fixed linear map over the last axis; a convolution, because its weights are quantised per column."""
    return layers.Conv1D(
        matrix.shape[1],
        1,
        use_bias=False,
        trainable=False,
        kernel_initializer=lambda shape, dtype=None: matrix.astype(np.float32)[None],
    )


def _along(layers: Any, kernels: np.ndarray, activation: str | None = None) -> Any:
    """Fixed kernels (k, length) along the steps of each channel."""
    return layers.DepthwiseConv1D(
        kernels.shape[1],
        depth_multiplier=len(kernels),
        use_bias=False,
        trainable=False,
        activation=activation,
        depthwise_initializer=lambda shape, dtype=None: np.broadcast_to(kernels.T[:, None, :], shape).astype(np.float32),
    )


def _member(layers: Any, inputs: Any) -> Any:
    x = inputs
    for units in UNITS:
        x = layers.Dense(units, activation="relu")(x)
    return layers.Dense(1, activation="sigmoid")(x)
