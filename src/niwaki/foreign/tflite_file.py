"""A TensorFlow Lite file as plain values: tensors with their quantization, operators with their options.

The file is a FlatBuffer, read by the package `tflite`, which is made from TensorFlow's own schema. That format has no
checksums and its reader no checks, so everything that a damaged file could say wrong is caught here or in `tflite.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from niwaki.errors import ModelError, kind_and_line
from niwaki.limits import check_memory

_MOST = 20_000  # tensors, and operators
_MOST_AXES = 8
_DAMAGE = (struct.error, IndexError, KeyError, TypeError, ValueError, OverflowError, AttributeError, AssertionError)
_IDENTIFIER = b"TFL3"
_NUMPY = {
    "FLOAT32": np.float32, "INT32": np.int32, "UINT8": np.uint8, "INT64": np.int64, "INT16": np.int16, "INT8": np.int8,
}  # fmt: skip
# The options that are read, by operator: the class in `tflite`, and its fields.
_WINDOW = ("StrideH", "StrideW", "Padding", "FusedActivationFunction")
_OPTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "SUB": ("SubOptions", ("FusedActivationFunction",)),
    "MUL": ("MulOptions", ("FusedActivationFunction",)),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",)),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset"),
    ),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", ("AlignCorners", "HalfPixelCenters")),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", ("AlignCorners", "HalfPixelCenters")),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _WINDOW),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", ("BlockSize",)),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", ("BlockSize",)),
    "MIRROR_PAD": ("MirrorPadOptions", ("Mode",)),
    "AVERAGE_POOL_2D": ("Pool2DOptions", (*_WINDOW, "FilterHeight", "FilterWidth")),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "CONV_2D": ("Conv2DOptions", (*_WINDOW, "DilationHFactor", "DilationWFactor")),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        (*_WINDOW, "DepthMultiplier", "DilationHFactor", "DilationWFactor"),
    ),
    "FULLY_CONNECTED": ("FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat")),
    "MAX_POOL_2D": ("Pool2DOptions", (*_WINDOW, "FilterHeight", "FilterWidth")),
    "SOFTMAX": ("SoftmaxOptions", ("Beta",)),
}


@dataclass(frozen=True, eq=False)
class FileTensor:
    """One tensor. `data` is None for an activation."""

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    """As the schema has it: INT8, FLOAT32, …"""
    data: np.ndarray | None
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    """The axis that several scales follow."""


@dataclass(frozen=True)
class FileOperator:
    """One operator, in the order in which they run. An input of -1 is left out."""

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its operator and its number in the file, as errors and the C have it."""
        return f"{self.kind}_{self.index}"


@dataclass(frozen=True, eq=False)
class TfliteFile:
    """A network."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_tflite_file(data: bytes) -> TfliteFile:
    """The only network in a file's bytes.

    Raises ModelError if the bytes are not such a file, are damaged, or hold several networks.
    """
    if len(data) < 8 or data[4:8] != _IDENTIFIER:
        raise ModelError("not a TensorFlow Lite file: the identifier TFL3 is missing")
    check_memory(len(data), "the file", ModelError)
    try:
        return _read(data)
    except _DAMAGE as error:
        raise ModelError(
            f"damaged or truncated, copy it or convert the network again: {kind_and_line(error)}"
        ) from error


def _read(data: bytes) -> TfliteFile:
    import tflite  # takes a tenth of a second, and only these files need it

    model = tflite.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise ModelError(f"{model.SubgraphsLength()} networks in one file: one is supported")
    graph = model.Subgraphs(0)
    kinds = _kinds(tflite, model)
    tensors = tuple(
        _tensor(tflite, data, model, graph.Tensors(index), index)
        for index in _numbers(graph.TensorsLength(), "tensors")
    )
    operators = []
    for index in _numbers(graph.OperatorsLength(), "operators"):
        entry = graph.Operators(index)
        operators.append(_operator(tflite, entry, index, kinds[entry.OpcodeIndex()]))
    inputs, outputs = (_indices(of, len(tensors), False) for of in (graph.InputsAsNumpy, graph.OutputsAsNumpy))
    for operator in operators:
        _indices(lambda: np.array(operator.inputs), len(tensors), True)  # noqa: B023 (called at once)
        _indices(lambda: np.array(operator.outputs), len(tensors), False)  # noqa: B023
    return TfliteFile(tensors, tuple(operators), inputs, outputs)


def _numbers(count: int, what: str) -> range:
    if count > _MOST:
        raise ModelError(f"{what}: {count:,}: at most {_MOST:,} are read")
    return range(count)


def _kinds(tflite: Any, model: Any) -> list[str]:
    """The operators' names by their code in the file; a custom operator's own."""
    kinds = []
    for index in _numbers(model.OperatorCodesLength(), "operator codes"):
        code = model.OperatorCodes(index)
        number = max(code.DeprecatedBuiltinCode(), code.BuiltinCode())
        kind = tflite.BUILTIN_OPCODE2NAME.get(number, f"operator {number}")
        own = code.CustomCode()
        kinds.append(f"CUSTOM {own.decode(errors='replace')[:40]!r}" if kind == "CUSTOM" and own else kind)
    return kinds


def _operator(tflite: Any, entry: Any, index: int, kind: str) -> FileOperator:
    inputs, outputs = (
        tuple(np.asarray(of()).tolist()) if count() else ()
        for of, count in ((entry.InputsAsNumpy, entry.InputsLength), (entry.OutputsAsNumpy, entry.OutputsLength))
    )
    options: dict[str, float] = {}
    if kind in _OPTIONS:
        known, fields = _OPTIONS[kind]
        found = entry.BuiltinOptions()
        if found is None or entry.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, known):
            raise ModelError(f"{kind}_{index}: has no {known}")
        reader = getattr(tflite, known)()
        reader.Init(found.Bytes, found.Pos)
        options = {name: getattr(reader, name)() for name in fields}
    return FileOperator(index, kind, inputs, outputs, options)


def _indices(of: Callable[[], Any], count: int, optional: bool) -> tuple[int, ...]:
    """Numbers of tensors, checked."""
    found = np.asarray(of())
    numbers = found.tolist() if found.ndim else []
    for number in numbers:
        if not (0 <= number < count or (optional and number == -1)):
            raise IndexError(f"tensor {number} of {count}")
    return tuple(numbers)


def _tensor(tflite: Any, data: bytes, model: Any, entry: Any, index: int) -> FileTensor:
    name = (entry.Name() or b"").decode(errors="replace")
    what = f"tensor {index} {name[:60]!r}"
    kind = next((key for key, value in vars(tflite.TensorType).items() if value == entry.Type() and key.isupper()), "?")
    shape = tuple(np.asarray(entry.ShapeAsNumpy()).tolist()) if entry.ShapeLength() else ()
    if len(shape) > _MOST_AXES or min(shape, default=1) < 1:
        raise ModelError(f"{what}: shape {shape[:_MOST_AXES]}: up to {_MOST_AXES} axes of 1 or more are read")
    if entry.Sparsity() is not None:
        raise ModelError(f"{what}: stored sparse: convert the network without sparsity")
    held = _data(data, model, entry, kind, shape, what)
    found = entry.Quantization()
    if found is None or not found.ScaleLength():
        return FileTensor(index, name, shape, kind, held, (), (), 0)
    scales = np.asarray(found.ScaleAsNumpy(), np.float32).tolist()
    zeros = np.asarray(found.ZeroPointAsNumpy()).tolist() if found.ZeroPointLength() else [0] * len(scales)
    axis = found.QuantizedDimension()
    several = len(scales) > 1
    if len(zeros) != len(scales) or (several and not (0 <= axis < len(shape) and shape[axis] == len(scales))):
        raise ModelError(f"{what}: {len(scales)} scales and {len(zeros)} zero points for a shape of {shape}")
    return FileTensor(index, name, shape, kind, held, tuple(scales), tuple(zeros), axis if several else 0)


def _data(data: bytes, model: Any, entry: Any, kind: str, shape: tuple[int, ...], what: str) -> np.ndarray | None:
    """A constant's values; None for an activation."""
    buffer = model.Buffers(entry.Buffer()) if entry.Buffer() < model.BuffersLength() else None
    if buffer is None:
        raise ModelError(f"{what}: buffer {entry.Buffer()} of {model.BuffersLength()}")
    if buffer.Offset() > 1:  # of large files, behind the FlatBuffer
        raw = data[buffer.Offset() : buffer.Offset() + buffer.Size()]
    elif buffer.DataLength():
        raw = buffer.DataAsNumpy().tobytes()
    else:
        return None
    if kind == "INT4":
        packed = np.frombuffer(raw, np.int8)
        pairs = np.stack([packed << 4 >> 4, packed >> 4], axis=-1).reshape(-1)
        if packed.size != -(-prod(shape) // 2):
            raise ModelError(f"{what}: {packed.size:,} bytes for {prod(shape):,} values of 4 bits")
        return pairs[: prod(shape)].reshape(shape)
    if kind not in _NUMPY:
        return np.zeros(0, np.uint8)  # whoever reads it says that its type is not supported
    dtype = np.dtype(_NUMPY[kind]).newbyteorder("<")
    if len(raw) != prod(shape) * dtype.itemsize:
        raise ModelError(f"{what}: {len(raw):,} bytes for {prod(shape):,} values of {dtype.name}")
    return np.frombuffer(raw, dtype).astype(_NUMPY[kind]).reshape(shape)
