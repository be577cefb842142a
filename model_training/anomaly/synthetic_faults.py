"""Synthetic faults over normal rows. The network learns to distinguish them from normal running and its slow drift.

All arrays (n, c) hold deviations in standard deviations of the baseline, with the channels in this order: vibrations, current,
pressure, motor temperature, fluid temperature, voltage, flow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Drift amplitude of each channel in normal running, and number of rows between the turning points. Temperatures follow the room and
# the water over hours. A flow that drifts slowly by this much is normal; the same change within a minute is a fault.
DRIFT = np.array([0.7, 0.7, 0.15, 0.15, 4.5, 5.0, 0.15, 0.35])
TURNS = 300, 600
# Probability that a channel shows a fault, and that its value falls. Sampling noise dominates current, pressure and voltage;
# temperatures follow a fault late and rarely. Most faults of a pump increase the vibrations and reduce the flow.
SHOWS = np.array([0.35, 0.35, 0.1, 0.1, 0.08, 0.05, 0.1, 0.9])
FALLS = np.array([0.2, 0.2, 0.5, 0.5, 0.5, 0.5, 0.5, 0.75])
# Smallest fault height of each channel, and largest fault height of all.
LOWEST = np.array([2.4, 2.4, 2.0, 2.0, 5.4, 8.0, 2.0, 0.9])
HIGHEST = 14.0

# Number of rows of a ramp, a plateau and a release. They follow the rig's valves, which turn within seconds to half a minute.
RAMP, PLATEAU, RELEASE = (2, 36), (60, 700), (3, 45)
SETTLING_ROWS, UNLABELLED_ROWS = 25, 20
"""Number of rows after a release that still count as faulty, and of rows after those that are not used for training."""

RESIDUAL, RESIDUAL_SHARE, RESIDUAL_DRIFT = 0.6, 0.45, 0.4
"""Residual after a release: maximum share of a channel's fault height, share of affected channels, and additional drift of all
channels as a multiple of `DRIFT`."""

FAULTY, SINGLE, RESTARTED = 0.7, 0.75, 0.2
"""Probabilities: that an episode has a fault, that a fault affects a single channel, that the window begins within the episode."""


class Episode(NamedTuple):
    """Synthetic rows with labels.

    Attributes:
        deviations: (n, c) float64.
        label: (n,) float32: 1 during a fault, 0 in normal running, NaN for rows not used for training.
        weight: (n,) float64, relative probability that a row is sampled.
        begin: first row of the window.
    """

    deviations: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    begin: int


def episode(rng: np.random.Generator, background: np.ndarray, baseline: int, longest: int) -> Episode:
    """Generate an episode: normal rows, with or without a fault.

    Args:
        background: (m, c); its first `baseline` rows gave mean and spread. A background of at least `longest` rows is mostly used
            unchanged. Otherwise the baseline is extended with drift.
    """
    if len(background) >= longest and rng.random() < 0.7:
        z = background.astype(np.float64)
    else:
        rows = int(rng.integers(min(700, longest), longest + 1))
        z = np.concatenate([background[:baseline], extend(rng, background[:baseline], rows - baseline)])
        # The rows that gave mean and spread do not drift.
        z += drift(rng, rows, DRIFT[: z.shape[1]]) * np.clip((np.arange(rows) - 100) / 300, 0, 1)[:, None]
    label, weight, onset = np.zeros(len(z), np.float32), np.ones(len(z)), len(z)
    if rng.random() < FAULTY:
        onset, over = lay_fault(rng, z, label, baseline + 30)
        # Rows shortly after a change determine how fast and how reliably an alarm is raised and cleared.
        for change, more in ((onset, 4.0), (over, 2.0)):
            weight[change : change + 90] = more
    begin = int(rng.integers(0, min(onset, len(z) - 200))) if rng.random() < RESTARTED else 0
    return Episode(z, label, weight, begin)


def extend(rng: np.random.Generator, background: np.ndarray, rows: int) -> np.ndarray:
    """Repeat a part of the background forwards and backwards to `rows` rows without a jump."""
    m = len(background)
    length = min(m, int(rng.integers(max(2, m // 2), m + 1)))
    start = int(rng.integers(0, m - length + 1))
    piece = background[start : start + length]
    if rng.random() < 0.5:
        piece = piece[::-1]
    there_and_back = np.concatenate([piece, piece[::-1]])
    return np.tile(there_and_back, (rows // len(there_and_back) + 1, 1))[:rows].astype(np.float64)


def drift(rng: np.random.Generator, rows: int, amplitude: np.ndarray) -> np.ndarray:
    """Slow drift (rows, c) that begins at 0: a smoothed random walk with knots `TURNS` rows apart."""
    knots = rows // int(rng.integers(TURNS[0], TURNS[1])) + 2
    size = amplitude * np.exp(rng.normal(0.0, 0.5, len(amplitude)))
    steps = rng.normal(0.0, 1.0, (knots, len(amplitude))) * size * 0.7
    steps[0] = 0.0
    heights = np.cumsum(steps, axis=0)
    at = np.linspace(0, knots - 1, rows)
    residual = np.minimum(at.astype(int), knots - 2)
    part = (at - residual)[:, None]
    smooth = part * part * (3 - 2 * part)
    return heights[residual] + (heights[residual + 1] - heights[residual]) * smooth


def lay_fault(rng: np.random.Generator, z: np.ndarray, label: np.ndarray, earliest: int) -> tuple[int, int]:
    """Add one fault to the rows in place: a ramp, a plateau, and an often incomplete recovery.

    Returns:
        The first row of the fault, and the first row from which the machine counts as healthy.
    """
    n, c = z.shape
    rows = np.arange(n)
    onset = int(rng.integers(min(earliest, n - 61), n - 60))
    ramp, release, plateau = _log_uniform(rng, *RAMP), _log_uniform(rng, *RELEASE), int(rng.integers(*PLATEAU))
    over = onset + ramp + plateau
    course = np.interp(rows, [onset, onset + ramp, over, over + release], [0, 1, 1, 0])
    height, gain = _size(rng, c)
    sag = np.interp(rows, [onset + ramp, over], [1, rng.uniform(0.7, 1.3)])
    z += (z - _smooth(z)) * (gain - 1.0) * course[:, None] + height * (course * sag)[:, None]
    residual = np.where(rng.random(c) < RESIDUAL_SHARE, rng.uniform(-RESIDUAL, RESIDUAL, c), 0.0) * np.clip(height, -8.0, 8.0)
    residual += rng.normal(0.0, 1.0, c) * RESIDUAL_DRIFT * DRIFT[:c]
    z += residual * np.interp(rows, [over, over + release], [0, 1])[:, None]
    healthy = over + release + SETTLING_ROWS
    label[onset:healthy] = 1.0
    label[healthy : healthy + UNLABELLED_ROWS] = np.nan
    # A fault hidden in the noise cannot be learned: a ramp is labelled once it exceeds the smallest fault height.
    strength = (np.abs(height) / LOWEST[:c]).max() + 2.0 * np.abs(np.log(gain)).max()
    label[onset : onset + int(ramp / max(1.0, strength)) + 1] = np.nan
    return onset, healthy


def _size(rng: np.random.Generator, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Fault height and noise gain of each of c channels."""
    one = rng.choice(c, p=SHOWS[:c] / SHOWS[:c].sum())
    shows = np.zeros(c, bool) if rng.random() < SINGLE else rng.random(c) < SHOWS[:c]
    shows[one] = True
    sign = np.where(rng.random(c) < FALLS[:c], -1.0, 1.0)
    height = np.exp(rng.uniform(np.log(LOWEST[:c]), np.log(HIGHEST), c)) * sign * shows
    gain = np.where(shows & (rng.random(c) < 0.2), np.exp(rng.uniform(np.log(0.4), np.log(4.0), c)), 1.0)
    return height, gain


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> int:
    return int(np.exp(rng.uniform(np.log(low), np.log(high))))


def _smooth(z: np.ndarray, over: int = 15) -> np.ndarray:
    kernel = np.ones(over) / over
    return np.stack([np.convolve(column, kernel, "same") for column in z.T], axis=1)
