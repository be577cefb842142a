"""The network: a few small ones side by side that see the same input, and their mean."""

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
    """Train on x (n, steps, features) and remaining life (n,) in cycles; gives a Keras model that answers (n, 1) in cycles, 0 to `cap`.

    The weights are the running mean of those that training passes through.
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
    # Summed, not averaged over the members: each is trained as if it were alone.
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
    """What the network answers to x (n, steps, features): (n,) cycles."""
    return model.predict(x, batch_size=4096, verbose=0)[:, 0].astype(np.float64)
