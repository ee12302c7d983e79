"""Element-wise functions of one tensor between DequantizeLinear and QuantizeLinear: any number of nodes, one table.

A function is known by its numbers: what it gives for each of the 256 values of its tensor. So nodes one after another,
and nodes that meet again (`x * sigmoid(x)`), are composed without rounding in between, whatever they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from onnx import NodeProto

from niwaki.codegen.graph.arithmetic import HIGH, LOW, Rescale
from niwaki.codegen.graph.graph import Layer, Pair, Tensor
from niwaki.codegen.graph.lines import lines_of
from niwaki.codegen.graph.operators import functions, rows
from niwaki.codegen.readers.qdq_constants import Weights, attributes, name_of
from niwaki.codegen.readers.qdq_inputs import Inputs
from niwaki.codegen.readers.qdq_values import Operation, Product, Value
from niwaki.codegen.readers.qdq_views import Window
from niwaki.errors import ModelError
from niwaki.models.onnxcheck import label
from niwaki.models.onnxfold import Shape

_SNAP = 1 << 24  # parts of a step: the last bits of exp or tanh differ between machines, and must not decide a tie
_ONE = 127  # the weight that stands for a factor
_LINES = 9  # tables: from here on lines take half of their bytes

Given = Mapping[str, Any]
Line = tuple[np.ndarray, np.ndarray]
"""`factor * x + offset`: Fractions, one each for every row of a function's numbers."""


@dataclass(frozen=True, eq=False)
class Step:
    """A node of a function, with its constant if it is quantized: for kernels that round in their own places."""

    kind: str
    given: Given = field(default_factory=dict)
    constant: Weights | None = None
    axis: int = 0
    """The axis that several numbers of the constant follow."""
    first: bool = False
    """Whether the constant is its first input."""


@dataclass(frozen=True, eq=False)
class Function(Operation):
    """A function of each element of its only input: float64 numbers (1 or the size of `axis`, 256), −128 first."""

    numbers: np.ndarray
    axis: int = 0
    line: Line | None = None  # if it is one; then numbers of channels take a multiplication, not tables
    nodes: tuple[Step, ...] = ()

    @property
    def is_multiplied(self) -> bool:
        """Whether its layer multiplies by a factor for each channel; otherwise it is a table."""
        of_channels = len(self.shape) == 3 and self.axis == 0
        return self.line is not None and len(self.numbers) > 1 and (of_channels or self.axis == len(self.shape) - 1)

    def layer(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """A table: every number divided by the output's scale, rounded to the nearest, ties up; NaN is 0."""
        if self.is_multiplied:
            return self._scaled(output, tensors, clamp)
        steps = np.clip(np.nan_to_num(self.numbers, posinf=1e30, neginf=-1e30) / output.scale, -1024, 1024)
        whole = np.floor(np.rint(steps * _SNAP) / _SNAP + 0.5) + output.zero_point
        table = np.clip(whole, *clamp).astype(np.int8)
        lines = lines_of(self.numbers, table, output, clamp) if len(table) >= _LINES else None
        return functions.Lookup(self.name, self.inputs, output.name, table, self.axis if len(table) > 1 else 0, lines)

    def _scaled(self, output: Tensor, tensors: Mapping[str, Tensor], clamp: Pair) -> Layer:
        """A depthwise 1×1 convolution: weights of ±127, whose unit is a 127th of the factor."""
        assert self.line is not None
        source, (factors, offsets) = tensors[self.inputs[0]], self.line
        weights = np.array([[[[_ONE * ((f > 0) - (f < 0))]]] for f in factors], np.int64)
        step = Fraction(source.scale)
        scales = tuple(abs(f) / _ONE if f else step for f in factors)
        if len(self.shape) == 3 and self.axis == 0:
            return _depthwise(self.name, self.inputs, self.shape, weights, scales, offsets).layer(
                output, tensors, clamp
            )
        held = Weights(weights.reshape(-1), scales, 0, np.dtype(np.int8))
        return Factors(self.name, self.inputs, self.shape, held, offsets).layer(output, tensors, clamp)


@dataclass(frozen=True, eq=False)
class Factors(Product):
    """A factor and an offset for each index of the last axis."""

    def made(self, output: Tensor, weights: np.ndarray, numbers: np.ndarray, rescale: Rescale, clamp: Pair) -> Layer:
        """The layer from its integers: weights int8 (C,), bias int32."""
        return rows.Scale(self.name, self.inputs, output.name, weights, numbers, rescale, clamp)


def _depthwise(
    name: str, inputs: tuple[str, ...], shape: Shape, weights: np.ndarray, scales: tuple[Fraction, ...],
    offsets: np.ndarray,
) -> Product:  # fmt: skip
    """A depthwise 1×1 convolution of an image."""
    held = Weights(weights, scales, 0, np.dtype(np.int8))
    return Product(name, inputs, shape, held, offsets, Window((1, 1)), shape[0])


def function_of(value: Value, name: str, node: NodeProto, inputs: Inputs) -> Function:
    """A float value as a function of a tensor. Raises ModelError if rounding alone gives that tensor."""
    if isinstance(value.source, Function) and not value.views:
        return clamped(value.source, value.clamp)
    plain = isinstance(value.source, str) and not value.views
    tensor = value.source if plain and isinstance(value.source, str) else inputs.tensor(name, node)
    held = inputs.held_tensor(tensor)
    steps = np.arange(LOW, HIGH + 1) - held.zero_point
    ones, scale = np.full(1, Fraction(1), object), held.scale
    found = Function(name_of(node), (tensor,), held.shape, steps[None] * scale, 0, (ones, 0 * ones))
    return clamped(found, value.clamp) if plain else found


def clamped(function: Function, clamp: tuple[float, float]) -> Function:
    """After a Relu or Clip."""
    if clamp == (-math.inf, math.inf):
        return function
    nodes = (*function.nodes, Step("Clip"))
    return replace(function, numbers=np.clip(function.numbers, *clamp), line=None, nodes=nodes)


def common_axis(node: NodeProto, *parts: tuple[np.ndarray, int]) -> int:
    """The axis along which numbers vary, of each of which there is one, or one for each index of its axis."""
    axes = {axis for numbers, axis in parts if len(numbers) > 1}
    if len(axes) > 1:
        raise ModelError(f"{label(node)}: constants along two axes, one after the other: quantize in between")
    return axes.pop() if axes else 0


def together(
    node: NodeProto, a: Function, b: Function, compute: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Value:
    """Two functions of one tensor, computed with element by element. Raises ModelError if they vary along two axes."""
    axis = common_axis(node, (a.numbers, a.axis), (b.numbers, b.axis))
    nodes = (*a.nodes, *b.nodes, Step(node.op_type))
    return _value(node, replace(a, numbers=compute(a.numbers, b.numbers), axis=axis, line=None, nodes=nodes))


def same_tensor(a: Value, b: Value) -> bool:
    """Whether two values are functions of one tensor, and at least one of them is more than the tensor itself."""
    sources = [value.source for value in (a, b)]
    tensors = [source.inputs[0] if isinstance(source, Function) else source for source in sources]
    if a.views or b.views or not any(isinstance(source, Function) for source in sources):
        return False
    return isinstance(tensors[0], str) and tensors[0] == tensors[1]


def rows_of(numbers: np.ndarray, shape: Shape) -> tuple[np.ndarray, int] | None:
    """A constant against values of `shape`: flat, one number or one for each index of an axis, and that axis.

    None if it has more than one axis with more than one element, or makes the result larger.
    """
    sides = numbers.shape[1:] if numbers.ndim > len(shape) else numbers.shape
    lead = numbers.shape[: numbers.ndim - len(sides)]
    aligned_sides = (1,) * (len(shape) - len(sides)) + sides
    wide = [axis for axis, side in enumerate(aligned_sides) if side > 1]
    if any(side != 1 for side in lead) or len(aligned_sides) != len(shape) or len(wide) > 1:
        return None
    if wide and aligned_sides[wide[0]] != shape[wide[0]]:
        return None
    return numbers.reshape(-1), wide[0] if wide else 0


def _value(node: NodeProto, function: Function) -> Value:
    return Value(replace(function, name=name_of(node)), function.shape)


def _unary(compute: Callable[[np.ndarray, Given], np.ndarray]) -> Callable[[NodeProto, Inputs], Value]:
    def read(node: NodeProto, inputs: Inputs) -> Value:
        function = function_of(inputs.value(node.input[0], node), node.input[0], node, inputs)
        with np.errstate(all="ignore"):  # a number that is none becomes 0, infinity the end of the range
            numbers = compute(function.numbers, attributes(node))
        nodes = (*function.nodes, Step(node.op_type, attributes(node)))
        return _value(node, replace(function, numbers=numbers, line=None, nodes=nodes))

    return read


def _each(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    """One number at a time, since NumPy's own vectors differ between processors."""
    each: Callable[[np.ndarray], np.ndarray] = np.vectorize(function, otypes=[np.float64])
    return each


def _exp(x: float) -> float:
    return math.exp(min(x, 700.0))


_expm1, _erf, _tanh = _each(lambda x: math.expm1(min(x, 700.0))), _each(math.erf), _each(math.tanh)
_log = _each(lambda x: math.log(x) if x > 0 else -math.inf if x == 0 else math.nan)
_softplus = _each(lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))))
_sigmoid = _each(lambda x: 1 / (1 + _exp(-x)))


def _elu(x: np.ndarray, alpha: float, gamma: float = 1.0) -> np.ndarray:
    found: np.ndarray = gamma * np.where(x > 0, x, alpha * _expm1(x))
    return found


def _gelu(x: np.ndarray, given: Given) -> np.ndarray:
    if given.get("approximate", "none") == "tanh":
        part = _tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        part = _erf(x / math.sqrt(2))
    found: np.ndarray = x / 2 * (1 + part)
    return found


UNARY: dict[str, Callable[[np.ndarray, Given], np.ndarray]] = {
    "Abs": lambda x, _: np.abs(x),
    "Celu": lambda x, given: np.where(x > 0, x, given.get("alpha", 1.0) * _expm1(x / given.get("alpha", 1.0))),
    "Elu": lambda x, given: _elu(x, given.get("alpha", 1.0)),
    "Erf": lambda x, _: _erf(x),
    "Exp": lambda x, _: _each(_exp)(x),
    "Floor": lambda x, _: np.floor(x),
    "Gelu": _gelu,
    "HardSigmoid": lambda x, given: np.clip(given.get("alpha", 0.2) * x + given.get("beta", 0.5), 0, 1),
    "HardSwish": lambda x, _: x * np.clip(x / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda x, given: np.where(x > 0, x, given.get("alpha", 0.01) * x),
    "Log": lambda x, _: _log(x),
    "Mish": lambda x, _: x * _tanh(_softplus(x)),
    "Neg": lambda x, _: -x,
    "Not": lambda x, _: x == 0,
    "Reciprocal": lambda x, _: 1 / x,
    "Selu": lambda x, given: _elu(x, given.get("alpha", 1.6732632), given.get("gamma", 1.0507010)),
    "Sigmoid": lambda x, _: _sigmoid(x),
    "Sign": lambda x, _: np.sign(x),
    "Softplus": lambda x, _: _softplus(x),
    "Softsign": lambda x, _: x / (1 + np.abs(x)),
    "Sqrt": lambda x, _: np.sqrt(x),
    "Tanh": lambda x, _: _tanh(x),
    "ThresholdedRelu": lambda x, given: np.where(x > given.get("alpha", 1.0), x, 0.0),
}
"""Functions of one number: float64, from a node's attributes."""


def _prelu(node: NodeProto, inputs: Inputs) -> Value:
    function = function_of(inputs.value(node.input[0], node), node.input[0], node, inputs)
    slopes, axis = constant_rows(node.input[1], function.shape, node, inputs)
    slope, x = slopes.astype(np.float64)[:, None], function.numbers
    axis = common_axis(node, (slope, axis), (x, function.axis))
    step = step_with_constant(node, inputs, 1, axis)
    nodes = (*function.nodes, step)
    return _value(node, replace(function, numbers=np.where(x > 0, x, slope * x), axis=axis, line=None, nodes=nodes))


def _where(node: NodeProto, inputs: Inputs) -> Value:
    """One of two functions of one tensor, or constants, as a third one says."""
    read = [(name, None if name in inputs.constants else inputs.value(name, node)) for name in node.input]
    values = [value for _, value in read if value is not None]
    if not isinstance(values[0].source, Function) or any(not same_tensor(values[0], value) for value in values[1:]):
        raise ModelError(f"{label(node)}: two activations: constants are supported, or functions of one tensor")
    first = function_of(values[0], node.input[0], node, inputs)
    parts = [
        constant_rows(name, first.shape, node, inputs)[0].astype(np.float64)[:, None]
        if value is None
        else function_of(value, name, node, inputs).numbers
        for name, value in read
    ]
    if max(len(part) for part in parts) > len(first.numbers):
        raise ModelError(f"{label(node)}: a constant for each channel: one number is supported")
    nodes = (*first.nodes, Step("Where"))
    return _value(node, replace(first, numbers=np.where(parts[0] != 0, parts[1], parts[2]), line=None, nodes=nodes))


def step_with_constant(node: NodeProto, inputs: Inputs, place: int, axis: int) -> Step:
    """A node whose input number `place` is a constant."""
    held = inputs.constants.stored(node.input[place], node)
    return Step(node.op_type, attributes(node), held, axis, first=place == 0)


def constant_rows(name: str, shape: Shape, node: NodeProto, inputs: Inputs) -> tuple[np.ndarray, int]:
    """A constant as `rows_of` gives it. Raises ModelError naming the node if it has another shape."""
    numbers = inputs.constants.numbers(name, node)
    found = rows_of(numbers, shape)
    if found is None:
        raise ModelError(
            f"{label(node)}: a constant of shape {numbers.shape} for values of shape {shape}: one number, or one for "
            "each index of one axis, is supported"
        )
    return found


def line_of(
    function: Function, node: NodeProto, factors: np.ndarray, offsets: np.ndarray, axis: int, step: Step | None = None
) -> Value:
    """`factors * x + offsets` after a function: Fractions, one or one for each index of `axis`."""
    axis = common_axis(node, (factors, axis), (function.numbers, function.axis))
    numbers = factors.astype(np.float64)[:, None] * function.numbers + offsets.astype(np.float64)[:, None]
    line = None
    if function.line is not None:
        line = (function.line[0] * factors, function.line[1] * factors + offsets)
    nodes = (*function.nodes, step or Step(node.op_type))
    return _value(node, replace(function, numbers=numbers, axis=axis, line=line, nodes=nodes))


def _batch_normalization(node: NodeProto, inputs: Inputs) -> Value:
    """What no layer absorbed: one factor and one offset for each channel."""
    value = inputs.value(node.input[0], node)
    function = function_of(value, node.input[0], node, inputs)
    scale, offset, mean, variance = (inputs.constants.numbers(name, node) for name in node.input[1:5])
    channels = function.shape[0]
    if any(part.shape != (channels,) for part in (scale, offset, mean, variance)):
        raise ModelError(f"{label(node)}: constants of other shapes than ({channels},): one number for each channel")
    epsilon = attributes(node).get("epsilon", 1e-5)
    roots = [Fraction(math.sqrt(float(number) + epsilon)) for number in variance]
    factors = np.array([s / root for s, root in zip(scale, roots, strict=True)], object)
    return line_of(function, node, factors, offset - factors * mean, 0)


OPERATORS: dict[str, Callable[[NodeProto, Inputs], Value]] = {
    **{name: _unary(compute) for name, compute in UNARY.items()},
    "BatchNormalization": _batch_normalization,
    "PRelu": _prelu,
    "Where": _where,
}
