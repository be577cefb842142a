"""Tiny TFLite models, assembled operator by operator: no training, and none of the tools that convert."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {np.dtype(np.float32): schema.TensorType.FLOAT32, np.dtype(np.int32): schema.TensorType.INT32}


class _Graph:
    """A model; tensors and operators are added in order, to the subgraph that was begun last."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.operatorCodes, self.model.buffers, self.model.subgraphs = [], [schema.BufferT()], []
        self.begin()

    def begin(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators, self.graph.inputs, self.graph.outputs = [], [], [], []
        self.model.subgraphs.append(self.graph)

    def tensor(self, shape: tuple[int, ...], value: np.ndarray | None = None, kind: int | None = None, variable: bool = False) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.isVariable, made.buffer = f"t{len(self.graph.tensors)}", np.array(shape, np.int32), variable, 0
        made.type = kind if kind is not None else _TYPES[value.dtype if value is not None else np.dtype(np.float32)]
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, inputs: list[int], outputs: list[int], options: Any = None) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes), np.array(inputs, np.int32), np.array(outputs, np.int32)
        if options is not None:
            made.builtinOptions = options
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.model.operatorCodes.append(code)
        self.graph.operators.append(made)

    def file(self, inputs: int, outputs: int) -> bytes:
        """The model's bytes; its ends are tensors of the first subgraph."""
        first = self.model.subgraphs[0]
        first.inputs, first.outputs = np.array([inputs], np.int32), np.array([outputs], np.int32)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _mean(graph: _Graph, over: int) -> int:
    out = graph.tensor((1,))
    graph.operator("MEAN", [over, graph.tensor((2,), np.array([1, 2], np.int32))], [out], schema.ReducerOptionsT())
    return out


def recurrent() -> bytes:
    """(4, 4) to (1,): a recurrent layer of one unit over four steps, the mean of its answers; its hidden state is a variable tensor."""
    graph = _Graph()
    given = graph.tensor((1, 4, 4))
    weights, back, bias = (np.full(shape, value, np.float32) for shape, value in (((1, 4), 0.2), ((1, 1), 0.9), ((1,), 0.1)))
    fixed = [graph.tensor(each.shape, each) for each in (weights, back, bias)]
    state, steps = graph.tensor((1, 1), variable=True), graph.tensor((1, 4, 1))
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.TANH
    graph.operator("UNIDIRECTIONAL_SEQUENCE_RNN", [given, *fixed, state], [steps], options)
    return graph.file(given, _mean(graph, steps))


def _handle(graph: _Graph) -> int:
    handle, options = graph.tensor((), kind=schema.TensorType.RESOURCE), schema.VarHandleOptionsT()
    options.container, options.sharedName = "", "sum"
    graph.operator("VAR_HANDLE", [], [handle], options)
    return handle


def counting() -> bytes:
    """(4, 4) to (1,): the sum of the means of all inputs so far, in a resource variable."""
    graph = _Graph()
    begin = schema.CallOnceOptionsT()
    begin.initSubgraphIndex = 1
    graph.operator("CALL_ONCE", [], [], begin)
    given, handle = graph.tensor((1, 4, 4)), _handle(graph)
    before, after, mean = graph.tensor((1,)), graph.tensor((1,)), _mean(graph, given)
    graph.operator("READ_VARIABLE", [handle], [before], schema.ReadVariableOptionsT())
    graph.operator("ADD", [before, mean], [after], schema.AddOptionsT())
    graph.operator("ASSIGN_VARIABLE", [handle, after], [], schema.AssignVariableOptionsT())
    graph.begin()
    graph.operator("ASSIGN_VARIABLE", [_handle(graph), graph.tensor((1,), np.zeros(1, np.float32))], [], schema.AssignVariableOptionsT())
    return graph.file(given, after)


def drawing() -> bytes:
    """(4, 4) to (1,): a random number, whatever the input."""
    graph = _Graph()
    given, drawn, out = graph.tensor((1, 4, 4)), graph.tensor((1,)), graph.tensor((1,))
    graph.operator("RANDOM_UNIFORM", [graph.tensor((1,), np.ones(1, np.int32))], [drawn], schema.RandomOptionsT())
    graph.operator("ADD", [drawn, _mean(graph, given)], [out], schema.AddOptionsT())
    return graph.file(given, out)


def root(steps: int = 4, features: int = 4) -> bytes:
    """(steps, features) to (1,): the square root of the mean, which is not a number where that is below zero."""
    graph = _Graph()
    given, out = graph.tensor((1, steps, features)), graph.tensor((1,))
    graph.operator("SQRT", [_mean(graph, given)], [out])
    return graph.file(given, out)


def positive() -> bytes:
    """(4, 4) to (1,): the largest positive value, 0 where there is none."""
    graph = _Graph()
    given, cut = graph.tensor((1, 4, 4)), graph.tensor((1, 4, 4))
    graph.operator("RELU", [given], [cut])
    return graph.file(given, _mean(graph, cut))


def contrasts(channels: int, columns: int, views: int, sign: int = 1) -> bytes:
    """Of a model with a reference: the level of a channel is its contrast in the first view, its relation that in the second one, and the
    score the level of the channel number 1 times `sign`; (1, (views + 1) * columns) to (1 + 2 * channels,)."""
    graph = _Graph()
    weights = np.zeros((1 + 2 * channels, views + 1, columns), np.float32)
    for channel in range(channels):
        for row, view in ((1 + channel, 0), (1 + channels + channel, 1)):
            weights[row, view, channel], weights[row, views, channel] = 1, -1
    weights[0] = weights[2] * sign
    given, out = graph.tensor((1, 1, (views + 1) * columns)), graph.tensor((1, 1 + 2 * channels))
    flat, bias = weights.reshape(1 + 2 * channels, -1), np.zeros(1 + 2 * channels, np.float32)
    options = schema.FullyConnectedOptionsT()
    graph.operator("FULLY_CONNECTED", [given, graph.tensor(flat.shape, flat), graph.tensor(bias.shape, bias)], [out], options)
    return graph.file(given, out)


def altered(model: bytes, tensor: int, factor: float) -> bytes:
    """A model with the weights of one layer multiplied; `tensor` counts its int8 weights, largest first."""
    changed = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    held = [each.buffer for each in changed.subgraphs[0].tensors if each.type == schema.TensorType.INT8]
    sized = sorted((at for at in held if changed.buffers[at].data is not None), key=lambda at: -len(changed.buffers[at].data))
    buffer = changed.buffers[sized[tensor]]
    weights = np.asarray(buffer.data, np.uint8).view(np.int8) * factor
    buffer.data = np.clip(np.rint(weights), -127, 127).astype(np.int8).view(np.uint8)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(changed.Pack(builder), b"TFL3")
    return bytes(builder.Output())
