"""The network: an ensemble of small dense networks with the same input; the output is their mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from model_training import tflite_export
from model_training.progress import Epochs

MEMBERS = 3
WIDTHS = (48, 24)
BATCH = 256


def train(x: np.ndarray, life: np.ndarray, cap: float, seed: int, epochs: int, log: Callable[[str], None], members: int = MEMBERS) -> Any:
    """Train on x (n, steps, features) and remaining life (n,) in cycles. Returns a Keras model with output (n, 1) in cycles, 0 to `cap`.

    The weights are an exponential moving average.
    """
    tf = tflite_export.begin(seed)
    layers = tf.keras.layers
    inputs = layers.Input(x.shape[1:])
    flat = layers.Flatten()(inputs)
    heads = []
    for _ in range(members):
        inner = layers.Dropout(0.05)(flat)
        for width, dropout in zip(WIDTHS, (0.1, 0.05), strict=True):
            inner = layers.Dropout(dropout)(layers.Dense(width, activation="relu")(inner))
        heads.append(layers.Dense(1, activation="sigmoid")(inner))
    shares = layers.Concatenate()(heads) if members > 1 else heads[0]
    model = tf.keras.Model(inputs, shares)
    steps = epochs * -(-len(x) // BATCH)
    optimizer = tf.keras.optimizers.AdamW(
        tf.keras.optimizers.schedules.CosineDecay(3e-3, steps), weight_decay=1e-3, use_ema=True, ema_momentum=0.995
    )
    # Summed, not averaged over the members, so that each is trained independently.
    model.compile(optimizer, lambda truth, predicted: tf.reduce_sum(tf.square(truth - predicted), axis=-1))
    progress = Epochs(log, epochs, every=2)
    callback = tf.keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: progress.ended(epoch + 1, f"RMSE in training {cap * (logs['loss'] / members) ** 0.5:.1f} cycles")
    )
    target = np.repeat((np.minimum(life, cap) / cap).astype(np.float32)[:, None], members, 1)
    model.fit(x, target, batch_size=BATCH, epochs=epochs, shuffle=True, verbose=0, callbacks=[callback])
    optimizer.finalize_variable_values(model.trainable_variables)
    mean = layers.Dense(1, use_bias=False, trainable=False, kernel_initializer=tf.keras.initializers.Constant(cap / members))
    return tf.keras.Model(inputs, mean(shares))


def predict(model: Any, x: np.ndarray) -> np.ndarray:
    """Predicted cycles (n,) for x (n, steps, features)."""
    return model.predict(x, batch_size=4096, verbose=0)[:, 0].astype(np.float64)
