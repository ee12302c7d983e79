"""Small TensorFlow Lite files, written by hand with the schema's own builder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite

CODES = {name: code for code, name in tflite.BUILTIN_OPCODE2NAME.items()}
_TYPES = {
    "INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32, "INT64": np.int64, "INT16": np.int16, "FLOAT32": np.float32,
}  # fmt: skip
OPTIONS = {
    "ADD": "AddOptions", "AVERAGE_POOL_2D": "Pool2DOptions", "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions", "MAX_POOL_2D": "Pool2DOptions", "SOFTMAX": "SoftmaxOptions",
    "SUB": "SubOptions", "MUL": "MulOptions", "LEAKY_RELU": "LeakyReluOptions", "STRIDED_SLICE": "StridedSliceOptions",
    "SPLIT": "SplitOptions", "SPLIT_V": "SplitVOptions", "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions", "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions", "MIRROR_PAD": "MirrorPadOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
}  # fmt: skip
# A float's default in the schema is 0: of the dilations it is 1, so what a caller leaves out is 1.
DEFAULTS = {"DilationHFactor": 1, "DilationWFactor": 1, "StrideH": 1, "StrideW": 1, "Beta": 1.0, "DepthMultiplier": 1}


@dataclass
class Tensor:
    shape: Sequence[int]
    scale: float | Sequence[float] | None = None
    zero: int | Sequence[int] = 0
    data: Any = None
    kind: str = "INT8"
    axis: int = 0
    name: str = "t"


@dataclass
class Operator:
    kind: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: dict[str, float] = field(default_factory=dict)


@dataclass
class File:
    """Tensors and operators, in order; the first tensor is the input, the last operator's result the output."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] | None = None
    outputs: list[int] | None = None
    subgraphs: int = 1

    def add(self, *args: Any, **named: Any) -> int:
        self.tensors.append(Tensor(*args, **named))
        return len(self.tensors) - 1

    def run(self, kind: str, inputs: Sequence[int], output: Tensor, **options: float) -> int:
        self.tensors.append(output)
        self.operators.append(Operator(kind, inputs, [len(self.tensors) - 1], options))
        return len(self.tensors) - 1

    def split(self, kind: str, inputs: Sequence[int], outputs: Sequence[Tensor], **options: float) -> list[int]:
        """An operator of several results."""
        first = len(self.tensors)
        self.tensors.extend(outputs)
        self.operators.append(Operator(kind, inputs, range(first, len(self.tensors)), options))
        return list(range(first, len(self.tensors)))

    def constant(self, data: Any, kind: str = "INT32", **named: Any) -> int:
        values = np.asarray(data)
        return self.add(values.shape, data=values, kind=kind, **named)

    def build(self) -> bytes:
        b = flatbuffers.Builder(1024)
        buffers = [self._buffer(b, None), *(self._buffer(b, t) for t in self.tensors)]
        tensors = [self._tensor(b, t, index + 1) for index, t in enumerate(self.tensors)]
        kinds = list(dict.fromkeys(op.kind for op in self.operators))
        operators = [self._operator(b, op, kinds) for op in self.operators]
        codes = [self._code(b, kind) for kind in kinds]
        ends = [
            [0] if self.inputs is None else self.inputs,
            list(self.operators[-1].outputs) if self.outputs is None else self.outputs,
        ]
        vectors = [_offsets(b, tensors), *(_ints(b, end) for end in ends), _offsets(b, operators)]
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, vectors[0])
        tflite.SubGraphAddInputs(b, vectors[1])
        tflite.SubGraphAddOutputs(b, vectors[2])
        tflite.SubGraphAddOperators(b, vectors[3])
        graph = tflite.SubGraphEnd(b)
        parts = [_offsets(b, codes), _offsets(b, [graph] * self.subgraphs), _offsets(b, buffers)]
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, parts[0])
        tflite.ModelAddSubgraphs(b, parts[1])
        tflite.ModelAddBuffers(b, parts[2])
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())

    def _buffer(self, b: Any, tensor: Tensor | None) -> int:
        vector = None
        if tensor is not None and tensor.data is not None:
            values = np.asarray(tensor.data)
            if tensor.kind == "INT4":
                flat = np.append(values.reshape(-1), np.zeros(values.size % 2, np.int8)).astype(np.uint8)
                raw = ((flat[0::2] & 15) | (flat[1::2] << 4)).astype(np.uint8).tobytes()
            else:
                raw = values.astype(_TYPES[tensor.kind]).tobytes()
            vector = b.CreateByteVector(raw)
        tflite.BufferStart(b)
        if vector is not None:
            tflite.BufferAddData(b, vector)
        return int(tflite.BufferEnd(b))

    def _tensor(self, b: Any, tensor: Tensor, buffer: int) -> int:
        name, shape, quantization = b.CreateString(tensor.name), _ints(b, list(tensor.shape)), None
        if tensor.scale is not None:
            scales = np.atleast_1d(np.asarray(tensor.scale, np.float32))
            zeros = np.broadcast_to(np.asarray(tensor.zero, np.int64), scales.shape)
            vectors = b.CreateNumpyVector(scales), b.CreateNumpyVector(np.ascontiguousarray(zeros))
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, vectors[0])
            tflite.QuantizationParametersAddZeroPoint(b, vectors[1])
            tflite.QuantizationParametersAddQuantizedDimension(b, tensor.axis)
            quantization = tflite.QuantizationParametersEnd(b)
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, shape)
        tflite.TensorAddType(b, getattr(tflite.TensorType, tensor.kind))
        tflite.TensorAddBuffer(b, buffer)
        tflite.TensorAddName(b, name)
        if quantization is not None:
            tflite.TensorAddQuantization(b, quantization)
        return int(tflite.TensorEnd(b))

    def _operator(self, b: Any, operator: Operator, kinds: list[str]) -> int:
        inputs, outputs = _ints(b, list(operator.inputs)), _ints(b, list(operator.outputs))
        known, options = OPTIONS.get(operator.kind), None
        if known:
            getattr(tflite, f"{known}Start")(b)
            for key, default in DEFAULTS.items():
                if hasattr(tflite, f"{known}Add{key}"):
                    getattr(tflite, f"{known}Add{key}")(b, operator.options.get(key, default))
            for key in operator.options.keys() - DEFAULTS.keys():
                getattr(tflite, f"{known}Add{key}")(b, operator.options[key])
            options = getattr(tflite, f"{known}End")(b)
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, kinds.index(operator.kind))
        tflite.OperatorAddInputs(b, inputs)
        tflite.OperatorAddOutputs(b, outputs)
        if known:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, known))
            tflite.OperatorAddBuiltinOptions(b, options)
        return int(tflite.OperatorEnd(b))

    def _code(self, b: Any, kind: str) -> int:
        code = CODES.get(kind, CODES["CUSTOM"])
        own = b.CreateString(kind) if kind not in CODES else None
        tflite.OperatorCodeStart(b)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
        tflite.OperatorCodeAddBuiltinCode(b, code)
        tflite.OperatorCodeAddVersion(b, 1)
        if own is not None:
            tflite.OperatorCodeAddCustomCode(b, own)
        return int(tflite.OperatorCodeEnd(b))


def _ints(b: Any, values: Sequence[int]) -> int:
    return int(b.CreateNumpyVector(np.asarray(values, np.int32)))


def _offsets(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


SAME, VALID = 0, 1
NONE, RELU, RELU_N1, RELU6 = 0, 1, 2, 3


def small_file(seed: int = 0) -> File:
    """Conv, depthwise, residual sum, pools, PAD, RESHAPE, FULLY_CONNECTED, SOFTMAX: (1, 9, 7, 2) to 5 classes."""
    rng, file = np.random.default_rng(seed), File()

    def weighted(source: int, *shape: int, axis: int = 0, each: bool = True) -> list[int]:
        """An activation with weights and a bias for it."""
        count = shape[axis]
        scale = rng.uniform(0.002, 0.02, count if each else 1).astype(np.float32)
        weights = file.constant(rng.integers(-127, 128, shape), "INT8", scale=scale, axis=axis)
        bias = file.constant(rng.integers(-2000, 2000, count), scale=file.tensors[source].scale * scale)
        return [source, weights, bias]

    x = file.add((1, 9, 7, 2), 0.05, 3, name="input")
    conv = file.run(
        "CONV_2D", weighted(x, 6, 3, 3, 2), Tensor((1, 5, 4, 6), 0.06, -128),
        StrideH=2, StrideW=2, Padding=SAME, FusedActivationFunction=RELU,
    )  # fmt: skip
    depth = file.run(
        "DEPTHWISE_CONV_2D", weighted(conv, 1, 3, 3, 6, axis=3), Tensor((1, 5, 4, 6), 0.11, 4), Padding=SAME
    )
    added = file.run("ADD", [conv, depth], Tensor((1, 5, 4, 6), 0.09, -128), FusedActivationFunction=RELU6)
    padded = file.run("PAD", [added, file.constant([[0, 0], [1, 0], [0, 1], [0, 0]])], Tensor((1, 6, 5, 6), 0.09, -128))
    pooled = file.run(
        "AVERAGE_POOL_2D", [padded], Tensor((1, 3, 3, 6), 0.09, -128),
        StrideH=2, StrideW=2, FilterHeight=2, FilterWidth=2, Padding=SAME,
    )  # fmt: skip
    best = file.run(
        "MAX_POOL_2D", [pooled], Tensor((1, 2, 2, 6), 0.09, -128), FilterHeight=2, FilterWidth=2, Padding=VALID
    )
    flat = file.run("RESHAPE", [best, file.constant([1, 24])], Tensor((1, 24), 0.09, -128))
    dense = file.run("FULLY_CONNECTED", weighted(flat, 5, 24, each=False), Tensor((1, 5), 0.2, 10))
    file.run("SOFTMAX", [dense], Tensor((1, 5), 1 / 256, -128))
    return file
