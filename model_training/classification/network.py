"""The network: physical features in the graph, two dense layers, a softmax over the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from model_training import tflite_export
from model_training.classification import features
from model_training.progress import Epochs

WIDTHS = (32, 16)
BATCH = 128


def train(x: np.ndarray, y: np.ndarray, classes: int, seed: int, epochs: int, log: Callable[[str], None]) -> Any:
    """Train on scaled channels x (n, 1, 6) and classes y (n,) int. Returns a Keras model with output (n, classes).

    Rows are not weighted by class, so the probabilities keep the data's prior; the verdict level accounts for the imbalance. The
    weights are an exponential moving average.
    """
    tf = tflite_export.begin(seed)
    layers = tf.keras.layers

    def total(weights: tuple[np.ndarray, float]) -> Any:
        kernel = tf.keras.initializers.Constant(weights[0][:, None].astype(np.float32))
        bias = tf.keras.initializers.Constant(np.float32(weights[1]))
        return layers.Dense(1, trainable=False, kernel_initializer=kernel, bias_initializer=bias)(flat)

    inputs = layers.Input(x.shape[1:])
    flat = layers.Flatten()(inputs)
    power, strain = (layers.Multiply()([total(a), total(b)]) for a, b in (features.POWER, features.STRAIN))
    physical = layers.Concatenate()([flat, total(features.DIFFERENCE), power, strain, layers.Subtract()([strain, total(features.LIMIT)])])
    seen = features.features(x[:, 0].astype(np.float64))
    mean, std = seen.mean(0).astype(np.float32), np.maximum(seen.std(0), 1e-3).astype(np.float32)
    first = layers.Dense(WIDTHS[0], activation="relu")
    later = [*(layers.Dense(width, activation="relu") for width in WIDTHS[1:]), layers.Dense(classes, activation="softmax")]
    model = tf.keras.Model(inputs, _through([layers.Normalization(mean=mean, variance=std**2), first, *later], physical))
    steps = epochs * -(-len(x) // BATCH)
    optimizer = tf.keras.optimizers.AdamW(
        tf.keras.optimizers.schedules.CosineDecay(1e-2, steps), weight_decay=1e-4, use_ema=True, ema_momentum=0.99
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    progress = Epochs(log, epochs, every=10)
    callback = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: progress.ended(epoch + 1, f"loss {logs['loss']:.4f}"))
    model.fit(x, y, batch_size=BATCH, epochs=epochs, shuffle=True, verbose=0, callbacks=[callback])
    optimizer.finalize_variable_values(model.trainable_variables)
    # Unscaled features lose less to int8 than standardised ones, so the standardisation is folded into the first layer's weights.
    kernel, bias = first.get_weights()
    folded = layers.Dense(WIDTHS[0], activation="relu")
    whole = tf.keras.Model(inputs, _through([folded, *later], physical))
    folded.set_weights([kernel / std[:, None], bias - (mean / std) @ kernel])
    return whole


def _through(layers: list[Any], tensor: Any) -> Any:
    for layer in layers:
        tensor = layer(tensor)
    return tensor
