"""Augmentation: copies of training engines that wear faster or slower, with resampled noise.

With only a hundred engines, a network memorises their lives. Stretched copies keep the pattern of wear, but remove the information
in the time since the first cycle.
"""

from __future__ import annotations

import numpy as np

from model_training.datasets import Engines
from model_training.regression.manifest_template import VIEWS

COPIES = 6
STRETCH = 0.4
"""Logarithm of the largest factor by which a life is stretched or shortened: exp(0.4), about 1.5."""
SMOOTH = 12.0
"""Width in cycles of the Gaussian kernel that separates wear from noise."""


def stretched(engines: Engines, copies: int, seed: int) -> Engines:
    """Return `copies` stretched copies of every engine under the same number. Their settings are zeros."""
    rng, stretched_engines = np.random.default_rng(seed), []
    for number in np.unique(engines.engine):
        sensors = engines.sensors[engines.engine == number].astype(np.float64)
        wear = smooth(sensors)
        noise = sensors - wear
        for _ in range(copies):
            cycles = max(VIEWS[0].rows, round(len(sensors) * np.exp(rng.uniform(-STRETCH, STRETCH))))
            at = np.linspace(0, len(sensors) - 1, cycles)
            before = np.floor(at).astype(int)
            after, part = np.minimum(before + 1, len(sensors) - 1), (at - before)[:, None]
            rows = wear[before] * (1 - part) + wear[after] * part + noise[rng.integers(0, len(sensors), cycles)]
            cycle = np.arange(1, cycles + 1)
            stretched_engines.append((np.full(cycles, number), cycle, np.zeros((cycles, engines.settings.shape[1])), rows, cycles - cycle))
    kinds = [column.dtype for column in engines]
    return Engines(
        *(np.concatenate(columns).astype(kind) for columns, kind in zip(zip(*stretched_engines, strict=True), kinds, strict=True))
    )


def smooth(rows: np.ndarray) -> np.ndarray:
    """Smooth rows (n, c) by local linear regression."""
    distance = np.arange(len(rows))[:, None] - np.arange(len(rows))[None, :]
    weight = np.exp(-0.5 * (distance / SMOOTH) ** 2)
    zeroth, first, second = weight.sum(1), (weight * distance).sum(1), (weight * distance**2).sum(1)
    line = weight * (second[:, None] - first[:, None] * distance) / (zeroth * second - first**2)[:, None]
    return line @ rows
