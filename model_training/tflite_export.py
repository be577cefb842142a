"""TensorFlow made repeatable, and a trained Keras model as TFLite: float32, and full int8 for a bundle that ships."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from typing import Any

import numpy as np


def begin(seed: int) -> Any:
    """TensorFlow, so that what is built and trained next depends on `seed` alone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    import tensorflow as tf

    # Without it the names of layers, which the exported file holds, count up from model to model.
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    return tf


def to_float32(model: Any) -> bytes:
    """The network as it was trained; one input at a time."""
    return _convert(_converter(model))


def to_int8(model: Any, examples: np.ndarray) -> bytes:
    """The network with int8 weights, activations, input and output; examples (n, steps, features) float32 give the ranges."""
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
