"""Building blocks of simulations: slow random courses, first-order lags, and the imperfections of sensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from model_training.simulation.records import Sensor, generator

MISSING_SHARE = 0.0005
"""Share of single readings that are missing."""
OUTAGES_PER_DAY = 0.1
OUTAGE_ROWS = (5, 40)
"""Rows of an outage of one sensor, from and to."""


def wander(random: np.random.Generator, rows: int, step_h: float, hours: float) -> np.ndarray:
    """A stationary random course of mean 0 and standard deviation 1 with this correlation time, (rows,)."""
    keep = math.exp(-step_h / hours)
    value = float(random.standard_normal())
    shocks = random.standard_normal(rows) * math.sqrt(1 - keep * keep)
    out = np.empty(rows)
    for row, shock in enumerate(shocks.tolist()):
        value = keep * value + shock
        out[row] = value
    return out


def lagged(values: np.ndarray, step_h: float, hours: float) -> np.ndarray:
    """A first-order lag with this time constant, (n,); begins at the first value."""
    share = 1 - math.exp(-step_h / hours)
    state = float(values[0])
    out = np.empty(len(values))
    for row, value in enumerate(values.tolist()):
        state += share * (value - state)
        out[row] = state
    return out


def measured(sensors: Sequence[Sensor], values: np.ndarray, step_s: float, seed: int) -> np.ndarray:
    """The readings of the true values, (n, c) with NaN for missing ones: noise, resolution, lost readings and outages of one sensor."""
    n, c = values.shape
    noise = np.array([sensor.noise for sensor in sensors])
    resolution = np.array([sensor.resolution for sensor in sensors])
    readings = np.round((values + noise * generator(seed, "noise").standard_normal((n, c))) / resolution) * resolution
    readings[generator(seed, "lost readings").random((n, c)) < MISSING_SHARE] = np.nan
    random, rows_per_day = generator(seed, "outages"), round(86_400 / step_s)
    for first in range(0, n, rows_per_day):
        begins, at, rows, sensor = random.random(), random.integers(rows_per_day), random.integers(*OUTAGE_ROWS), random.integers(c)
        if begins < OUTAGES_PER_DAY:
            readings[first + at : first + at + rows, sensor] = np.nan
    return np.asarray(readings)
