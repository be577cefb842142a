"""The graph of a machine's model in numpy: the same arithmetic in float32, without an export.

It scores held-out rows during training, and tests without TensorFlow; a test compares it with the exported graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model_training.machine.fitting import MAX_VALUE, POWER, Fit

UNUSED = 1e9
"""Offset of a score that is not used: far below every other."""


@dataclass(frozen=True)
class Constants:
    """The constants of the graph, float32, for k contrasts, `kinds` kinds of scores and c channels.

    Attributes:
        matrix: (f, kinds x c).
        to_value: (k, kinds, c): from a product to a value in its size.
        to_share: (k, kinds, 1): from a value to a share of the alarm level.
        to_score, offset: (k, kinds): from a value to a scaled score.
    """

    matrix: np.ndarray
    to_value: np.ndarray
    to_share: np.ndarray
    to_score: np.ndarray
    offset: np.ndarray


def constants(fit: Fit, level: float, channels: int) -> Constants:
    """The constants of a fitted model.

    Args:
        level: scaled score at which levels and relations are 1.
    """
    count, kinds = fit.used.shape
    location, scale = np.full(fit.used.shape, np.nan), np.full(fit.used.shape, np.nan)
    location[fit.used], scale[fit.used] = fit.tail.location, fit.tail.scale
    numbers = (
        fit.matrix[:, : kinds * channels],
        1 / fit.size[:, : kinds * channels].reshape(count, kinds, channels),
        np.where(fit.used, 1 / (location + scale * level), 0)[:, :, None],
        np.where(fit.used, 1 / scale, 0),
        np.where(fit.used, location / scale, UNUSED),
    )
    return Constants(*(each.astype(np.float32) for each in numbers))


class NumpyEngine:
    """Scores inputs as the exported graph does.

    Args:
        level: scaled score at which levels and relations are 1.
        channels: number c of channels.
    """

    def __init__(self, fit: Fit, level: float, channels: int) -> None:
        self._constants = constants(fit, level, channels)
        self._scales, self._width, self._channels = len(fit.layout.scales), fit.matrix.shape[0], channels

    def run(self, features: np.ndarray) -> float:
        """The score of one input, (1, (scales + 1) f) float32."""
        return float(self.explain(features)[0])

    def explain(self, features: np.ndarray) -> np.ndarray:
        """The score, levels and relations, (1 + 2c,) float32."""
        known = self._constants
        means = features.reshape(self._scales + 1, self._width)
        shorter, longer = means[: self._scales - 1], means[1 : self._scales]
        both = (shorter != means[-1]) & (longer != means[-1])
        contrasts = np.concatenate([means[:-1] - means[-1], np.where(both, shorter - longer, np.float32(0))])
        products = (contrasts @ known.matrix).reshape(known.to_value.shape)
        values = np.clip(products * known.to_value, -MAX_VALUE, MAX_VALUE)
        total = (np.abs(values) ** POWER).sum(2) ** np.float32(1 / POWER)
        shares = values * known.to_share
        up, down = shares.max(0), shares.min(0)
        strongest = np.where(up >= -down, up, down).reshape(-1)
        missing = np.zeros(2 * self._channels - len(strongest), np.float32)
        return np.concatenate([[np.max(total * known.to_score - known.offset)], strongest, missing]).astype(np.float32)
