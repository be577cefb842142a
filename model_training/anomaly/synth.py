"""Synthetic faults over normal rows: what the network learns to tell from normal running and its slow drift.

All in deviations: (n, c) arrays in standard deviations of the baseline.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# How far each channel drifts in normal running, in its standard deviations: vibrations, current, pressure, temperatures,
# voltage, flow. Temperatures follow the room and the water, which take hours.
DRIFT = np.array([1.6, 1.5, 0.15, 0.15, 2.8, 3.5, 0.15, 0.5])
# How often each channel takes part in a fault. Current, pressure and voltage are dominated by the sampling's own noise.
# Temperatures follow what is wrong late and seldom.
TAKES_PART = np.array([0.45, 0.45, 0.15, 0.15, 0.15, 0.1, 0.15, 0.5])
# The smallest fault of each channel, in its standard deviations; the largest is `HIGHEST`.
LOWEST = np.array([2.0, 2.0, 2.0, 2.0, 4.0, 5.0, 2.0, 1.3])
HIGHEST = 25.0


class Episode(NamedTuple):
    """A stretch of rows.

    Attributes:
        deviations: (n, c) float32.
        label: (n,) float32: 1 during a fault, 0 in normal running, NaN where neither should be learned.
    """

    deviations: np.ndarray
    label: np.ndarray


def episode(rng: np.random.Generator, background: np.ndarray, rows: int, fault: bool) -> Episode:
    """Normal rows made of `background` (m, c), with drift, and with a fault if asked for."""
    c = background.shape[1]
    z = extend(rng, background, rows) + drift(rng, rows, DRIFT[:c])
    label = np.zeros(rows, np.float32)
    if fault:
        lay_fault(rng, z, label)
    return Episode(z.astype(np.float32), label)


def extend(rng: np.random.Generator, background: np.ndarray, rows: int) -> np.ndarray:
    """`rows` rows made of a stretch of the background, forwards and backwards in turn, so that there is no jump."""
    m = len(background)
    length = min(m, int(rng.integers(max(2, m // 2), m + 1)))
    start = int(rng.integers(0, m - length + 1))
    piece = background[start:start + length]
    if rng.random() < 0.5:
        piece = piece[::-1]
    there_and_back = np.concatenate([piece, piece[::-1]])
    return np.tile(there_and_back, (rows // len(there_and_back) + 1, 1))[:rows].astype(np.float64)


def drift(rng: np.random.Generator, rows: int, amplitude: np.ndarray) -> np.ndarray:
    """Slow curves (rows, c) that begin at 0: a random walk through knots, 200 to 500 rows apart."""
    knots = rows // int(rng.integers(200, 501)) + 2
    size = amplitude * np.exp(rng.normal(0.0, 0.5, len(amplitude)))
    steps = rng.normal(0.0, 1.0, (knots, len(amplitude))) * size * 0.7
    steps[0] = 0.0
    heights = np.cumsum(steps, axis=0)
    at = np.linspace(0, knots - 1, rows)
    left = np.minimum(at.astype(int), knots - 2)
    part = (at - left)[:, None]
    smooth = part * part * (3 - 2 * part)
    return heights[left] + (heights[left + 1] - heights[left]) * smooth


def lay_fault(rng: np.random.Generator, z: np.ndarray, label: np.ndarray) -> None:
    """Lay one fault over the rows, in place: a ramp, a plateau, and often a recovery that is not complete."""
    rows, c = z.shape
    onset = int(rng.integers(min(60, rows // 4), rows - rows // 4))
    ramp = int(np.exp(rng.uniform(np.log(3), np.log(90))))
    plateau = int(rng.integers(60, 600))
    release = int(np.exp(rng.uniform(np.log(3), np.log(60))))
    course = np.interp(np.arange(rows), [onset, onset + ramp, onset + ramp + plateau, onset + ramp + plateau + release], [0, 1, 1, 0])
    takes_part = rng.random(c) < TAKES_PART[:c]
    if not takes_part.any():
        takes_part[rng.choice(c, p=TAKES_PART[:c] / TAKES_PART[:c].sum())] = True
    height = np.exp(rng.uniform(np.log(LOWEST[:c]), np.log(HIGHEST), c)) * rng.choice([-1.0, 1.0], c) * takes_part
    noisy = takes_part & (rng.random(c) < 0.3)
    gain = np.where(noisy, np.exp(rng.uniform(np.log(0.3), np.log(4.0), c)), 1.0)
    quiet = z - _smooth(z)
    z += quiet * (gain - 1.0) * course[:, None] + height * course[:, None]
    left_over = rng.uniform(-0.3, 0.3, c) * height
    over = onset + ramp + plateau
    z += left_over * np.interp(np.arange(rows), [over, over + release], [0, 1])[:, None]
    label[onset:] = 1.0
    label[min(rows, over + release):] = 0.0
    # What is still hidden in the noise cannot be learned, and neither can the moment of release.
    strength = np.abs(height).max() + 2.0 * np.abs(np.log(gain)).max()
    hidden = onset + int(ramp * min(1.0, 2.0 / strength))
    label[onset:hidden + 1] = np.nan
    label[over:min(rows, over + release + 20)] = np.nan


def _smooth(z: np.ndarray, over: int = 15) -> np.ndarray:
    kernel = np.ones(over) / over
    return np.stack([np.convolve(column, kernel, "same") for column in z.T], axis=1)
