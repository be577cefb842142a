"""Training examples: the model's input at every cycle, and folds of whole engines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeml.model.manifest import Manifest
from edgeml.model.window import Window
from model_training.datasets import Engines
from model_training.regression.manifest_template import SENSORS


class Examples(NamedTuple):
    """Inputs whose windows hold at least `min_rows` rows.

    Attributes:
        x: (n, steps, features) float32.
        life: (n,) float32, remaining cycles, not capped.
        engine: (n,) int32.
    """

    x: np.ndarray
    life: np.ndarray
    engine: np.ndarray

    def of(self, engines: np.ndarray) -> Examples:
        """Select the examples of some engines."""
        chosen = np.isin(self.engine, engines)
        return Examples(*(column[chosen] for column in self))


def channels(engines: Engines) -> np.ndarray:
    """Channels of the model, (n, 14) float32."""
    return engines.sensors[:, [sensor.number - 1 for sensor in SENSORS]]


def build(manifest: Manifest, engines: Engines) -> Examples:
    """Build the model's input at every cycle, with the window code that runs on a device."""
    rows, scaling = channels(engines), manifest.scaling
    mean, std = np.array(scaling.mean), np.array(scaling.std)
    x, at = [], []
    for engine in np.unique(engines.engine):
        window = Window(manifest, np.array(scaling.spread) / std)
        for i in np.flatnonzero(engines.engine == engine):
            window.push(int(engines.cycle[i]), ((rows[i] - mean) / std).astype(np.float32))
            if window.rows >= manifest.min_rows:
                x.append(window.features())
                at.append(i)
    steps, features = manifest.input_shape
    return Examples(np.array(x, np.float32).reshape(-1, steps, features), engines.life[at], engines.engine[at])


def folds(engines: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """Split the engine numbers into `count` random folds."""
    shuffled = np.random.default_rng(seed).permutation(np.unique(engines))
    return [np.sort(shuffled[i::count]) for i in range(count)]
