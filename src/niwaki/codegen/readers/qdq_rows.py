"""Operators along one axis or some: means, sums, maxima, normalization, Softmax, products of two activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile
from math import prod

import numpy as np
from onnx import NodeProto

from niwaki.codegen.graph.arithmetic import rescale_of
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.operators import rows
from niwaki.codegen.readers.qdq_constants import attributes, name_of
from niwaki.codegen.readers.qdq_inputs import Inputs, axes_of
from niwaki.codegen.readers.qdq_values import Operation, Value
from niwaki.codegen.readers.qdq_views import Peak, View
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape

MOST_NORMALIZED = 1 << 16  # numbers in a group: its sums and products stay within 64 bits
_MOST_SHIFT, _LEAST_SHIFT, _FREE_SHIFT = 47, 17, 40


@dataclass(frozen=True, eq=False)
class Total(Operation):
    """The sum along axes, or the mean: divided by their elements."""

    axes: tuple[int, ...]
    mean: bool

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """One factor; a sum of 2**23 int8 values fits 32 bits."""
        source = tensors[self.inputs[0]]
        count = prod(source.shape[axis] for axis in self.axes)
        if count >= 1 << 23:
            raise ModelError(f"{self.name}: a sum of {count:,} values: fewer than {1 << 23:,} are supported")
        factor = Fraction(source.scale) / Fraction(output.scale) / (count if self.mean else 1)
        rescale = rescale_of([factor], self.name)
        return rows.Reduce(self.name, self.inputs, output.name, self.axes, rescale, clamp)


@dataclass(frozen=True, eq=False)
class Normal(Operation):
    """Mean 0 (unless `root`) and variance 1 along `axes`, then factors and offsets along `by`: Fractions, flat."""

    axes: tuple[int, ...]
    by: tuple[int, ...]
    epsilon: float
    factors: np.ndarray
    offsets: np.ndarray
    root: bool = False

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """Factors share one shift, that of the largest."""
        source, step = tensors[self.inputs[0]], Fraction(output.scale)
        count = prod(source.shape[axis] for axis in self.axes)
        if count > MOST_NORMALIZED:
            raise ModelError(
                f"{self.name}: normalizes {count:,} numbers at a time: up to {MOST_NORMALIZED:,} fit 64 bits"
            )
        epsilon = Fraction(self.epsilon) * count * count / Fraction(source.scale) ** 2
        most = max(abs(factor) for factor in self.factors)
        largest = most / step / (1 << rows.NUMBER_BITS)
        shift = min(30 - math.floor(math.log2(largest)) if largest else _FREE_SHIFT, _MOST_SHIFT)
        if shift < _LEAST_SHIFT:
            raise ModelError(f"{self.name}: a factor of ±{float(most):g} is too large for the output's scale")
        unit = Fraction(1 << shift) / step / (1 << rows.NUMBER_BITS)
        factors = np.array([round(factor * unit) for factor in self.factors]).clip(1 - 2**31, 2**31 - 1)
        offsets = np.array([round(offset / step * (1 << rows.OFFSET_BITS)) for offset in self.offsets], object)
        return rows.Normalize(
            self.name, self.inputs, output.name, self.axes, int(min(max(round(epsilon), 1), 1 << 58)),
            factors.astype(np.int32), offsets.clip(-(2**30), 2**30).astype(np.int32), shift, self.by, self.root, clamp,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Shares(Operation):
    """Softmax."""

    axis: int

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """The exponentials of all differences of two int8 values."""
        step = tensors[self.inputs[0]].scale
        powers = [round(math.exp(-difference * step) * (1 << rows.EXP_BITS)) for difference in range(256)]
        rescale = rescale_of([1 / Fraction(output.scale) / (1 << rows.SHARE_BITS)], self.name)
        table = np.array(powers, np.int32)
        return rows.Softmax(self.name, self.inputs, output.name, self.axis, table, rescale, clamp)


@dataclass(frozen=True, eq=False)
class Matrices(Operation):
    """The product of two activations."""

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """One factor."""
        a, b = (tensors[name] for name in self.inputs)
        if a.shape[-1] * 255 * 255 >= 1 << 31:
            raise ModelError(f"{self.name}: a sum of {a.shape[-1]:,} products could leave 32 bits")
        factor = Fraction(a.scale) * Fraction(b.scale) / Fraction(output.scale)
        return rows.Matmul(self.name, self.inputs, output.name, rescale_of([factor], self.name), clamp)


def reduced_axes(node: NodeProto, inputs: Inputs) -> tuple[int, ...]:
    """The axes of a reduction, without the batch, in order."""
    full = inputs.full_shape(node.input[0])
    axes = attributes(node).get("axes")
    if len(node.input) > 1 and node.input[1]:
        axes = inputs.constants.array(node.input[1], node).ravel().tolist()
    if node.op_type.startswith("Global"):
        axes = list(range(2, len(full)))
    if not axes and attributes(node).get("noop_with_empty_axes", 0):
        raise ModelError(f"{label(node)}: without axes it does nothing: leave it out")
    axes = axes or list(range(1, len(full)))
    return tuple(sorted(axes_of(node, full, axes)))


def _reduced(node: NodeProto, inputs: Inputs, axes: tuple[int, ...]) -> tuple[Value, tuple[int, ...], Shape]:
    """A node's input with the axes to reduce side by side (the last ones if they were not), these, and what is left."""
    value, shape = inputs.value(node.input[0], node), inputs.shape(node.input[0])
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    left = tuple(shape[axis] for axis in kept) or (1,)
    if axes == tuple(range(axes[0], axes[-1] + 1)):
        return value, axes, left
    index = np.arange(prod(shape)).reshape(shape).transpose(*kept, *axes)
    turned = value.moved(name_of(node), index.shape, index.reshape(-1))
    return turned, tuple(range(len(kept), len(shape))), left


def total(node: NodeProto, inputs: Inputs) -> Value:
    """ReduceMean, ReduceSum and GlobalAveragePool."""
    axes, target = reduced_axes(node, inputs), inputs.shape(node.output[0])
    value, beside, left = _reduced(node, inputs, axes)
    mean = node.op_type != "ReduceSum"
    if beside == axes:
        return Value(Total(name_of(node), (inputs.tensor(node.input[0], node),), target, axes, mean), target)
    tensor = inputs.held(value, f"{node.input[0]}_turned", node)
    made = Value(Total(name_of(node), (tensor,), left, beside, mean), left)
    return made if left == target else made.seen(View(name_of(node), target))


def _peak(node: NodeProto, inputs: Inputs) -> Value:
    """ReduceMax and GlobalMaxPool: the numbers stay as they are."""
    axes, target = reduced_axes(node, inputs), inputs.shape(node.output[0])
    value, beside, left = _reduced(node, inputs, axes)
    if beside == axes:
        return value.seen(Peak(name_of(node), target, axes))
    made = value.seen(Peak(name_of(node), left, beside))
    return made if left == target else made.seen(View(name_of(node), target))


def _layer_normalization(node: NodeProto, inputs: Inputs) -> Value:
    """Also RMSNormalization."""
    given, full = attributes(node), inputs.full_shape(node.input[0])
    first = given.get("axis", -1) % len(full)
    axes = axes_of(node, full, range(first, len(full)))
    size = prod(full[first:])
    root = node.op_type == "RMSNormalization"
    parts = []
    for name, number in zip((*node.input[1:], "")[:2], (1, 0), strict=True):
        numbers = inputs.constants.numbers(name, node).ravel() if name else np.full(size, Fraction(number), object)
        if numbers.size not in (1, size):
            raise ModelError(f"{label(node)}: {numbers.size} factors or offsets for {size} numbers")
        parts.append(np.broadcast_to(numbers, size))
    shape, (factors, offsets) = inputs.shape(node.input[0]), parts
    tensor = inputs.tensor(node.input[0], node)
    epsilon = given.get("epsilon", 1e-5)
    return Value(Normal(name_of(node), (tensor,), shape, axes, axes, epsilon, factors, offsets, root), shape)


def _unit(node: NodeProto, inputs: Inputs) -> Value:
    """LpNormalization: divided by the L2 norm along an axis, the root of n times the mean square."""
    given, full, shape = attributes(node), inputs.full_shape(node.input[0]), inputs.shape(node.input[0])
    if given.get("p", 2) != 2:
        raise ModelError(f"{label(node)}: p = {given['p']}: the L2 norm, p = 2, is supported")
    axes = axes_of(node, full, [given.get("axis", -1)])
    factor = np.array([Fraction(1 / math.sqrt(shape[axes[0]]))], object)
    tensor = inputs.tensor(node.input[0], node)
    return Value(Normal(name_of(node), (tensor,), shape, axes, (), 0.0, factor, 0 * factor, root=True), shape)


def _instance_normalization(node: NodeProto, inputs: Inputs) -> Value:
    """Each channel by itself, over all that lies in it."""
    shape = inputs.shape(node.input[0])
    parts = [inputs.constants.numbers(name, node).ravel() for name in node.input[1:3]]
    if len(shape) < 2 or any(part.size != shape[0] for part in parts):
        raise ModelError(f"{label(node)}: values of shape {shape}: one factor and one offset for each channel")
    tensor, (factors, offsets) = inputs.tensor(node.input[0], node), parts
    axes = tuple(range(1, len(shape)))
    epsilon = attributes(node).get("epsilon", 1e-5)
    return Value(Normal(name_of(node), (tensor,), shape, axes, (0,), epsilon, factors, offsets), shape)


def _softmax(node: NodeProto, inputs: Inputs) -> Value:
    full, shape = inputs.full_shape(node.input[0]), inputs.shape(node.input[0])
    old = inputs.constants.opset < 13  # then it goes over all axes from this one on
    axis = attributes(node).get("axis", 1 if old else -1)
    if old and axis % len(full) < len(full) - 1:
        raise ModelError(
            f"{label(node)}: axis {axis} of {full} at opset {inputs.constants.opset}: the last is supported"
        )
    (at,) = axes_of(node, full, [axis])
    tensor = inputs.tensor(node.input[0], node)
    return Value(Shares(name_of(node), (tensor,), shape, at), shape)


def matrices(node: NodeProto, inputs: Inputs) -> Value:
    """MatMul of two activations, with as many matrices on both sides or one on one."""
    shapes = [inputs.shape(name) for name in node.input]
    before = {tuple(dropwhile((1).__eq__, shape[:-2])) for shape in shapes} - {()}
    if any(len(shape) < 2 for shape in shapes) or len(before) > 1:
        raise ModelError(
            f"{label(node)}: two activations of shapes {shapes[0]} and {shapes[1]}: matrices, as many on both sides or "
            "one, are supported"
        )
    tensors = tuple(inputs.tensor(name, node) for name in node.input)
    target = inputs.shape(node.output[0])
    return Value(Matrices(name_of(node), tensors, target), target)


OPERATORS: dict[str, Callable[[NodeProto, Inputs], Value]] = {
    "GlobalMaxPool": _peak,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LpNormalization": _unit,
    "RMSNormalization": _layer_normalization,
    "ReduceMax": _peak,
    "ReduceSum": total,
    "Softmax": _softmax,
}
