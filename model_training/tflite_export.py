"""Deterministic TensorFlow, and the export of a trained Keras model to TFLite as float32 and as full int8."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from typing import Any

import numpy as np


def begin(seed: int) -> Any:
    """Import TensorFlow and reset its state, so that the next model depends on `seed` alone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    import tensorflow as tf

    # Otherwise the layer names in the exported file would be numbered across models.
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return tf


def to_float32(model: Any) -> bytes:
    """Export the network as trained, with a batch size of 1."""
    return _convert(_converter(model))


def to_int8(model: Any, examples: np.ndarray) -> bytes:
    """Export with int8 weights, activations, input and output. Examples (n, steps, features) float32 give the value ranges."""
    import tensorflow as tf

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([example[None]] for example in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return _convert(converter)


def from_function(function: Any) -> bytes:
    """Export a `tf.function` with one input signature, and constants for weights, in float32."""
    import tensorflow as tf

    return _convert(tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()]))


def _converter(model: Any) -> Any:
    import tensorflow as tf

    # A fixed batch size of 1: the engines do not accept a variable dimension.
    inputs = tf.keras.Input(batch_shape=(1, *model.input_shape[1:]))
    return tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(inputs, model(inputs, training=False)))


def _convert(converter: Any) -> bytes:
    # The converter prints its trace and warns of statistics that it computes itself.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return converter.convert()
