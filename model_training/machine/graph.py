"""The fitted model as a TFLite graph: matrix products, maxima and a scaling."""

from __future__ import annotations

import numpy as np

from model_training import tflite_export
from model_training.machine.fitting import Fit


def export(fit: Fit, level: float, channels: int, seed: int) -> bytes:
    """Export in float32: contrasts are differences of nearly equal means, which int8 does not resolve.

    Input (1, 1, (scales + 1) f): the means of each scale, and the reference. Output (1, 1 + 2c): the score, levels and relations.

    Args:
        level: scaled score at which levels and relations are 1.
        channels: number c of channels.
    """
    tf = tflite_export.begin(seed)
    scales, width = len(fit.layout.scales), fit.matrix.shape[0]
    kinds = len(fit.tail.location) // scales
    matrix = tf.constant(fit.matrix[:, : kinds * channels], tf.float32)
    size = fit.size[:, : kinds * channels].reshape(scales, kinds, channels)
    location, scale = (part.reshape(scales, kinds, 1) for part in (fit.tail.location, fit.tail.scale))
    # |value| / size is scaled to a score; value / (size x threshold) has the magnitude 1 at the level.
    to_score = tf.constant(1 / (size * scale), tf.float32)
    offset = tf.constant(location / scale, tf.float32)
    to_alarm = tf.constant(1 / (size * (location + scale * level)), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 1, (scales + 1) * width], tf.float32)])
    def score(features):  # type: ignore[no-untyped-def]
        means = tf.reshape(features, [scales + 1, width])
        values = tf.reshape(tf.matmul(means[:scales] - means[scales:], matrix), [scales, kinds, channels])
        highest = tf.reduce_max(tf.abs(values) * to_score - offset)
        shares = values * to_alarm
        up, down = tf.reduce_max(shares, axis=0), tf.reduce_min(shares, axis=0)
        strongest = tf.reshape(tf.where(up >= -down, up, down), [kinds * channels])
        parts = [tf.reshape(highest, [1]), strongest, *([tf.zeros([channels])] if kinds == 1 else [])]
        return tf.reshape(tf.concat(parts, 0), [1, 1 + 2 * channels])

    return tflite_export.from_function(score)
