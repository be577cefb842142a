"""Augmentation for units that run to their failure: copies that wear faster or slower, with resampled noise.

With only a hundred engines, a network memorizes their lives. Stretched copies keep the pattern of wear, but remove the information in
the time since the first row.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model_training.tables.table import Table

COPIES = 6
STRETCH = 0.4
"""Logarithm of the largest factor by which a life is stretched or shortened: exp(0.4), about 1.5."""
SMOOTH = 12.0
"""Width in rows of the Gaussian kernel that separates wear from noise."""
MAX_ROWS = 2000
"""A longer unit is not stretched: smoothing takes memory by the square of its rows."""


def stretched(table: Table, min_rows: int, copies: int, seed: int) -> list[Table]:
    """Tables of stretched units: each table has one copy of every unit, under its index."""
    rng = np.random.default_rng(seed)
    return [_copy(table, min_rows, rng) for _ in range(copies)]


def _copy(table: Table, min_rows: int, rng: np.random.Generator) -> Table:
    values, targets, units = [], [], []
    for each in range(table.units):
        rows = np.flatnonzero(table.unit == each)
        sensors = table.values[rows].astype(np.float64)
        if not 2 * SMOOTH < len(rows) <= MAX_ROWS or not np.isfinite(sensors).all():
            continue
        wear = smooth(sensors)
        noise = sensors - wear
        count = max(min_rows, round(len(rows) * np.exp(rng.uniform(-STRETCH, STRETCH))))
        at = np.linspace(0, len(rows) - 1, count)
        before = np.floor(at).astype(int)
        after, part = np.minimum(before + 1, len(rows) - 1), (at - before)[:, None]
        values.append(wear[before] * (1 - part) + wear[after] * part + noise[rng.integers(0, len(rows), count)])
        targets.append(table.target[rows[-1]] + np.arange(count)[::-1])
        units.append(np.full(count, each))
    if not values:
        return table.rows(np.zeros(len(table), bool))
    unit = np.concatenate(units).astype(np.int32)
    return replace(
        table,
        values=np.concatenate(values).astype(np.float32),
        target=np.concatenate(targets),
        unit=unit,
        order=np.arange(len(unit), dtype=np.float64),
    )


def smooth(rows: np.ndarray) -> np.ndarray:
    """Smooth rows (n, c) by local linear regression."""
    distance = np.arange(len(rows))[:, None] - np.arange(len(rows))[None, :]
    weight = np.exp(-0.5 * (distance / SMOOTH) ** 2)
    zeroth, first, second = weight.sum(1), (weight * distance).sum(1), (weight * distance**2).sum(1)
    line = weight * (second[:, None] - first[:, None] * distance) / (zeroth * second - first**2)[:, None]
    return line @ rows
