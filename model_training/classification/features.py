"""Physical features of scaled channels: temperature difference, power, strain, and strain minus its limit.

Each is a sum or a product of two sums. The same numbers are fixed weights in the network's graph and inputs of the baseline.
"""

from __future__ import annotations

import numpy as np

from model_training.classification.manifest_template import CHANNELS

_AT = {channel.name: i for i, channel in enumerate(CHANNELS)}
_MIDDLE = np.array([(channel.low + channel.high) / 2 for channel in CHANNELS])
_HALF = np.array([(channel.high - channel.low) / 2 for channel in CHANNELS])


def _sum(offset: float, by: float, **factors: float) -> tuple[np.ndarray, float]:
    """Weights (6,) and bias of (offset + sum of factor x channel) / by, for scaled channels."""
    weights = np.zeros(len(CHANNELS))
    for name, factor in factors.items():
        weights[_AT[name]] = factor / by
    return weights * _HALF, float(offset / by + weights @ _MIDDLE)


DIFFERENCE = _sum(-9.85, 2.25, process_temperature=1.0, air_temperature=-1.0)
"""Process minus air temperature, 7.6 to 12.1 K, scaled to -1 to 1. Below 8.6 K and at low speed, heat is not dissipated."""
POWER = _sum(0.0, 80.0, torque=1.0), _sum(0.0, 2900.0, speed=1.0)
"""Torque times speed, a product; its physical limits are 3,500 and 9,000 W."""
STRAIN = _sum(0.0, 260.0, tool_wear=1.0), _sum(0.0, 80.0, torque=1.0)
"""Tool wear times torque, a product."""
LIMIT = _sum(11_000.0, 260.0 * 80.0, quality=1000.0)
"""Limit of the strain, min Nm; strain minus limit is a further feature."""


def features(scaled: np.ndarray) -> np.ndarray:
    """Features (n, 10) of scaled channels (n, 6) in -1 to 1: the channels, difference, power, strain, and strain minus its limit."""

    def total(weights: tuple[np.ndarray, float]) -> np.ndarray:
        return scaled @ weights[0] + weights[1]

    strain = total(STRAIN[0]) * total(STRAIN[1])
    return np.column_stack([scaled, total(DIFFERENCE), total(POWER[0]) * total(POWER[1]), strain, strain - total(LIMIT)])
