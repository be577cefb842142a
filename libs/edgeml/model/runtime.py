"""The TFLite runtimes.

`ENGINES` lists them; `open_engine` opens a bundle on one of them and refuses a model that does not match its manifest. The built-in kernels
are used without a delegate, because a model of this size gains nothing from one. On one machine and one runtime, the same input yields the
same bits, independent of earlier inputs. Another architecture or runtime rounds differently (see `edgeml.model.self_test` for the bounds).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from edgeml.errors import BundleError
from edgeml.model.bundle import MODEL, Bundle


def _litert(model: bytes, threads: int) -> Any:
    from ai_edge_litert import interpreter as litert

    return litert.Interpreter(
        model_content=model,
        num_threads=threads,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )


def _tflite_runtime(model: bytes, threads: int) -> Any:
    from tflite_runtime import interpreter as tflite

    if int(np.__version__.split(".")[0]) >= 2:
        raise ImportError("tflite-runtime requires numpy below 2")
    return tflite.Interpreter(
        model_content=model,
        num_threads=threads,
        experimental_op_resolver_type=tflite.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )


ENGINES: dict[str, Callable[[bytes, int], Any]] = {"litert": _litert, "tflite-runtime": _tflite_runtime}
"""Name of a runtime -> creates its interpreter from a model and a number of threads; in the order of preference."""


class Network:
    """A model with one input and one output tensor, float32 at its interface, and no state between inputs.

    Attributes:
        kind: the runtime's name.
        input_shape, output_shape: without the leading batch of 1.
        step: the smallest difference between two outputs; 0 for a float32 output.
    """

    def __init__(self, kind: str, interpreter: Any) -> None:
        interpreter.allocate_tensors()
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ValueError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
        if any(tensor["dtype"] is np.object_ for tensor in interpreter.get_tensor_details()):  # a handle of a variable
            raise ValueError("it keeps a state in resource variables, which no runtime resets, so assets would share it")
        self.kind, self._interpreter = kind, interpreter
        self._input, self._output = _Tensor(inputs[0], "input"), _Tensor(outputs[0], "output")
        self.input_shape, self.output_shape = self._input.shape[1:], self._output.shape[1:]
        self.step = self._output.step

    def invoke(self, values: np.ndarray) -> np.ndarray:
        """Run the model: values of `input_shape`, float32, to an output of `output_shape`, float32; all NaN if a value is NaN."""
        if math.isnan(np.vdot(values, values)):  # the fastest way to find one among many
            # int8 has no NaN, and kernels such as max(0, x) turn it into a number.
            return np.full(self.output_shape, np.nan, np.float32)
        self._interpreter.reset_all_variables()  # state of recurrent layers belongs to another row or asset
        self._interpreter.set_tensor(self._input.index, self._input.inward(values))
        self._interpreter.invoke()
        return self._output.outward(self._interpreter.get_tensor(self._output.index))


class _Tensor:
    """Input or output of a model: its shape, and the conversion between float32 and its own type."""

    def __init__(self, details: dict[str, Any], which: str) -> None:
        self.index = details["index"]
        self.shape = tuple(int(n) for n in details["shape"])
        self._type = np.dtype(details["dtype"])
        if self._type not in (np.float32, np.int8):
            raise ValueError(f"its {which} is {self._type}, expected float32 or int8")
        scale, zero = details["quantization"]
        self._scale, self._zero = np.float32(scale), np.float32(zero)
        if self._type == np.int8 and not scale > 0:
            raise ValueError(f"its {which} is int8 without a quantisation scale")
        self.step = float(scale) if self._type == np.int8 else 0.0

    def inward(self, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, np.float32).reshape(self.shape)
        if self._type == np.float32:
            return values
        return np.clip(np.rint(values / self._scale) + self._zero, -128, 127).astype(np.int8)

    def outward(self, values: np.ndarray) -> np.ndarray:
        values = values[0]
        if self._type == np.float32:
            return values
        return (values.astype(np.float32) - self._zero) * self._scale


class Engine:
    """A bundle's model, ready to run.

    Attributes:
        kind: the runtime's name.
        step: the smallest difference between two outputs; 0 for a float32 output.
    """

    def __init__(self, network: Network, bundle: Bundle) -> None:
        expected, actual = bundle.manifest.input_shape, network.input_shape
        if actual != expected:
            raise BundleError(
                f"{bundle.where}: {MODEL} has the input shape {_shape(actual)}, the manifest's views and channels require "
                f"{_shape(expected)} (steps, features); export the model again"
            )
        answers, classes, explains = bundle.manifest.output_shape, bundle.manifest.classes, bundle.manifest.explains
        if (network.output_shape or (1,)) != answers:
            output = f"one probability per class ({', '.join(classes)})" if classes else "one score"
            output = "the score, and a level and a relation per channel" if explains else output
            raise BundleError(
                f"{bundle.where}: {MODEL} has the output shape {_shape(network.output_shape)}, expected {output}, "
                f"{_shape(answers)}; export the model again"
            )
        self.kind, self.step, self._network, self._classes = network.kind, network.step, network, bool(classes)
        self._answers = answers

    def run(self, features: np.ndarray) -> float:
        """The score of one input, (steps, features) float32; NaN if the output is not finite or the runtime fails."""
        try:
            return self.score(self.answer(features))
        except RuntimeError:  # a kernel refuses these values, but may accept others
            return math.nan

    def explain(self, features: np.ndarray) -> np.ndarray:
        """The output of a model that explains its scores, (1 + 2c,): score, levels and relations; all NaN if the runtime fails."""
        try:
            return self.answer(features)
        except RuntimeError:
            return np.full(self._answers, np.nan, np.float32)

    def score(self, answer: np.ndarray) -> float:
        """The score of an output of the model; NaN unless all its numbers are finite."""
        if not all(map(math.isfinite, answer)):
            return math.nan
        return 1.0 - float(answer[0]) if self._classes else float(answer[0])

    def answer(self, features: np.ndarray) -> np.ndarray:
        """The model's output for one input, float32: its score (1,), or the score, c levels and c relations (1 + 2c,), or a
        probability for each of the manifest's k classes (k,)."""
        return self._network.invoke(features).reshape(-1)


def open_network(model: bytes, kind: str = "auto", threads: int = 1, where: str = MODEL) -> Network:
    """Open a model on the runtime `kind`; `auto` uses the first installed one of `ENGINES`.

    Raises:
        BundleError: the runtime is unknown, not installed, or cannot read the model.
    """
    if kind != "auto" and kind not in ENGINES:
        raise BundleError(f"unknown engine `{kind}`; choose one of auto, {', '.join(ENGINES)}")
    missing = []
    for name in ENGINES if kind == "auto" else (kind,):
        try:
            return Network(name, ENGINES[name](model, threads))
        except ImportError as fault:
            missing.append(f"{name} ({fault})")
        except (ValueError, RuntimeError) as fault:
            text = " ".join(str(fault).split())
            raise BundleError(f"{where}: {name} cannot run this model: {text}; copy or export it again") from None
    raise BundleError(f"no TFLite runtime: {', '.join(missing)}; install ai-edge-litert, or tflite-runtime with numpy below 2")


def open_engine(bundle: Bundle, kind: str = "auto", threads: int = 1) -> Engine:
    """Open a bundle's model and check it against the manifest.

    Raises:
        BundleError: as `open_network`, or the model's input or output does not match the manifest, or it fails, or its output for the
            same input varies.
    """
    engine = Engine(open_network(bundle.model, kind, threads, f"{bundle.where}: {MODEL}"), bundle)
    one, other = np.random.default_rng(0).normal(0, 1, (2, *bundle.manifest.input_shape)).astype(np.float32)
    try:
        first, _, again = (engine.answer(each) for each in (one, other, one))
    except RuntimeError as fault:
        text = " ".join(str(fault).split())
        raise BundleError(f"{bundle.where}: {engine.kind} cannot run this model: {text}; export it again") from None
    if not np.array_equal(first, again, equal_nan=True):
        raise BundleError(
            f"{bundle.where}: {MODEL} returns {first[0]:.6g} and then {again[0]:.6g} for the same input: it keeps state or uses "
            "random numbers, so a result would depend on other assets; export it without"
        )
    return engine


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
