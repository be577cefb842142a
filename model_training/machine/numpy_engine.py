"""The graph of a machine's model in numpy: the same arithmetic in float32, without an export.

It scores held-out rows during training, and tests without TensorFlow; a test compares it with the exported graph.
"""

from __future__ import annotations

import numpy as np

from model_training.machine.fitting import MAX_VALUE, POWER, Fit


class NumpyEngine:
    """Scores inputs as the exported graph does.

    Args:
        level: scaled score at which levels and relations are 1.
        channels: number c of channels.
    """

    def __init__(self, fit: Fit, level: float, channels: int) -> None:
        self._scales, self._width = len(fit.layout.scales), fit.matrix.shape[0]
        self._kinds = len(fit.tail.location) // self._scales
        shape = (self._scales, self._kinds)
        used = self._kinds * channels
        self._matrix = fit.matrix[:, :used].astype(np.float32)
        self._to_value = (1 / fit.size[:, :used]).astype(np.float32).reshape(*shape, channels)
        location, scale = fit.tail.location.reshape(shape), fit.tail.scale.reshape(shape)
        self._to_score, self._offset = (1 / scale).astype(np.float32), (location / scale).astype(np.float32)
        self._to_share = (1 / (location + scale * level)).astype(np.float32)[:, :, None]
        self._channels = channels

    def run(self, features: np.ndarray) -> float:
        """The score of one input, (1, (scales + 1) f) float32."""
        return float(self.explain(features)[0])

    def explain(self, features: np.ndarray) -> np.ndarray:
        """The score, levels and relations, (1 + 2c,) float32."""
        means = features.reshape(self._scales + 1, self._width)
        products = ((means[:-1] - means[-1]) @ self._matrix).reshape(self._scales, self._kinds, self._channels)
        values = np.clip(products * self._to_value, -MAX_VALUE, MAX_VALUE)
        total = (np.abs(values) ** POWER).sum(2) ** np.float32(1 / POWER)
        shares = values * self._to_share
        up, down = shares.max(0), shares.min(0)
        strongest = np.where(up >= -down, up, down).reshape(-1)
        missing = np.zeros(2 * self._channels - len(strongest), np.float32)
        return np.concatenate([[np.max(total * self._to_score - self._offset)], strongest, missing]).astype(np.float32)
