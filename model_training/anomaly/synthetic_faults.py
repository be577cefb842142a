"""Synthetic faults over normal rows: what the network learns to tell from normal running and its slow drift.

All in deviations: (n, c) arrays in standard deviations of the baseline. For channels in this order: vibrations, current,
pressure, motor temperature, fluid temperature, voltage, flow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# How far each channel drifts in normal running, and how many rows lie between the turns of it. Temperatures follow the room and the
# water, which take hours. A flow that wanders so far but so slowly is normal; the same change within a minute is a fault.
DRIFT = np.array([0.7, 0.7, 0.15, 0.15, 4.5, 5.0, 0.15, 0.35])
TURNS = 300, 600
# How often each channel shows a fault. Current, pressure and voltage are dominated by the sampling's own noise; temperatures
# follow what is wrong late and seldom. And how often it falls then: what is wrong with a pump mostly shakes it, and costs flow.
SHOWS = np.array([0.35, 0.35, 0.1, 0.1, 0.08, 0.05, 0.1, 0.9])
FALLS = np.array([0.2, 0.2, 0.5, 0.5, 0.5, 0.5, 0.5, 0.75])
# The smallest fault of each channel, and the largest of all.
LOWEST = np.array([2.4, 2.4, 2.0, 2.0, 5.4, 8.0, 2.0, 0.9])
HIGHEST = 14.0

# Rows: of a ramp, a plateau, a release. They follow the rig's valves, which turn within seconds or over half a minute.
RAMP, PLATEAU, RELEASE = (2, 36), (60, 700), (3, 45)
SETTLING_ROWS, UNLABELLED_ROWS = 25, 20
"""A machine counts as faulty for so many rows after its release; then for so many, neither answer is learned."""

RESIDUAL, RESIDUAL_SHARE, RESIDUAL_DRIFT = 0.6, 0.45, 0.4
"""What stays after a release: at most this share of what a channel had, in this share of the channels; and, in all, what is normal
drift times this."""

FAULTY, SINGLE, RESTARTED = 0.7, 0.75, 0.2
"""Shares: of episodes with a fault, of faults in one channel alone, of windows that begin somewhere in the episode."""


class Episode(NamedTuple):
    """A stretch of rows.

    Attributes:
        deviations: (n, c) float64.
        label: (n,) float32: 1 during a fault, 0 in normal running, NaN where neither should be learned.
        weight: (n,) float64, how likely a row is to be picked, beside the others.
        begin: the row at which the window begins.
    """

    deviations: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    begin: int


def episode(rng: np.random.Generator, background: np.ndarray, baseline: int, longest: int) -> Episode:
    """Normal rows, with a fault laid over them or not.

    Args:
        background: (m, c), of which the first `baseline` rows gave mean and spread. When they are as long as `longest` they are
            mostly taken as they are, else the baseline is extended, and drifts.
    """
    if len(background) >= longest and rng.random() < 0.7:
        z = background.astype(np.float64)
    else:
        rows = int(rng.integers(min(700, longest), longest + 1))
        z = np.concatenate([background[:baseline], extend(rng, background[:baseline], rows - baseline)])
        # The rows that gave mean and spread do not drift away from them.
        z += drift(rng, rows, DRIFT[: z.shape[1]]) * np.clip((np.arange(rows) - 100) / 300, 0, 1)[:, None]
    label, weight, onset = np.zeros(len(z), np.float32), np.ones(len(z)), len(z)
    if rng.random() < FAULTY:
        onset, over = lay_fault(rng, z, label, baseline + 30)
        # Rows soon after a change decide how fast and how surely an alarm comes, and goes.
        for change, more in ((onset, 4.0), (over, 2.0)):
            weight[change : change + 90] = more
    begin = int(rng.integers(0, min(onset, len(z) - 200))) if rng.random() < RESTARTED else 0
    return Episode(z, label, weight, begin)


def extend(rng: np.random.Generator, background: np.ndarray, rows: int) -> np.ndarray:
    """`rows` rows made of a stretch of the background, forwards and backwards in turn, so that there is no jump."""
    m = len(background)
    length = min(m, int(rng.integers(max(2, m // 2), m + 1)))
    start = int(rng.integers(0, m - length + 1))
    piece = background[start : start + length]
    if rng.random() < 0.5:
        piece = piece[::-1]
    there_and_back = np.concatenate([piece, piece[::-1]])
    return np.tile(there_and_back, (rows // len(there_and_back) + 1, 1))[:rows].astype(np.float64)


def drift(rng: np.random.Generator, rows: int, amplitude: np.ndarray) -> np.ndarray:
    """Slow curves (rows, c) that begin at 0: a random walk through knots, `TURNS` rows apart."""
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
    """Lay one fault over the rows, in place: a ramp, a plateau, and often a recovery that is not complete; gives its first row and
    the first from which on the machine counts as well again."""
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
    # What is still hidden in the noise cannot be learned: a ramp counts from its first smallest fault on.
    strength = (np.abs(height) / LOWEST[:c]).max() + 2.0 * np.abs(np.log(gain)).max()
    label[onset : onset + int(ramp / max(1.0, strength)) + 1] = np.nan
    return onset, healthy


def _size(rng: np.random.Generator, c: int) -> tuple[np.ndarray, np.ndarray]:
    """How far each of c channels goes, and by what its noise is multiplied."""
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
