"""Further engines for training, made of real ones: they wear as these did, but faster or slower, and read with other noise.

A hundred engines are few: a network learns how long each of them lasted. Stretched ones keep what wear looks like, and
take away what the time since the first cycle tells.
"""

from __future__ import annotations

import numpy as np

from model_training.datasets import Engines
from model_training.regression.manifest_template import VIEWS

COPIES = 6
STRETCH = 0.4
"""Lives change by a factor of up to exp(0.4), 1.5, either way."""
SMOOTH = 12.0
"""Cycles: the width of the bell by which wear is told from noise."""


def stretched(engines: Engines, copies: int, seed: int) -> Engines:
    """`copies` of every engine, under its own number; settings are left out as zeros."""
    rng, copies_made = np.random.default_rng(seed), []
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
            copies_made.append((np.full(cycles, number), cycle, np.zeros((cycles, engines.settings.shape[1])), rows, cycles - cycle))
    kinds = [column.dtype for column in engines]
    return Engines(*(np.concatenate(columns).astype(kind) for columns, kind in zip(zip(*copies_made, strict=True), kinds, strict=True)))


def smooth(rows: np.ndarray) -> np.ndarray:
    """rows (n, c) without their noise: at each row, a straight line fitted to those around it."""
    distance = np.arange(len(rows))[:, None] - np.arange(len(rows))[None, :]
    weight = np.exp(-0.5 * (distance / SMOOTH) ** 2)
    zeroth, first, second = weight.sum(1), (weight * distance).sum(1), (weight * distance**2).sum(1)
    line = weight * (second[:, None] - first[:, None] * distance) / (zeroth * second - first**2)[:, None]
    return line @ rows
