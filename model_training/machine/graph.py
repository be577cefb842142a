"""The fitted model as a TFLite graph: a matrix product for each scale, powers and maxima."""

from __future__ import annotations

import math

from model_training import tflite_export
from model_training.machine.fitting import MAX_VALUE, POWER, Fit


def export(fit: Fit, level: float, channels: int, seed: int) -> bytes:
    """Export in float32: contrasts are differences of nearly equal means, which int8 does not resolve.

    Input (1, 1, (scales + 1) f): the means of each scale, and the reference. Output (1, 1 + 2c): the score, levels and relations.

    Args:
        level: scaled score at which levels and relations are 1.
        channels: number c of channels.
    """
    tf = tflite_export.begin(seed)
    scales, width = len(fit.layout.scales), fit.matrix.shape[0]
    kinds, doublings = len(fit.tail.location) // scales, round(math.log2(POWER))
    matrix = tf.constant(fit.matrix[:, : kinds * channels], tf.float32)
    size = fit.size[:, : kinds * channels].reshape(scales, kinds, channels)
    location, scale = (part.reshape(scales, kinds) for part in (fit.tail.location, fit.tail.scale))
    to_value, to_score, offset = (tf.constant(part, tf.float32) for part in (1 / size, 1 / scale, location / scale))
    # A value divided by its threshold has the magnitude 1 at the level.
    to_share = tf.constant(1 / (location + scale * level)[:, :, None], tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 1, (scales + 1) * width], tf.float32)])
    def score(features):  # type: ignore[no-untyped-def]
        means = tf.reshape(features, [scales + 1, width])
        products = tf.reshape(tf.matmul(means[:scales] - means[scales:], matrix), [scales, kinds, channels])
        values = tf.clip_by_value(products * to_value, -MAX_VALUE, MAX_VALUE)
        total = values
        for _ in range(doublings):
            total = tf.square(total)
        total = tf.reduce_sum(total, axis=2)
        for _ in range(doublings):
            total = tf.sqrt(total)
        highest = tf.reduce_max(total * to_score - offset)
        shares = values * to_share
        up, down = tf.reduce_max(shares, axis=0), tf.reduce_min(shares, axis=0)
        strongest = tf.reshape(tf.where(up >= -down, up, down), [kinds * channels])
        parts = [tf.reshape(highest, [1]), strongest, *([tf.zeros([channels])] if kinds == 1 else [])]
        return tf.reshape(tf.concat(parts, 0), [1, 1 + 2 * channels])

    return tflite_export.from_function(score)
