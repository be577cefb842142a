"""A trained network as TFLite: float32, and full int8 for the bundle that ships."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import numpy as np


def to_float32(model: Any) -> bytes:
    """The network as it was trained."""
    return _convert(_converter(model))


def to_int8(model: Any, examples: np.ndarray) -> bytes:
    """The network with int8 weights, activations, input and output; examples (n, steps, features) give the ranges."""
    import tensorflow as tf

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _convert(converter)


def _converter(model: Any) -> Any:
    import tensorflow as tf

    # A fixed batch of 1: the engines want no variable dimension.
    inputs = tf.keras.Input(batch_shape=(1, *model.input_shape[1:]))
    return tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(inputs, model(inputs, training=False)))


def _convert(converter: Any) -> bytes:
    # The converter prints what it traced and warns of statistics that it computes itself.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return converter.convert()
