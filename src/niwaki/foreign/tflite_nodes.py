"""What a TensorFlow Lite file becomes: nodes and constants of an ONNX, and what stands there for each tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from niwaki.errors import ModelError
from niwaki.foreign.tflite_file import FileOperator, FileTensor, TfliteFile
from niwaki.limits import check_memory

TYPES: dict[str, type[np.int8] | type[np.uint8]] = {"INT8": np.int8, "UINT8": np.uint8}
"""Of activations."""
_ACTIVATIONS: dict[float, tuple[str, tuple[float, ...]]] = {
    1: ("Relu", ()), 2: ("Clip", (-1.0, 1.0)), 3: ("Clip", (0.0, 6.0)),
}  # fmt: skip
_PLACE = 16  # bytes for each element of an activation, whose places are counted
_HOW = "convert the network again with full integer quantization (int8, with a representative dataset)"


@dataclass(frozen=True, eq=False)
class Held:
    """What stands for a tensor of the file in the ONNX.

    An image (1, H, W, C) is (1, C, H, W) there, anything else flat (1, N). `order` has, for each element of a flattened
    image, its place in the file's order; None if it has the same.
    """

    name: str
    shape: tuple[int, ...]
    order: np.ndarray | None = None

    def is_like(self, other: Held) -> bool:
        """Whether another one has the same shape and order."""
        same = self.order is other.order or (
            self.order is not None and other.order is not None and bool((self.order == other.order).all())
        )
        return self.shape == other.shape and same


@dataclass
class Nodes:
    """Collects the nodes and constants of the ONNX, and finds what stands for the tensors of the file."""

    file: TfliteFile
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    held: dict[int, Held] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def tensor(self, operator: FileOperator, number: int) -> FileTensor:
        """An operator's input. Raises ModelError if it is left out."""
        if number >= len(operator.inputs) or operator.inputs[number] < 0:
            raise ModelError(f"{operator.name}: input {number} is missing")
        return self.file.tensors[operator.inputs[number]]

    def result(self, operator: FileOperator) -> FileTensor:
        """What an operator writes."""
        return self.file.tensors[operator.outputs[0]]

    def input(self, operator: FileOperator, number: int = 0) -> Held:
        """The activation that an operator reads."""
        return self.held_of(self.tensor(operator, number).index, operator.name)

    def held_of(self, index: int, reader: str) -> Held:
        """What stands for a tensor. Raises ModelError naming the reader if nothing has computed it."""
        if index not in self.held:
            tensor = self.file.tensors[index]
            kind = "a constant" if tensor.data is not None else "not computed before it"
            raise ModelError(f"{reader} reads tensor {index} {tensor.name[:60]!r}, which is {kind}")
        return self.held[index]

    def constant(self, operator: FileOperator, number: int, *kinds: str) -> FileTensor:
        """A constant input of one of these types."""
        tensor = self.tensor(operator, number)
        if tensor.data is None:
            raise ModelError(f"{operator.name}: input {number} must be a constant")
        if tensor.type not in kinds:
            told = f"{operator.name}: {tensor.type} for input {number}: {' and '.join(kinds)} are supported"
            raise ModelError(f"{told}: {_HOW}" if tensor.type.startswith("FLOAT") else told)
        return tensor

    def shape_of(self, tensor: FileTensor) -> tuple[int, ...]:
        """The shape in the ONNX: (1, C, H, W) of an image (1, H, W, C), (1, N) of anything else.

        Raises ModelError for a batch, and for a tensor that would not fit the memory of one file.
        """
        shape = tensor.shape
        check_memory(_PLACE * prod(shape), f"tensor {tensor.index} {tensor.name[:60]!r}", ModelError)
        if len(shape) > 1 and shape[0] != 1:
            raise ModelError(f"tensor {tensor.index} {tensor.name[:60]!r}: a batch of {shape[0]}: 1 is supported")
        if len(shape) == 4:
            return 1, shape[3], shape[1], shape[2]
        return 1, int(np.prod(shape, dtype=np.int64))

    def put(self, values: np.ndarray, name: str) -> str:
        """A constant of the ONNX."""
        name = self._unique(name)
        self.constants.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """A node of the ONNX; returns its output, which has the node's name."""
        name = self._unique(name)
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def reshaped(self, value: str, shape: Sequence[int], name: str) -> str:
        """A value in another shape for each image, whatever the batch."""
        return self.node("Reshape", [value, self.put(np.array([0, *shape[1:]], np.int64), f"{name}_sides")], name)

    def check_activation(self, tensor: FileTensor) -> None:
        """Raise ModelError if a tensor is no int8 or uint8 activation with one scale."""
        self._parameters_of(tensor)

    def quantized(self, name: str, tensor: FileTensor) -> str:
        """A float value rounded as a tensor of the file says; returns the float value that is left."""
        parameters = self._parameters(tensor)
        integers = self.node("QuantizeLinear", [name, *parameters], f"{name}_int8")
        return self.node("DequantizeLinear", [integers, *parameters], f"{name}_rounded")

    def _parameters(self, tensor: FileTensor) -> list[str]:
        scale, zero = self._parameters_of(tensor)
        return [self.put(scale, f"scale_{tensor.index}"), self.put(zero, f"zero_{tensor.index}")]

    def _parameters_of(self, tensor: FileTensor) -> tuple[np.ndarray, np.ndarray]:
        what, kind = f"tensor {tensor.index} {tensor.name[:60]!r}", TYPES.get(tensor.type)
        if kind is None or len(tensor.scales) != 1:
            told = f"of {tensor.type}" if kind is None else f"with {len(tensor.scales)} scales"
            raise ModelError(f"{what}: an activation {told}: int8 and uint8 with one scale are supported: {_HOW}")
        (zero,) = tensor.zero_points
        if not np.iinfo(kind).min <= zero <= np.iinfo(kind).max:
            raise ModelError(f"{what}: a zero point of {zero}")
        if not 0 < tensor.scales[0] < np.inf:
            raise ModelError(f"{what}: a scale of {tensor.scales[0]:g}: a positive number is needed")
        return np.array(tensor.scales[0], np.float32), np.array(zero, kind)

    def dequantized(self, values: np.ndarray, scales: tuple[float, ...], zero: int, name: str) -> str:
        """A quantized constant with one scale, or one for each index of its first axis.

        Raises ModelError naming it if its zero point is beyond its type.
        """
        if not np.iinfo(values.dtype).min <= zero <= np.iinfo(values.dtype).max:
            raise ModelError(f"{name}: a zero point of {zero}")
        one = len(scales) == 1
        scale = np.array(scales[0] if one else scales, np.float32)
        zeros = np.full(scale.shape, zero, values.dtype)
        inputs = [self.put(values, f"{name}_int"), self.put(scale, f"{name}_scale"), self.put(zeros, f"{name}_zero")]
        return self.node("DequantizeLinear", inputs, name, axis=None if one else 0)

    def _unique(self, name: str) -> str:
        unique, count = name, 2
        while unique in self.names:
            unique, count = f"{name}_{count}", count + 1
        self.names.add(unique)
        return unique


def activated(operator: FileOperator, made: Nodes, value: str, code: float) -> str:
    """A float value after a fused activation, by its number in the schema."""
    if code == 0:
        return value
    if code not in _ACTIVATIONS:
        raise ModelError(f"{operator.name}: activation {code:g}: RELU, RELU_N1_TO_1 and RELU6 are supported")
    kind, bounds = _ACTIVATIONS[code]
    limits = [made.put(np.array(bound, np.float32), f"{operator.name}_bound") for bound in bounds]
    return made.node(kind, [value, *limits], f"{operator.name}_activation")


def rounded(
    operator: FileOperator, made: Nodes, value: str, shape: tuple[int, ...], order: np.ndarray | None = None
) -> Held:
    """A float value rounded as an operator's result."""
    return Held(made.quantized(value, made.result(operator)), shape, order)


def same_scale(source: FileTensor, target: FileTensor) -> bool:
    """Whether two tensors have one scale and one zero point."""
    return (source.scales, source.zero_points) == (target.scales, target.zero_points)
