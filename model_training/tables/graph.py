"""Derived columns as fixed layers of the graph, so that a device feeds raw channels.

Sums stay weights until a product needs them: `process - air` becomes one layer, not three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeml.model.manifest import Manifest
from model_training.tables.table import Table

TAIL = 0.001
"""The range of a derived column is that of its quantiles at this tail; the layers scale it to -1 to 1."""


@dataclass(frozen=True)
class _Linear:
    """A weighted sum of the input's features (features,) and a bias."""

    weights: np.ndarray
    bias: float

    @property
    def constant(self) -> bool:
        return not self.weights.any()


class GraphColumns:
    """The input and the derived columns of a table in a Keras graph.

    Attributes:
        flat: tensor of all features (steps * features + steps * derived,).
    """

    def __init__(self, tf: Any, inputs: Any, manifest: Manifest, table: Table, derived: np.ndarray) -> None:
        """Args:
        derived: (n, steps, views * d) the derived columns of the training rows; they give the ranges.
        """
        self._manifest, self._table = manifest, table
        layers = tf.keras.layers
        self._middle = np.zeros(derived.shape[-1])
        self._half = np.ones(derived.shape[-1])
        tensors = []
        place = 0
        for view in range(len(manifest.views)):
            algebra = _Layers(tf, inputs, manifest, view)
            for formula in table.derived.values():
                low, high = np.quantile(derived[..., place], [TAIL, 1 - TAIL])
                self._middle[place], self._half[place] = (low + high) / 2, max((high - low) / 2, 1e-12)
                value = formula.evaluate(algebra)
                tensors.append(algebra.scaled(value, 1 / self._half[place], -self._middle[place] / self._half[place]))
                place += 1
        parts = [layers.Flatten()(inputs)]
        if tensors:
            parts.append(layers.Flatten()(layers.Concatenate()(tensors) if len(tensors) > 1 else tensors[0]))
        self.flat = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]

    def values(self, x: np.ndarray) -> np.ndarray:
        """The same features (n, k) of inputs x (n, steps, features), in numpy."""
        from model_training.tables import features

        derived = (features.derived(self._manifest, self._table, x) - self._middle) / self._half
        return np.concatenate([x.reshape(len(x), -1), derived.reshape(len(x), -1)], 1)


class _Layers:
    """Formulas on one view of the input, as Keras layers. A value is a weighted sum, or a tensor (steps, 1)."""

    def __init__(self, tf: Any, inputs: Any, manifest: Manifest, view: int) -> None:
        self._tf, self._inputs = tf, inputs
        self._width, self._first = manifest.input_shape[1], view * len(manifest.channels)
        self._scaling = {
            name: (mean, std) for name, mean, std in zip(manifest.names, manifest.scaling.mean, manifest.scaling.std, strict=True)
        }
        self._places = {name: self._first + at for at, name in enumerate(manifest.names)}

    def column(self, name: str) -> Any:
        weights = np.zeros(self._width)
        mean, std = self._scaling[name]
        weights[self._places[name]] = std
        return _Linear(weights, mean)

    def number(self, value: float) -> Any:
        return _Linear(np.zeros(self._width), value)

    def binary(self, operator: str, a: Any, b: Any) -> Any:
        both = isinstance(a, _Linear) and isinstance(b, _Linear)
        if both and operator in "+-":
            sign = 1 if operator == "+" else -1
            return _Linear(a.weights + sign * b.weights, a.bias + sign * b.bias)
        if operator == "*" and isinstance(a, _Linear) and a.constant:
            a, b = b, a
        if operator in "*/" and isinstance(b, _Linear) and b.constant:
            factor = b.bias if operator == "*" else 1 / b.bias
            if isinstance(a, _Linear):
                return _Linear(a.weights * factor, a.bias * factor)
            return self._affine(a, factor, 0.0)
        layers = self._tf.keras.layers
        a, b = self._tensor(a), self._tensor(b)
        if operator == "/":
            return a / b
        kinds = {"+": layers.Add, "-": layers.Subtract, "*": layers.Multiply, "min": layers.Minimum, "max": layers.Maximum}
        return kinds[operator]()([a, b])

    def absolute(self, a: Any) -> Any:
        return abs(self._tensor(a))

    def scaled(self, value: Any, factor: float, offset: float) -> Any:
        """Tensor (steps, 1) of factor * value + offset."""
        if isinstance(value, _Linear):
            return self._tensor(_Linear(value.weights * factor, value.bias * factor + offset))
        return self._affine(value, factor, offset)

    def _tensor(self, value: Any) -> Any:
        if not isinstance(value, _Linear):
            return value
        return self._dense(value.weights[:, None], value.bias)(self._inputs)

    def _affine(self, tensor: Any, factor: float, offset: float) -> Any:
        return self._dense(np.array([[factor]]), offset)(tensor)

    def _dense(self, kernel: np.ndarray, bias: float) -> Any:
        constant = self._tf.keras.initializers.Constant
        return self._tf.keras.layers.Dense(
            1,
            trainable=False,
            kernel_initializer=constant(kernel.astype(np.float32)),
            bias_initializer=constant(np.array([bias], np.float32)),
        )
