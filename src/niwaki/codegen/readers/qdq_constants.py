"""The constants of a QDQ ONNX: weights and biases as exact numbers, scales and zero points checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from niwaki.codegen.graph.arithmetic import HIGH, LOW
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label

PER_TENSOR = "quantize activations per tensor (in NNCF, activations_quantization_params with per_channel=False)"
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# Operators that give a constant if their inputs are constants; others were folded with the shapes.
_FOLDED = (QUANTIZE, DEQUANTIZE, "Clip", "Expand", "Identity", "Transpose")
_INTEGERS = tuple(map(np.dtype, (np.int8, np.uint8, np.int16, np.uint16, np.int32)))
_FEW_BITS = ("int4", "uint4", "int2", "uint2")  # types that NumPy itself does not have
_TYPES = {np.dtype(np.int8): 0, np.dtype(np.uint8): 128}  # and the offset of uint8 from int8


@dataclass(frozen=True)
class Quantization:
    """How numbers became int8: `q = round(number / scale) + zero_point`, saturated."""

    scale: float  # exactly a float32
    zero_point: int

    def quantize(self, number: float) -> int:
        """What QuantizeLinear does: the float32 quotient, rounded to the nearest (halves to even), saturated."""
        return int(self.quantize_all(np.array([number]))[0])

    def quantize_all(self, numbers: np.ndarray) -> np.ndarray:
        """`quantize` for an array: int8 of the same shape."""
        quantized = _quantize(numbers, np.float32(self.scale), self.zero_point, LOW, HIGH)
        return quantized.astype(np.int8)

    def is_exact(self, number: float) -> bool:
        """Whether `number` is what its int8 value represents, or is beyond the range of int8."""
        exact = Fraction(number) / Fraction(self.scale) + self.zero_point if np.isfinite(number) else None
        return exact is None or exact.denominator == 1 or not LOW < exact < HIGH


@dataclass(frozen=True, eq=False)
class Weights:
    """A quantized constant: the number is `values * scale`, with one scale for all, or one for each index of `axis`."""

    values: np.ndarray  # int64, the zero point subtracted
    scale: tuple[Fraction, ...]
    axis: int
    dtype: np.dtype[Any]  # in the file; int8 for types with fewer bits

    def transposed(self, order: Sequence[int]) -> Weights:
        """With axes in another order."""
        return Weights(self.values.transpose(order), self.scale, list(order).index(self.axis), self.dtype)

    def numbers(self) -> np.ndarray:
        """The exact numbers: an array of Fractions."""
        shape = [1] * self.values.ndim
        if len(self.scale) > 1:
            shape[self.axis] = -1
        scales = np.array(self.scale, object).reshape(shape)
        return np.array(self.values.astype(object) * scales, object).reshape(self.values.shape)


def name_of(node: NodeProto) -> str:
    """A node's name; that of its first output if it has none."""
    return node.name or node.output[0]


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name, as Python values; text is decoded."""
    values = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}


class Constants:
    """The parts of a model that do not depend on its input."""

    def __init__(self, model: ModelProto) -> None:
        """`model` has the types of its values inferred."""
        values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
        self._types = {value.name: value.type.tensor_type.elem_type for value in values}
        self._arrays = {tensor.name: tensor for tensor in model.graph.initializer}
        self._makers: dict[str, NodeProto] = {}
        self.opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
        for node in model.graph.node:
            if node.op_type in _FOLDED and all(name in self for name in node.input if name):
                self._makers[node.output[0]] = node

    def __contains__(self, name: str) -> bool:
        return name in self._arrays or name in self._makers

    def array(self, name: str, reader: NodeProto) -> np.ndarray:
        """A constant as stored, or clipped. Raises ModelError naming `reader` if there is none."""
        if name in self._arrays:
            return _array(self._arrays[name])
        if name in self._makers and self._makers[name].op_type == "Clip":
            maker = self._makers[name]
            clipped: np.ndarray = np.clip(self.integers(maker.input[0], reader), *self.bounds(maker))
            return clipped
        if name in self._makers and self._makers[name].op_type != QUANTIZE:
            return self.weights(name, reader).numbers().astype(np.float32)
        raise ModelError(f"{label(reader)}: {name!r} must be a constant")

    def integers(self, name: str, reader: NodeProto) -> np.ndarray:
        """A constant as stored, clipped or quantized in the graph. Raises ModelError naming `reader`."""
        maker = self._makers.get(name)
        return self._quantized(maker) if maker is not None and maker.op_type == QUANTIZE else self.array(name, reader)

    def is_unsigned(self, name: str) -> bool:
        """Whether a tensor is uint8 in the file."""
        return self._types.get(name) == TensorProto.UINT8

    def bounds(self, clip: NodeProto) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The bounds of a Clip; None for a bound that it does not have."""
        found = [self.array(name, clip) if name else None for name in (*clip.input[1:3], "", "")[:2]]
        for bound in found:
            if bound is not None and bound.size != 1:
                raise ModelError(f"{label(clip)}: a bound of {bound.size} numbers: one is needed")
        low, high = (None if bound is None else bound.reshape(()) for bound in found)
        return low, high

    def quantization(self, node: NodeProto) -> tuple[Quantization, tuple[Fraction, ...]]:
        """The quantization of an activation in a QuantizeLinear or DequantizeLinear, for int8: uint8 is shifted by 128.

        If every channel has a scale of its own, it is that of the first, and the others' factors come with it.

        Raises ModelError for another type, zero points that differ, and a scale that is not a positive number.
        """
        scale, zero_point, dtype = self._parameters(node)
        if dtype not in _TYPES:
            raise ModelError(f"{label(node)}: activations are {dtype}, {_why_not(dtype)}")
        found = Quantization(float(scale.flat[0]), int(zero_point.flat[0]) - _TYPES[dtype])
        if scale.size == 1:
            return found, ()
        if len(set(zero_point.flat)) > 1 or attributes(node).get("axis", 1) != 1:
            raise ModelError(f"{label(node)}: {scale.size} zero points, or scales not for channels: {PER_TENSOR}")
        return found, tuple(Fraction(one) / Fraction(found.scale) for one in scale.ravel().tolist())

    def weights(self, name: str, reader: NodeProto) -> Weights:
        """A constant that is stored quantized, or as float and quantized in the graph.

        Raises ModelError naming `reader` if it is neither.
        """
        maker = self._makers.get(name)
        if maker is not None and maker.op_type == "Identity":
            return self.weights(maker.input[0], reader)
        if maker is not None and maker.op_type == "Expand":
            weights = self.weights(maker.input[0], reader)
            shape = np.broadcast_shapes(weights.values.shape, tuple(self.array(maker.input[1], reader).tolist()))
            if len(weights.scale) > 1:
                raise ModelError(f"{label(maker)}: a constant with {len(weights.scale)} scales: one is supported")
            return replace(weights, values=np.broadcast_to(weights.values, shape), axis=0)
        if maker is not None and maker.op_type == "Transpose":
            weights = self.weights(maker.input[0], reader)
            axes = range(weights.values.ndim)
            order = attributes(maker).get("perm", axes[::-1])
            if sorted(order) != list(axes):
                raise ModelError(f"{label(maker)}: perm {list(order)} of a constant with {len(axes)} axes")
            return weights.transposed(order)
        if maker is None or maker.op_type != DEQUANTIZE:
            raise ModelError(
                f"{label(reader)}: {name!r} is not quantized: int8 constants with DequantizeLinear are supported: if "
                "your tool left this layer float, let it quantize every layer"
            )
        return self._dequantized(maker, reader)

    def stored(self, name: str, reader: NodeProto) -> Weights | None:
        """A constant as it is quantized in the file; None if it is float."""
        return self.weights(name, reader) if name in self._makers else None

    def numbers(self, name: str, reader: NodeProto) -> np.ndarray:
        """A constant as an array of Fractions, whether it is stored as float or quantized.

        Raises ModelError naming `reader` if it is not a constant or not finite.
        """
        if name in self._makers:
            return self.weights(name, reader).numbers()
        values = self.array(name, reader)
        if not np.isfinite(values).all():
            raise ModelError(f"{label(reader)}: {name!r} has values that are not finite")
        return np.array([Fraction(value) for value in values.ravel().tolist()], object).reshape(values.shape)

    def quantized(self, name: str, reader: NodeProto) -> tuple[np.ndarray, Quantization]:
        """A constant as int8 values, and what they stand for: by the file's scale, if it has one, or by its range."""
        if name in self._makers:
            weights = self.weights(name, reader)
            low, high = int(weights.values.min()), int(weights.values.max())
            zero_point = max(LOW - low, 0) or min(HIGH - high, 0)
            if len(weights.scale) == 1 and high + zero_point <= HIGH:
                return weights.values + zero_point, Quantization(float(weights.scale[0]), zero_point)
        numbers = self.numbers(name, reader).astype(np.float64)
        ends = min(float(numbers.min()), 0.0), max(float(numbers.max()), 0.0)
        scale = float(np.float32((ends[1] - ends[0]) / 255)) or 1.0
        found = Quantization(scale, round(LOW - ends[0] / scale))
        return found.quantize_all(numbers), found

    def number(self, name: str, reader: NodeProto) -> float:
        """A constant with one element, infinity allowed. Raises ModelError naming `reader` for anything else."""
        values = self.weights(name, reader).numbers() if name in self._makers else self.array(name, reader)
        if values.size != 1 or np.isnan(float(values.flat[0])):
            raise ModelError(f"{label(reader)}: {name!r} must be one number")
        return float(values.flat[0])

    def _dequantized(self, node: NodeProto, reader: NodeProto) -> Weights:
        scale, zero_point, _ = self._parameters(node)
        values = self.integers(node.input[0], reader)
        few = values.dtype.name in _FEW_BITS
        if not few and values.dtype not in _INTEGERS:
            known = ", ".join([*map(str, _INTEGERS), *_FEW_BITS])
            raise ModelError(f"{label(node)}: a constant of {values.dtype}: {known} are supported")
        axis = _axis(node, scale, values.shape)
        centred = values.astype(np.int64) - _along(zero_point, axis, values.ndim)
        scales = tuple(Fraction(s) for s in scale.ravel().tolist())
        if few:  # whatever the zero point, within -15 and 15: int8 holds them exactly
            return Weights(centred, scales, axis, np.dtype(np.int8))
        return Weights(centred, scales, axis, values.dtype)

    def _quantized(self, node: NodeProto) -> np.ndarray:
        """The result of a QuantizeLinear of a float constant."""
        scale, zero_point, dtype = self._parameters(node)
        if dtype not in _TYPES:
            raise ModelError(f"{label(node)}: constants become {dtype}: int8 and uint8 are supported")
        values = self.array(node.input[0], node)
        if np.isnan(values).any():
            raise ModelError(f"{label(node)}: {node.input[0]!r} has NaN values")
        axis = _axis(node, scale, values.shape)
        scale, zero_point = (_along(part, axis, values.ndim) for part in (scale, zero_point))
        return _quantize(values, scale, zero_point, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)

    def _parameters(self, node: NodeProto) -> tuple[np.ndarray, np.ndarray, np.dtype[Any]]:
        """Scale, zero point (int64) and integer type of a QuantizeLinear or DequantizeLinear."""
        scale = self.array(node.input[1], node)
        bad = scale[~(np.isfinite(scale) & (scale > 0))] if scale.dtype == np.float32 else scale
        if bad.size:
            raise ModelError(f"{label(node)}: a scale of {bad.flat[0]} ({scale.dtype}): positive float32 is needed")
        if attributes(node).get("block_size", 0):
            raise ModelError(f"{label(node)}: scales for blocks: one scale for all, or one for each channel")
        if len(node.input) < 3 or not node.input[2]:
            return scale, np.zeros(scale.shape, np.int64), self._integers(node)
        zero_point = self.array(node.input[2], node)
        if node.op_type == DEQUANTIZE and zero_point.dtype != self._integers(node):
            raise ModelError(f"{label(node)}: a zero point of {zero_point.dtype} for {self._integers(node)}")
        if zero_point.size != scale.size:
            raise ModelError(f"{label(node)}: {zero_point.size} zero points for {scale.size} scales")
        return scale, zero_point.astype(np.int64), zero_point.dtype

    def _integers(self, node: NodeProto) -> np.dtype[Any]:
        """The type that a QuantizeLinear without zero point produces, or that a DequantizeLinear reads."""
        name, kind = node.input[0], attributes(node).get("output_dtype", 0) or TensorProto.UINT8
        if node.op_type == DEQUANTIZE:
            kind = self._arrays[name].data_type if name in self._arrays else self._types.get(name, 0)
        return np.dtype(helper.tensor_dtype_to_np_dtype(kind)) if kind else np.dtype(object)


def _why_not(dtype: np.dtype[Any]) -> str:
    """Why activations of a type are not supported, and what to do."""
    if dtype.name in _FEW_BITS:
        return "under 8 bits: the C holds a byte for each: quantize activations to 8 bits; weights may have 4 or 2"
    if dtype.kind in "iu":
        return "of more than 8 bits: the C multiplies bytes: quantize activations as int8 (activation_type=QInt8)"
    return "which are no integers: the C computes with integers alone: quantize the network again as int8"


def _axis(node: NodeProto, scale: np.ndarray, shape: tuple[int, ...]) -> int:
    """The axis of a constant that the scales follow; 0 if there is one for all."""
    if scale.size == 1:
        return 0
    axis = attributes(node).get("axis", 1)
    axis += len(shape) if axis < 0 else 0
    if scale.ndim != 1 or not 0 <= axis < len(shape) or shape[axis] != scale.size:
        raise ModelError(f"{label(node)}: {scale.size} scales for a constant of shape {shape}")
    return int(axis)


def _array(tensor: TensorProto) -> np.ndarray:
    array: np.ndarray = numpy_helper.to_array(tensor)
    return array


def _along(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """One value for all, or one for each index of `axis`, in a shape that broadcasts."""
    if values.size == 1:
        return values.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


def _quantize(
    numbers: np.ndarray, scale: np.ndarray | np.float32, zero_point: np.ndarray | int, low: int, high: int
) -> np.ndarray:
    """The float32 quotients rounded to the nearest integer, halves to even, shifted and saturated."""
    with np.errstate(over="ignore"):  # saturated in any case, however far beyond int8
        quotients = np.rint(np.asarray(numbers, np.float32) / scale)
    quantized: np.ndarray = np.clip(quotients.astype(np.float64) + zero_point, low, high)
    return quantized
