"""The fitted model as a TFLite graph: a matrix product for each scale, powers and maxima."""

from __future__ import annotations

import math

from model_training import tflite_export
from model_training.machine.fitting import MAX_VALUE, POWER, Fit
from model_training.machine.numpy_engine import constants


def export(fit: Fit, level: float, channels: int, seed: int) -> bytes:
    """Export in float32: contrasts are differences of nearly equal means, which int8 does not resolve.

    Input (1, 1, (scales + 1) f): the means of each scale, and the reference. Output (1, 1 + 2c): the score, levels and relations.

    Args:
        level: scaled score at which levels and relations are 1.
        channels: number c of channels.
    """
    tf = tflite_export.begin(seed)
    scales, width = len(fit.layout.scales), fit.matrix.shape[0]
    known, doublings = constants(fit, level, channels), round(math.log2(POWER))
    shape = known.to_value.shape

    @tf.function(input_signature=[tf.TensorSpec([1, 1, (scales + 1) * width], tf.float32)])
    def score(features):  # type: ignore[no-untyped-def]
        means = tf.reshape(features, [scales + 1, width])
        reference, shorter, longer = means[scales:], means[: scales - 1], means[1:scales]
        # An unknown mean has the value of the reference.
        both = tf.logical_and(tf.not_equal(shorter, reference), tf.not_equal(longer, reference))
        contrasts = tf.concat([means[:scales] - reference, tf.where(both, shorter - longer, 0.0)], 0)
        products = tf.reshape(tf.matmul(contrasts, known.matrix), shape)
        values = tf.clip_by_value(products * known.to_value, -MAX_VALUE, MAX_VALUE)
        total = values
        for _ in range(doublings):
            total = tf.square(total)
        total = tf.reduce_sum(total, axis=2)
        for _ in range(doublings):
            total = tf.sqrt(total)
        highest = tf.reduce_max(total * known.to_score - known.offset)
        shares = values * known.to_share
        up, down = tf.reduce_max(shares, axis=0), tf.reduce_min(shares, axis=0)
        strongest = tf.reshape(tf.where(up >= -down, up, down), [shape[1] * channels])
        parts = [tf.reshape(highest, [1]), strongest, *([tf.zeros([channels])] if shape[1] == 1 else [])]
        return tf.reshape(tf.concat(parts, 0), [1, 1 + 2 * channels])

    return tflite_export.from_function(score)
