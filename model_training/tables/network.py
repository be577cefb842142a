"""The network: derived columns in the graph, an ensemble of small dense networks on all features; the output is their mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from edgeml.model.manifest import Manifest
from model_training import tflite_export
from model_training.progress import Epochs
from model_training.tables import features
from model_training.tables.graph import GraphColumns
from model_training.tables.table import Table


class Recipe(NamedTuple):
    """Settings of the network and its training.

    Attributes:
        members: number of networks whose mean is the output.
        dropout: of the input, and after each hidden layer.
        rate, decay, momentum: learning rate at the start, weight decay, momentum of the moving average of the weights.
        steps: training steps, about; at least `MIN_EPOCHS` and at most `epochs` over the examples.
    """

    members: int
    widths: tuple[int, ...]
    dropout: tuple[float, ...]
    batch: int
    rate: float
    decay: float
    momentum: float
    steps: int
    epochs: int


SERIES = Recipe(3, (96, 32), (0.05, 0.1, 0.05), 256, 3e-3, 1e-3, 0.995, 6000, 60)
ROWS = Recipe(3, (32, 16), (0.0, 0.0, 0.0), 128, 1e-2, 0.1, 0.99, 4700, 120)
MIN_EPOCHS = 10


class Output(NamedTuple):
    """The output of the network.

    Attributes:
        classes: number of classes; 0 for a number.
        low, span: a number is `low` + `span` times the inner value.
        bounded: the inner value is limited to 0 to 1.
    """

    classes: int
    low: float = 0.0
    span: float = 1.0
    bounded: bool = False


class Trained(NamedTuple):
    """A trained Keras model, and the layers before the softmax of its members."""

    model: Any
    heads: list[Any]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Output (n, k) for x (n, steps, features)."""
        return self.model.predict(x, batch_size=4096, verbose=0).astype(np.float64)

    def temper(self, temperature: float) -> None:
        """Divide the logits by a temperature."""
        for head in self.heads:
            head.set_weights([weights / temperature for weights in head.get_weights()])


def train(
    manifest: Manifest,
    table: Table,
    x: np.ndarray,
    target: np.ndarray,
    output: Output,
    recipe: Recipe,
    seed: int,
    log: Callable[[str], None],
) -> Trained:
    """Train on x (n, steps, features) and the target (n,).

    Rows are not weighted by class, so probabilities keep the table's prior. The weights are an exponential moving average.
    """
    tf = tflite_export.begin(seed)
    layers = tf.keras.layers
    inputs = layers.Input(x.shape[1:])
    columns = GraphColumns(tf, inputs, manifest, table, features.derived(manifest, table, x))
    flat = columns.flat
    seen = columns.values(x)
    mean, std = seen.mean(0).astype(np.float32), np.maximum(seen.std(0), 1e-3).astype(np.float32)
    normal = layers.Normalization(mean=mean, variance=std**2)(flat)
    firsts, chains, heads = [], [], []
    for _ in range(recipe.members):
        firsts.append(layers.Dense(recipe.widths[0], activation="relu"))
        chains.append([layers.Dense(width, activation="relu") for width in recipe.widths[1:]])
        heads.append(layers.Dense(output.classes or 1, activation="softmax" if output.classes else "sigmoid" if output.bounded else None))
    outputs = [
        _through(_with_dropout(layers, [first, *chain], recipe.dropout) + [head], normal)
        for first, chain, head in zip(firsts, chains, heads, strict=True)
    ]
    joined = layers.Concatenate()(outputs) if recipe.members > 1 else outputs[0]
    model = tf.keras.Model(inputs, joined)
    epochs = min(recipe.epochs, max(MIN_EPOCHS, round(recipe.steps * recipe.batch / len(x))))
    steps = epochs * -(-len(x) // recipe.batch)
    optimizer = tf.keras.optimizers.AdamW(
        tf.keras.optimizers.schedules.CosineDecay(recipe.rate, steps),
        weight_decay=recipe.decay,
        use_ema=True,
        ema_momentum=recipe.momentum,
    )
    # Summed, not averaged over the members, so that each is trained independently.
    if output.classes:
        shape = (-1, recipe.members, output.classes)
        model.compile(
            optimizer,
            lambda truth, predicted: tf.reduce_sum(
                tf.keras.losses.sparse_categorical_crossentropy(truth, tf.reshape(predicted, shape)), axis=-1
            ),
        )
        inner = target.astype(np.int32)
    else:
        model.compile(optimizer, lambda truth, predicted: tf.reduce_sum(tf.square(truth - predicted), axis=-1))
        inner = ((target - output.low) / output.span).astype(np.float32)
    progress = Epochs(log, epochs, every=max(1, epochs // 4))

    def text(loss: float) -> str:
        mean_loss = loss / recipe.members
        return f"loss {mean_loss:.4f}" if output.classes else f"RMSE in training {output.span * mean_loss**0.5:.3g}"

    callback = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: progress.ended(epoch + 1, text(logs["loss"])))
    repeated = np.repeat(inner[:, None], recipe.members, 1)
    model.fit(x, repeated, batch_size=recipe.batch, epochs=epochs, shuffle=True, verbose=0, callbacks=[callback])
    optimizer.finalize_variable_values(model.trainable_variables)
    # Unscaled features lose less to int8 than standardized ones, so the standardization is folded into the first layers' weights.
    folded = [layers.Dense(recipe.widths[0], activation="relu") for _ in firsts]
    whole = [_through([first, *chain, head], flat) for first, chain, head in zip(folded, chains, heads, strict=True)]
    for first, layer in zip(firsts, folded, strict=True):
        kernel, bias = first.get_weights()
        layer.set_weights([kernel / std[:, None], bias - (mean / std) @ kernel])
    return Trained(tf.keras.Model(inputs, _mean(tf, whole, output)), heads if output.classes else [])


def _mean(tf: Any, members: Sequence[Any], output: Output) -> Any:
    """The mean of the members' outputs, scaled to the target."""
    layers, count = tf.keras.layers, len(members)
    joined = layers.Concatenate()(members) if count > 1 else members[0]
    if output.classes:
        if count == 1:
            return joined
        kernel = np.tile(np.eye(output.classes, dtype=np.float32) / count, (count, 1))
        return layers.Dense(output.classes, use_bias=False, trainable=False, kernel_initializer=_constant(tf, kernel))(joined)
    kernel = np.full((count, 1), output.span / count, np.float32)
    bias = np.array([output.low], np.float32)
    return layers.Dense(1, trainable=False, kernel_initializer=_constant(tf, kernel), bias_initializer=_constant(tf, bias))(joined)


def _with_dropout(layers: Any, dense: list[Any], dropout: Sequence[float]) -> list[Any]:
    first, *after = dropout
    chain = [layers.Dropout(first)] if first else []
    for layer, share in zip(dense, after, strict=True):
        chain += [layer, layers.Dropout(share)] if share else [layer]
    return chain


def _through(chain: list[Any], tensor: Any) -> Any:
    for layer in chain:
        tensor = layer(tensor)
    return tensor


def _constant(tf: Any, values: np.ndarray) -> Any:
    return tf.keras.initializers.Constant(values)
